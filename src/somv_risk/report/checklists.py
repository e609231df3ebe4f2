"""Checklists: TRIPOD+AI and PROBAST+AI answered from what a run knows, and what a person must still answer."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal

import jinja2
import polars as pl

from somv_risk.report.findings import Findings
from somv_risk.report.wording import Wording, load_wording

TRIPOD: Final = "tripod_ai.toml"
PROBAST: Final = "probast_ai.toml"
Status = Literal["run", "partly", "person"]
STATUSES: Final[Mapping[str, str]] = MappingProxyType(
    {"run": "answered by the run", "partly": "partly", "person": "a person must answer"}
)
NOT_RECORDED: Final = "not recorded"
JUDGED_PERSONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "test": "only persons who neither grew nor calibrated the model, as its training divided them",
        "all": "everybody in the histories, whether the model learnt from them or not",
    }
)
METRICS: Final = ("auroc", "average_precision", "brier")
CALIBRATION: Final = ("expected_over_observed", "intercept", "slope", "ici")


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a checklist: what is asked, and how a run answers it.

    `answer` is a template of facts; `person` says what a person must still answer; an item that needs
    tables which the run did not make is a person's.
    """

    number: str
    section: str
    topic: str
    asked: str
    status: Status
    applies: str = ""
    answer: str = ""
    person: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One item with the answer of a run."""

    number: str
    section: str
    topic: str
    asked: str
    status: Status
    text: str
    person: str

    @property
    def status_text(self) -> str:
        """The status in words."""
        return STATUSES[self.status]


@cache
def load_items(checklist: str) -> tuple[Item, ...]:
    """Load the items of a checklist in their order."""
    return tuple(
        Item(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
        for row in _read(checklist)["items"]
    )


@cache
def _read(checklist: str) -> dict[str, Any]:
    text = resources.files("somv_risk.report").joinpath(checklist).read_text(encoding="utf-8")
    return tomllib.loads(text)


def render_tripod(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    """Render the TRIPOD+AI checklist of a run as Markdown."""
    return _render(TRIPOD, facts, tables)


def render_probast(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    """Render the PROBAST+AI self-assessment of a run as Markdown."""
    return _render(PROBAST, facts, tables)


def answer(
    checklist: str, facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]
) -> tuple[Answer, ...]:
    """Answer every item of a checklist with what a run knows."""
    said = collect_said(facts, tables)
    return tuple(_answer_item(item, said, tables) for item in load_items(checklist))


def _answer_item(item: Item, said: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> Answer:
    missing = [name for name in item.needs if name not in tables or tables[name].is_empty()]
    if missing:
        text = f"This run was not asked for it (no table {', '.join(missing)})."
        person = item.person or "whether it was looked at elsewhere."
        return Answer(item.number, item.section, item.topic, item.asked, "person", text, person)
    text = " ".join(_prepare(item.answer).render(said).split())
    return Answer(item.number, item.section, item.topic, item.asked, item.status, text, item.person)


@cache
def _prepare(template: str) -> jinja2.Template:
    # Markdown is text, and the page escapes what it takes from here.
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template)  # noqa: S701


def collect_said(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Collect, as English text by name, everything that an answer may say."""
    words = load_wording("en")
    return {
        **_say_facts(facts, words),
        **_say_training(facts["training"], facts["target"]["name"], words),
        **_say_results(Findings(facts, tables), words),
        "tables": frozenset(name for name, table in tables.items() if not table.is_empty()),
    }


