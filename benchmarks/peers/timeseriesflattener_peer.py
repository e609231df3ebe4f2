"""timeseriesflattener 2: answers the window cases and builds the asked features, in its own environment."""

from datetime import timedelta
from typing import Any

import polars as pl
from timeseriesflattener import (
    CountAggregator,
    Flattener,
    MaxAggregator,
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
    """Build the asked features: one spec per table and window, since each spec joins and groups anew."""
    specs = [_specify(table, days, rows) for (table, days), rows in events.items()]
    flat = Flattener(PredictionTimeFrame(cohort, PERSON, INDEX)).aggregate_timeseries(specs).df
    return flat.select(
        PERSON,
        INDEX,
        *(_express(group, flag, days) for group in GROUPS for flag in group.flags for days in group.windows),
    )


def _specify(table: str, days: int, rows: pl.DataFrame) -> PredictorSpec:
    """Count the events of each flag and, where recencies are asked for, find the latest one."""
    groups = [group for group in GROUPS if group.table == table and days in group.windows]
    flags = dict.fromkeys(flag for group in groups for flag in group.looked_at)
    start = pl.col(START).dt.epoch("us")
    starts = [pl.when(flag).then(start).alias(_name(table, flag, days)) for flag in flags]
    latest = [MaxAggregator()] if any(group.measure == "days_since" for group in groups) else []
    frame = ValueFrame(rows.select(PERSON, START, *starts), PERSON, START)
    return PredictorSpec(frame, [timedelta(days=days)], [CountAggregator(), *latest], NAN)


def _name(table: str, flag: str, days: int) -> str:
    """Name a column of values; no two specs may have the same."""
    return f"{table}_{flag}_{days}"


def _express(group: Group, flag: str, days: int) -> pl.Expr:
    def found(flag: str, aggregator: str) -> pl.Expr:
        name = _name(group.table, flag, days)
        return pl.col(f"pred_{name}_within_0_to_{days}_days_{aggregator}_fallback_nan").fill_nan(None)

    if group.measure == "days_since":
        feature = in_days(pl.col(INDEX).dt.epoch("us") - found(flag, "max"))
    elif group.measure == "share":
        feature = (found(flag, "count") / found(group.of, "count")).fill_nan(None)
    else:
        feature = found(flag, "count")
    return feature.alias(group.name(flag, days))


if __name__ == "__main__":
    main(OFFERS, answer, build)
