"""Opening page of an evaluation: what a manager needs to know, in sentences made from the tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from somv_risk.metrics import render_gap
from somv_risk.registers.schema import INDEX_TIME
from somv_risk.report.evaluation_tables import Cell, choose_style
from somv_risk.report.findings import Findings
from somv_risk.report.small_counts import FEW_PER_1000, is_per_1000
from somv_risk.report.wording import ABSENT, Wording

RANKINGS: Final = ("model", "count_last_year", "programme_rule", "penalised_logistic")
SHOWN_GAPS: Final = 4
# What is most likely to harm somebody comes first.
GAP_ORDER: Final = (
    "false_negative_rate",
    "expected_over_observed",
    "precision",
    "selection_rate",
    "false_positive_rate",
)
SHOWN_MEASURES: Final = 4
NO_BREAK_PERCENT: Final = "\u00a0%"


@dataclass(frozen=True, slots=True)
class Opening:
    """What the opening page says; `comparison` has one row of cells per ranking."""

    what: tuple[str, ...]
    the_list: tuple[str, ...]
    comparison: tuple[tuple[str, tuple[Cell, ...]], ...]
    comparison_notes: tuple[str, ...]
    verdicts: tuple[str, ...]
    calibrated: tuple[str, ...]
    gaps: tuple[str, ...]
    hidden: tuple[str, ...]
    limits: tuple[str, ...]


def build_opening(findings: Findings, words: Wording) -> Opening:
    """Build what the opening page says."""
    rows, notes = _compare_lists(findings, words)
    return Opening(
        what=tuple(_say_what(findings, words)),
        the_list=tuple(_say_list(findings, words)),
        comparison=rows,
        comparison_notes=notes,
        verdicts=tuple(_say_verdicts(findings, words)),
        calibrated=tuple(_say_calibrated(findings, words)),
        gaps=tuple(_say_gaps(findings, words)),
        hidden=tuple(_say_hidden(findings, words)),
        limits=say_limits(findings.facts["is_simulated"], words),
    )


def say_limits(is_simulated: bool | None, words: Wording) -> tuple[str, ...]:  # noqa: FBT001 - a fact
    """Say what the page does not show."""
    kind = {True: "simulated", False: "real", None: "unknown"}[is_simulated]
    return (words[f"limit_{kind}"], words["limit_validity"], words["limit_decision"])


def _say_what(findings: Findings, words: Wording) -> Iterator[str]:
    outcome = words.outcome(findings.facts["target"])
    yield words["what_it_does"].format(outcome=outcome)
    cases = findings.find("cases", index_time=findings.latest, population="all")
    if cases is not None and cases["base_rate"] is not None:
        form = "what_was_tested" if is_per_1000(cases["rows"]) else "what_was_tested_on_few"
        yield words[form].format(
            rows=words.number(cases["rows"]),
            date=words.date(cases[INDEX_TIME]),
            events=words.number(cases["events"]),
            outcome=outcome,
            rate=words.quantity(cases["base_rate"], "whole_per_1000"),
        )
    times = findings.select("cases").drop_nulls("base_rate")[INDEX_TIME].n_unique()
    if times > 1:
        yield words["more_times"].format(count=times)
    for row in findings.select("cases", population="all").iter_rows(named=True):
        if row["base_rate"] is None:
            yield words["not_judged"].format(date=words.date(row[INDEX_TIME]), note=_get_note(row, words))


def _say_list(findings: Findings, words: Wording) -> Iterator[str]:
    capacity = words.capacity(findings.facts["working_capacity"])
    found = _find_listed(findings, "all", "model", "precision")
    cases = findings.find("cases", index_time=findings.latest, population="all")
    if found is None or found["value"] is None or cases is None or cases["base_rate"] is None:
        noted = next((row for row in (found, cases) if row and row["note"]), None)
        yield words["list_unknown"].format(capacity=capacity, note=_get_note(noted, words))
        return
    if is_per_1000(found["persons"]):
        yield words["list_sentence"].format(
            listed=words.quantity(found["value"], "whole_per_1000"),
            outcome=words.outcome(findings.facts["target"]),
            everyone=words.quantity(cases["base_rate"], "whole_per_1000"),
        )
    yield _say_persons(findings, found, capacity, words)


def _say_persons(findings: Findings, found: Mapping[str, Any], capacity: str, words: Wording) -> str:
    """Say how many on the list had the outcome, with what part that is of all who had it if it is known."""
    count = _find_listed(findings, "all", "model", "found")
    part = _find_listed(findings, "all", "model", "sensitivity")
    persons = words.number(found["persons"])
    events = found["value"] * found["persons"] if count is None else count["value"]
    is_told = part is not None and part["value"] is not None and found["low"] is not None
    if part is None or not is_told or not is_per_1000(found["persons"]):
        return str(words["list_found"]).format(found=words.number(events), persons=persons, capacity=capacity)
    return str(words["list_persons"]).format(
        capacity=capacity,
        persons=persons,
        found=words.number(events),
        interval=words.interval(found["low"], found["high"], "whole_per_1000"),
        sensitivity=words.percent(part["value"]),
    )


def _find_listed(findings: Findings, population: str, ranking: str, metric: str) -> dict[str, Any] | None:
    return findings.find(
        "capacity", **findings.working, population=population, ranking=ranking, metric=metric
    )


def _compare_lists(
    findings: Findings, words: Wording
) -> tuple[tuple[tuple[str, tuple[Cell, ...]], ...], tuple[str, ...]]:
    """Compare the rankings at the working capacity, among all and among new cases."""
    wanted = [(p, metric) for p in ("all", "new") for metric in ("precision", "sensitivity")]
    rows, notes = [], dict[str, None]()
    for ranking in RANKINGS:
        found = [_find_listed(findings, population, ranking, metric) for population, metric in wanted]
        name = words.name("ranking", ranking)
        notes |= {f"{name}: {words.note(note)}": None for row in found for note in _list_notes(row)}
        rows.append((name, tuple(_read_listed(row, words) for row in found)))
    return tuple(rows), tuple(notes)


def _list_notes(row: Mapping[str, Any] | None) -> list[str]:
    """List what is to be said of a cell: why it is empty, or what is doubtful."""
    if row is None:
        return []
    few = [FEW_PER_1000] if row["value"] is not None and _is_of_few(row) else []
    return [*([row["note"]] if row["note"] else []), *few]


def _is_of_few(row: Mapping[str, Any]) -> bool:
    """Whether a number of 1,000 is taken of so few that it must not be told."""
    return bool(row["metric"] == "precision" and not is_per_1000(row["persons"]))


def _read_listed(row: Mapping[str, Any] | None, words: Wording) -> Cell:
    if row is None or row["value"] is None or _is_of_few(row):
        return Cell(ABSENT)
    style = "whole_per_1000" if row["metric"] == "precision" else "share"
    return Cell(words.quantity(row["value"], style), words.interval(row["low"], row["high"], style))


def _say_verdicts(findings: Findings, words: Wording) -> Iterator[str]:
    """Say which rankings the model does better than, by average precision over the whole ranking."""
    verdicts: dict[str, list[str]] = {"better": [], "worse": [], "same": [], "not_compared": []}
    for ranking in RANKINGS[1:]:
        where = {INDEX_TIME: findings.latest, "population": "all", "ranking": ranking}
        row = findings.find("metrics", **where, metric="average_precision_difference")
        verdicts[_judge(row, centre=0.0, below="worse", above="better")].append(
            words.name("ranking", ranking)
        )
    for verdict, names in verdicts.items():
        if names:
            yield words[verdict].format(names=words.join(names))


def _judge(row: Mapping[str, Any] | None, *, centre: float, below: str, above: str) -> str:
    if row is None or row["low"] is None or row["high"] is None:
        return "not_compared"
    return below if row["high"] < centre else above if row["low"] > centre else "same"


def _say_calibrated(findings: Findings, words: Wording) -> Iterator[str]:
    where = {INDEX_TIME: findings.latest, "ranking": "model", "grouping": "all"}
    ratio = findings.find("calibration", **where, metric="expected_over_observed")
    verdict = _judge(ratio, centre=1.0, below="expects_too_few", above="expects_too_many")
    if ratio is None or verdict == "not_compared":
        yield words["calibration_unknown"].format(note=_get_note(ratio, words))
    else:
        yield words["calibrated" if verdict == "same" else verdict].format(
            expected=words.number(ratio["value"] * ratio["events"]),
            events=words.number(ratio["events"]),
            ratio=words.number(ratio["value"], 2),
            interval=words.interval(ratio["low"], ratio["high"], "decimal2"),
        )
    slope = findings.find("calibration", **where, metric="slope")
    verdict = _judge(slope, centre=1.0, below="slope_steep", above="slope_flat")
    if slope is None or verdict == "not_compared":
        yield words["slope_unknown"].format(note=_get_note(slope, words))
    else:
        yield words["slope_fits" if verdict == "same" else verdict].format(
            slope=words.number(slope["value"], 2),
            interval=words.interval(slope["low"], slope["high"], "decimal2"),
        )


def _get_note(row: Mapping[str, Any] | None, words: Wording) -> str:
    note = (row or {}).get("note")
    return words.note(note) if note else str(words["no_note"])


def _say_gaps(findings: Findings, words: Wording) -> Iterator[str]:
    where = {INDEX_TIME: findings.latest, "ranking": "model"}
    looked_at = findings.select("fairness", **where)
    # Of a grouping by yes and no, the "no" says the same the other way round.
    looked_at = looked_at.filter(pl.col("grouping") != "all", pl.col("group") != "no")
    if looked_at.is_empty():
        yield words["gaps_unknown"]
        return
    gaps = findings.select("gaps", **where)
    largest = sorted(gaps.iter_rows(named=True), key=_rank_gap)
    yield from (_say_gap(row, words) for row in largest[:SHOWN_GAPS])
    if not largest:
        yield words["no_gaps"]
    if len(largest) > SHOWN_GAPS:
        yield words["more_gaps"].format(count=len(largest) - SHOWN_GAPS)
    yield words["many_compared"].format(count=words.number(looked_at["difference"].count()))
    suppressed = looked_at["difference"].null_count()
    if suppressed:
        yield words["suppressed"].format(count=words.number(suppressed))


def _rank_gap(row: Mapping[str, Any]) -> tuple[int, float]:
    """Rank a gap by what it is a difference of, then by its size."""
    metric = row["metric"]
    place = GAP_ORDER.index(metric) if metric in GAP_ORDER else len(GAP_ORDER)
    return place, -abs(row["difference"])


def _say_gap(row: Mapping[str, Any], words: Wording) -> str:
    """Say what differs for a group, in the language of the page where the rates are known."""
    if row.get("value") is None:
        return str(row["text"])
    name = words.describe_group(row["grouping"], row["group"])
    return render_gap(row, words.code, name[:1].upper() + name[1:]).replace(" %", NO_BREAK_PERCENT)


def _say_hidden(findings: Findings, words: Wording) -> Iterator[str]:
    """Say how many the official count hides, or one by one what is known of them."""
    rows = findings.select("hidden", index_time=findings.latest, ranking="model")
    if rows.is_empty():
        yield words["hidden_unknown"]
        return
    yield words["hidden_intro"]
    known = {row["measure"]: row for row in rows.iter_rows(named=True)}
    values = {name: row["value"] for name, row in known.items()}
    if None not in (values.get("persons_hidden"), values.get("persons_with_outcome")):
        counts = {name: words.number(values[name]) for name in ("persons_hidden", "persons_with_outcome")}
        yield words["hidden_persons"].format(**counts)
        wanted = [name for name in ("hidden_on_the_list", "counted_on_the_list") if name in known]
    else:
        wanted = list(known)[:SHOWN_MEASURES]
    for name in wanted:
        value = _read_measure(known[name], words)
        yield words["hidden_row"].format(measure=words.name("measure", name), value=value)


def _read_measure(row: Mapping[str, Any], words: Wording) -> str:
    if row["value"] is None:
        return str(words["no_value"]).format(note=_get_note(row, words))
    style = choose_style("hidden", "value", row["measure"])
    interval = words.interval(row["low"], row["high"], style)
    value = words.quantity(row["value"], style)
    return f"{value} ({interval})" if interval else value