def _say_facts(facts: Mapping[str, Any], words: Wording) -> dict[str, str]:
    target, histories = facts["target"], facts["histories"]
    kinds = {
        True: "The data are simulated: everyone in them is made up, so the answer concerns the pipeline and "
        "nothing clinical.",
        False: "The run says that the data are not simulated.",
        None: "The run does not know whether the data are real or simulated.",
    }
    return {
        "data_kind": kinds[facts["is_simulated"]],
        "outcome": words.outcome(target),
        "target": target["name"],
        "death": target["death"],
        "sectors": _list(target["sectors"]),
        "admission_types": _list(target["admission_types"]),
        "excluded_diagnoses": _list(target["excluded_diagnoses"]),
        "horizon_days": str(target["horizon_days"]),
        "index_times": _list(words.date(time) for time in facts["index_times"]),
        "capacities": _list(facts["capacities"]),
        "working_capacity": facts["working_capacity"],
        "groupings": _list(words.name("grouping", name) for name in facts["groupings"]),
        "draws": str(facts["draws"]),
        "seed": str(facts["seed"]),
        "features": str(facts["features"]),
        "model_hash": facts["model_hash"],
        "histories_tables": _list(histories["tables"]),
        "histories_absent": _list(histories["absent"]),
        "histories_persons": words.number(histories["rows"].get("persons", 0)),
        "histories_end": words.date(histories["data_end"]) if histories["data_end"] else NOT_RECORDED,
        "times_apart": _say_times_apart(facts),
        "judged_persons": JUDGED_PERSONS.get(facts.get("persons", ""), NOT_RECORDED),
        "libraries": _list(f"{name} {number}" for name, number in facts["libraries"].items()),
    }


def _say_times_apart(facts: Mapping[str, Any]) -> str:
    """Say whether the follow-up of the training was over before the evaluation began."""
    times = facts["training"]["index_times"]
    learnt = [datetime.fromisoformat(time) for part in ("train", "calibrate") for time in times.get(part, ())]
    if not learnt or not facts["index_times"]:
        return NOT_RECORDED
    over = max(learnt) + timedelta(days=facts["target"]["horizon_days"])
    if min(datetime.fromisoformat(time) for time in facts["index_times"]) >= over:
        return "every index time of the evaluation lies at least one horizon after those learnt from"
    return "an index time of the evaluation lies less than one horizon after one learnt from, or before it"


def _say_training(training: Mapping[str, Any], target: str, words: Wording) -> dict[str, str]:
    config = training["config"]
    times = training["index_times"]
    shares = config["persons"]
    known = [row for row in training["attrition"] if row["rule"].startswith(f"{target} is known")]
    return {
        "training_tables": _list(training["tables"]),
        "training_persons": words.number(training["rows"].get("persons", 0)),
        "training_end": words.date(training["data_end"]),
        "training_hash": training["data_hash"],
        "training_times": "; ".join(
            f"{part} {_list(words.date(time) for time in own)}" for part, own in times.items()
        ),
        "person_shares": _list(f"{part} {words.percent(share)}" for part, share in shares.items()),
        "quarantine": _list(
            f"{words.number(row['rows'])} rows of {row['table']} ({row['rule']})"
            for row in training["quarantine"]
        ),
        "not_taken": words.number(sum(row["rows"] for row in training["dropped"])),
        "minimum_age_years": str(config["cohort"]["minimum_age_years"]),
        "minimum_residence_days": str(config["cohort"]["minimum_residence_days"]),
        "rounds": str(config["trees"]["rounds"]),
        "patience": str(config["trees"]["patience"]),
        "parameters": _list(f"{name} {value}" for name, value in config["trees"]["parameters"].items()),
        "training_seed": str(config["seed"]),
        "flag_share": words.percent(config["flag_share"]),
        "lags": _list(f"{table} {days} days" for table, days in config["lags"].items()),
        "own_features": _list(config["features"]["own"]),
        "excluded_features": _list(config["features"]["exclude"]),
        "training_rows": _list(
            f"{words.number(row['rows_after'])} at {words.date(row['index_time'])}" for row in known
        )
        if known
        else NOT_RECORDED,
    }


