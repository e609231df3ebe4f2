"""What a checklist may say: the facts and figures of a run as English text, by name."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.model.model import CROSS
from somv_risk.report.findings import Findings
from somv_risk.report.wording import Wording, load_wording

NOT_RECORDED: Final = "not recorded"
JUDGED_PERSONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "test": "only persons who neither grew nor calibrated the model, as its training divided them",
        "all": "everybody in the histories, whether the model learnt from them or not",
    }
)
DATA_KINDS: Final[Mapping[bool | None, str]] = MappingProxyType(
    {
        True: "The data are simulated: everyone in them is made up, so the answer concerns the pipeline and "
        "nothing clinical.",
        False: "The run says that the data are not simulated.",
        None: "The run does not know whether the data are real or simulated.",
    }
)
METRICS: Final = ("auroc", "average_precision", "brier")
CALIBRATION: Final = ("expected_over_observed", "intercept", "slope", "ici")


def collect_said(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Collect, as English text by name, everything that an answer may say."""
    words = load_wording("en")
    return {
        **_say_facts(facts, words),
        **_say_training(facts["training"], facts["target"]["name"], words),
        **_say_results(Findings(facts, tables), words),
        "tables": frozenset(tables),
    }


def _say_facts(facts: Mapping[str, Any], words: Wording) -> dict[str, str]:
    return {
        **_say_target(facts["target"], words),
        **_say_histories(facts["histories"], words),
        "data_kind": DATA_KINDS[facts["is_simulated"]],
        "index_times": _list_days(facts["index_times"], words),
        "times_apart": _say_times_apart(facts),
        "judged_persons": JUDGED_PERSONS.get(facts.get("persons", ""), NOT_RECORDED),
        "capacities": _list(facts["capacities"]),
        "working_capacity": facts["working_capacity"],
        "groupings": _list(words.name("grouping", name) for name in facts["groupings"]),
        "draws": str(facts["draws"]),
        "seed": str(facts["seed"]),
        "features": str(facts["features"]),
        "model_hash": facts["model_hash"],
        "libraries": _list_pairs(facts["libraries"]),
    }


def _say_target(target: Mapping[str, Any], words: Wording) -> dict[str, str]:
    lists = ("sectors", "admission_types", "excluded_diagnoses")
    return {
        "target": target["name"],
        "outcome": words.outcome(target),
        "death": target["death"],
        "horizon_days": str(target["horizon_days"]),
        **{name: _list(target[name]) for name in lists},
    }


def _say_histories(histories: Mapping[str, Any], words: Wording) -> dict[str, str]:
    return {
        "histories_tables": _list(histories["tables"]),
        "histories_absent": _list(histories["absent"]),
        "histories_persons": words.number(histories["rows"].get("persons", 0)),
        "histories_end": words.date(histories["data_end"]) if histories["data_end"] else NOT_RECORDED,
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
    settings = _say_settings(training["config"], words)
    times = "; ".join(f"{part} {_list_days(own, words)}" for part, own in training["index_times"].items())
    return {
        **_say_training_data(training, words),
        **settings,
        "division": _say_division(training.get("validation", {}), settings["person_shares"], times),
        "training_times": times,
        "training_rows": _say_training_rows(training["attrition"], target, words),
        "calibration_kind": training.get("calibration", {}).get(target, {}).get("kind", NOT_RECORDED),
    }


def _say_division(validation: Mapping[str, Any], shares: str, times: str) -> str:
    """Say how persons and moments were kept apart; a cross-validation keeps no time apart."""
    if validation.get("kind") != CROSS:
        return f"by person ({shares}) and by time ({times}), with at least one horizon between the parts"
    return (
        f"by person only, in {validation['folds']} folds of everybody, with all rows of a person in one; "
        "time was not held out, and the model itself is fitted to everybody"
    )


def _say_training_data(training: Mapping[str, Any], words: Wording) -> dict[str, str]:
    set_aside = (
        f"{words.number(row['rows'])} rows of {row['table']} ({row['rule']})"
        for row in training["quarantine"]
    )
    return {
        "training_tables": _list(training["tables"]),
        "training_persons": words.number(training["rows"].get("persons", 0)),
        "training_end": words.date(training["data_end"]),
        "training_hash": training["data_hash"],
        "quarantine": _list(set_aside),
        "not_taken": words.number(sum(row["rows"] for row in training["dropped"])),
    }


def _say_settings(config: Mapping[str, Any], words: Wording) -> dict[str, str]:
    shares = config["persons"].items()
    return {
        "person_shares": _list(f"{part} {words.percent(share)}" for part, share in shares),
        "minimum_age_years": str(config["cohort"]["minimum_age_years"]),
        "minimum_residence_days": str(config["cohort"]["minimum_residence_days"]),
        "rounds": str(config["trees"]["rounds"]),
        "patience": str(config["trees"]["patience"]),
        "parameters": _list_pairs(config["trees"]["parameters"]),
        "training_seed": str(config["seed"]),
        "flag_share": words.percent(config["flag_share"]),
        "lags": _list(f"{table} {days} days" for table, days in config["lags"].items()),
        "own_features": _list(config["features"]["own"]),
        "excluded_features": _list(config["features"]["exclude"]),
    }


def _say_training_rows(attrition: Iterable[Mapping[str, Any]], target: str, words: Wording) -> str:
    """Say how many rows were left at each index time once the outcome had to be known."""
    known = [row for row in attrition if row["rule"].startswith(f"{target} is known")]
    if not known:
        return NOT_RECORDED
    return _list(f"{words.number(row['rows_after'])} at {words.date(row['index_time'])}" for row in known)


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
        "gap_count": str(findings.select("gaps", **model).height),
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
    return _list(f"{words.rule(row['rule'])} {words.number(row['rows_after'])}" for row in rows)


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


def _list_days(moments: Iterable[str], words: Wording) -> str:
    return _list(words.date(moment) for moment in moments)


def _list_pairs(pairs: Mapping[str, object]) -> str:
    return _list(f"{name} {value}" for name, value in pairs.items())
