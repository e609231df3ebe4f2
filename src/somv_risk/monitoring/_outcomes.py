"""Outcomes: whether risks and lists of earlier moments have held, once their horizon is over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import polars as pl

from somv_risk.errors import CohortError, IndexTimeError
from somv_risk.evaluation.test_set import Persons, find_learnt_until, follow
from somv_risk.metrics import judge_briefly
from somv_risk.model.model import RiskModel
from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import OutcomeLimits
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.training.config import parse_config

NOT_OVER: Final = "Its horizon ends after the index time, so its outcomes have not arrived."
LEARNT_FROM_ALL: Final = (
    "The model was cross-validated: it has learnt from everybody's outcomes of that time."
)
SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    s.INDEX_TIME: pl.Datetime("us"),
    "judged_on": pl.String,
    "ranking": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "reference": pl.Float64,
    "note": pl.String,
}
MODEL: Final = "model"
RATIO: Final = "expected_over_observed"
_IN_TRAINING: Final = {"auroc": "auroc", "average_precision": "average_precision", RATIO: RATIO}


def tabulate_outcomes(
    model: RiskModel,
    histories: Histories,
    index_time: datetime,
    earlier: Sequence[datetime],
    limits: OutcomeLimits,
) -> pl.DataFrame:
    """Judge the model at each earlier moment whose horizon is over, beside its test at training.

    `judged_on` is "all", or "test" where the training learnt from the outcomes of that time: then only
    persons who were kept out of it are judged. A moment that cannot be judged yet is a row with a note.
    """
    tables = [_judge(model, histories, index_time, moment, limits) for moment in earlier]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *tables], how="diagonal")


def _judge(
    model: RiskModel, histories: Histories, index_time: datetime, moment: datetime, limits: OutcomeLimits
) -> pl.DataFrame:
    if moment + model.main.target.horizon.length > index_time:
        return _tell(moment, NOT_OVER)
    is_learnt_from = moment < find_learnt_until(model)
    if is_learnt_from and model.is_cross_validated:
        return _tell(moment, LEARNT_FROM_ALL)
    persons: Persons = "test" if is_learnt_from else "all"
    split = parse_config(dict(model.facts["config"])).build_person_split()
    try:
        followed = follow(model, histories, moment, persons=persons, split=split)
        found = judge_briefly(
            replace(followed.cases, groups=pl.DataFrame()),
            capacity=limits.capacity,
            draws=limits.draws,
            seed=limits.seed,
        )
    except (CohortError, IndexTimeError) as error:
        return _tell(moment, str(error))
    before = _read_metrics(model, limits.capacity)
    is_own = pl.col("ranking") == MODEL
    known = pl.col("metric").replace_strict(before, default=None, return_dtype=pl.Float64)
    return found.select(
        pl.lit(moment, pl.Datetime("us")).alias(s.INDEX_TIME),
        pl.lit(persons).alias("judged_on"),
        *("ranking", "metric", "value", "low", "high"),
        pl.when(is_own).then(known).alias("reference"),
        "note",
    )


def _tell(moment: datetime, note: str) -> pl.DataFrame:
    return pl.DataFrame([{s.INDEX_TIME: moment, "note": note}], schema=SCHEMA)


def _read_metrics(model: RiskModel, capacity: str) -> dict[str, float]:
    """Read what the test at training said of the model; of the list only where it was as long."""
    names = dict(_IN_TRAINING)
    if capacity.endswith("%"):
        names[f"precision_top_{float(capacity.removesuffix('%')):.1f}%"] = "precision"
    rows: Sequence[Mapping[str, Any]] = model.facts.get("metrics", ())
    return {
        names[row["metric"]]: row["value"]
        for row in rows
        if row["target"] == model.main.target.name and row["ranking"] == MODEL and row["metric"] in names
    }


def find_outcome_alarms(outcomes: pl.DataFrame, limits: OutcomeLimits) -> Iterator[Alarm]:
    """Find risks that did not hold, and lists that found less: beyond the limit with the whole interval."""
    own = outcomes.filter(pl.col("ranking") == MODEL).drop_nulls(["low", "high"])
    for row in own.iter_rows(named=True):
        day = row[s.INDEX_TIME].date().isoformat()
        yield from (Alarm(kind, day, row["value"], limit) for kind, limit in _list_breaches(row, limits))


def _list_breaches(row: Mapping[str, Any], limits: OutcomeLimits) -> Iterator[tuple[str, float]]:
    metric, before = row["metric"], row["reference"]
    if metric == RATIO and row["low"] > limits.ratio_most:
        yield "risks_high", limits.ratio_most
    if metric == RATIO and row["high"] < limits.ratio_least:
        yield "risks_low", limits.ratio_least
    if metric == "auroc" and before is not None and row["high"] < before - limits.auroc_loss:
        yield "auroc", before - limits.auroc_loss
    if metric == "precision" and before is not None:
        least = before * (1 - limits.precision_loss)
        if row["high"] < least:
            yield "precision", least
