"""timeseriesflattener 2: answers the window cases and builds the asked features, in its own environment."""

from datetime import timedelta
from typing import Any

import polars as pl
from timeseriesflattener import (
    CountAggregator,
    Flattener,
    MaxAggregator,
    MeanAggregator,
    OutcomeSpec,
    PredictionTimeFrame,
    PredictorSpec,
    ValueFrame,
)
from timeseriesflattener.aggregators import UniqueCountAggregator

from benchmarks.peers.asked import GROUPS, Group
from benchmarks.peers.exchange import INDEX, MICROSECONDS_PER_DAY, PERSON, START, Events, in_days, main

OFFERS = {"count", "distinct", "recency", "horizon", "outcome", "between"}
ROW = "row"
NAN = float("nan")
MICROSECOND = timedelta(microseconds=1)


def answer(events: pl.DataFrame, cohort: pl.DataFrame, question: Any) -> list[Any]:  # noqa: ANN401 - a namespace
    """Answer as the documentation shows; `careful` moves both ends by a microsecond to open the later one."""
    shift = MICROSECOND if question.careful else timedelta(0)
    days, until_days = timedelta(days=question.days), timedelta(days=question.until_days)
    aggregator, value, fallback = {
        "distinct": (UniqueCountAggregator(), pl.col("value"), 0),
        "recency": (MaxAggregator(), pl.col(START).dt.epoch("us"), NAN),
    }.get(question.measure, (CountAggregator(), pl.lit(1), 0))
    frame = ValueFrame(events.select(PERSON, START, value.alias("value")), PERSON, START)
    if question.measure in ("horizon", "outcome"):
        spec = OutcomeSpec(frame, [(timedelta(0), days - shift)], [aggregator], fallback)
    else:
        spec = PredictorSpec(frame, [(until_days + shift, days)], [aggregator], fallback)
    asked = PredictionTimeFrame(cohort.with_row_index(ROW), PERSON, INDEX)
    flat = Flattener(asked).aggregate_timeseries([spec]).df.sort(ROW)
    return _finish(flat[:, -1], flat[INDEX], question).to_list()


def _finish(column: pl.Series, index: pl.Series, question: Any) -> pl.Series:  # noqa: ANN401
    if question.measure == "recency":
        return (index.dt.epoch("us") - column.fill_nan(None)) / MICROSECONDS_PER_DAY
    return column >= question.at_least if question.measure == "outcome" else column


def build(events: Events, cohort: pl.DataFrame) -> pl.DataFrame:
    """Build the asked features: one spec per group, all its flags as value columns of one frame."""
    specs = [_specify(group, events[group.table]) for group in GROUPS]
    flat = Flattener(PredictionTimeFrame(cohort, PERSON, INDEX)).aggregate_timeseries(specs).df
    return flat.select(
        PERSON,
        INDEX,
        *(_name(group, flag, days) for group in GROUPS for flag in group.flags for days in group.windows),
    )


AGGREGATORS = {
    "count": (CountAggregator(), 0),
    "days_since": (MaxAggregator(), NAN),
    "share": (MeanAggregator(), NAN),
}


def _specify(group: Group, events: pl.DataFrame) -> PredictorSpec:
    aggregator, fallback = AGGREGATORS[group.measure]
    values = [_value(group, flag).alias(group.column(flag)) for flag in group.flags]
    frame = ValueFrame(events.select(PERSON, START, *values), PERSON, START)
    return PredictorSpec(frame, [timedelta(days=days) for days in group.windows], [aggregator], fallback)


def _value(group: Group, flag: str) -> pl.Expr:
    """Null where an event is none of those looked at."""
    if group.measure == "share":
        return pl.when(group.of).then(pl.col(flag).cast(pl.Int8))
    return pl.when(flag).then(
        pl.col(START).dt.epoch("us") if group.measure == "days_since" else pl.lit(1, pl.Int8)
    )


def _name(group: Group, flag: str, days: int) -> pl.Expr:
    aggregator, fallback = AGGREGATORS[group.measure]
    column = pl.col(
        f"pred_{group.column(flag)}_within_0_to_{days}_days_{aggregator.name}_fallback_{fallback}"
    )
    if group.measure == "days_since":
        column = in_days(pl.col(INDEX).dt.epoch("us") - column)
    return (column if group.measure == "count" else column.fill_nan(None)).alias(group.name(flag, days))


if __name__ == "__main__":
    main(OFFERS, answer, build)