def _say_results(findings: Findings, words: Wording) -> dict[str, str]:
    where = {"index_time": findings.latest, "population": "all"}
    cases = findings.find("cases", **where) or {}
    listed = {"ranking": "model", "population": "all"} | findings.working
    model = {"index_time": findings.latest, "ranking": "model"}
    return {
        "latest": words.date(findings.latest) if findings.latest else NOT_RECORDED,
        "rows": _count(cases.get("rows"), words),
        "events": _count(cases.get("events"), words),
        "metrics": _say_rows(
            (findings.find("metrics", **where, ranking="model", metric=metric) for metric in METRICS), words
        ),
        "references": _list(_say_references(findings, words)),
        "listed": _say_rows([findings.find("capacity", **listed, metric="precision")], words),
        "calibration": _say_rows(
            (findings.find("calibration", **model, grouping="all", metric=m) for m in CALIBRATION), words
        ),
        "gap_count": str(findings.select("gaps", index_time=findings.latest).height),
        "attrition": _say_attrition(findings, words),
        "smallest_group": _say_smallest(findings, words),
    }


def _say_rows(rows: Iterable[dict[str, Any] | None], words: Wording) -> str:
    """Say metrics with their intervals, or why one cannot be said."""
    return _list(_say_row(row, words) for row in rows if row is not None)


def _say_row(row: Mapping[str, Any], words: Wording) -> str:
    name = words.name("metric", row["metric"])
    if row["value"] is None:
        return f"{name}: cannot be said ({row['note'] or words['no_note']})"
    interval = words.interval(row["low"], row["high"], "significant")
    return f"{name} {words.quantity(row['value'], 'significant')}" + (f" ({interval})" if interval else "")


def _say_references(findings: Findings, words: Wording) -> Iterator[str]:
    where = {"index_time": findings.latest, "population": "all", "metric": "auroc"}
    for row in findings.select("metrics", **where).iter_rows(named=True):
        if row["ranking"] != "model":
            yield f"{words.name('ranking', row['ranking'])}: {_say_row(row, words)}"


def _say_attrition(findings: Findings, words: Wording) -> str:
    rows = findings.select("attrition", index_time=findings.latest).iter_rows(named=True)
    return _list(f"{words.name('rule', row['rule'])} {words.number(row['rows_after'])}" for row in rows)


def _say_smallest(findings: Findings, words: Wording) -> str:
    """Say how few persons with the outcome the smallest group has that calibration was measured in."""
    rows = findings.select("calibration", index_time=findings.latest, ranking="model")
    fewest = rows.filter(pl.col("grouping") != "all").drop_nulls("events").sort("events").head(1)
    for row in fewest.iter_rows(named=True):
        return f"{words.describe_group(row['grouping'], row['group'])}, {words.number(row['events'])}"
    return NOT_RECORDED


def _count(number: float | None, words: Wording) -> str:
    return NOT_RECORDED if number is None else words.number(number)


def _list(names: Iterable[str]) -> str:
    return ", ".join(str(name) for name in names) or "none"


def _render(checklist: str, facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    about = _read(checklist)
    answers = answer(checklist, facts, tables)
    counts = {status: sum(one.status == status for one in answers) for status in STATUSES}
    summary = ", ".join(f"{counts[status]} {STATUSES[status]}" for status in STATUSES)
    parts = [f"# {about['title']}", about["introduction"].strip(), f"{len(answers)} items: {summary}."]
    for section in dict.fromkeys(one.section for one in answers):
        rows = [_render_row(one) for one in answers if one.section == section]
        head = "| item | what is asked | status | answer |\n|---|---|---|---|"
        parts.append("\n".join([f"## {section}\n", head, *rows]))
    return "\n\n".join(parts) + "\n"


def _render_row(one: Answer) -> str:
    person = f"*A person must answer:* {one.person}" if one.person else ""
    text = " ".join(part for part in (one.text, person) if part)
    cells = (one.number, f"**{one.topic}.** {one.asked}", one.status_text, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
