"""Weeks: rows per table and week, their delays and their empty cells, as known at a moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.asof import Lags
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

FloatArray = npt.NDArray[np.float64]

WEEK: Final = timedelta(days=7)
YEAR: Final = 52  # weeks
FULL_WEEKS: Final = 26  # after so long all rows are taken to be known
STRAYS: Final = 1e-3
NOT_JUDGED: Final = (s.PERSON_ID, s.KNOWN_AT)
_WEEK, _DELAY, _ROWS = "week", "delay", "rows"


@dataclass(frozen=True, slots=True)
class SourceWeeks:
    """One table week by week, oldest first, as known at the index.

    `known` is the share of a week's rows that can be known by now; `arrived` counts rows by the week in which
    they became known and `delays` is their median delay in days, NaN for a week with fewer than 5.
    """

    table: str
    starts: tuple[datetime, ...]
    rows: FloatArray
    known: FloatArray
    arrived: FloatArray
    delays: FloatArray


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the sources are looked at: what was known at `index_time`, in whole weeks before `end`."""

    index_time: datetime
    end: datetime
    lags: Lags


def see(histories: Histories, index_time: datetime, lags: Lags) -> Seen:
    """Look at the sources as known at a moment; weeks end with the delivery if that ends before it."""
    end = index_time if histories.data_end is None else min(index_time, histories.data_end)
    return Seen(index_time, end, lags)


def find_visible(histories: Histories, table: str, seen: Seen) -> pl.LazyFrame:
    """Find the rows known at the moment, as features see them, and the `delay` after which each was known."""
    lag = seen.lags.of(table)
    delay = (pl.col(s.KNOWN_AT) - pl.col(s.STARTED_AT)).fill_null(lag)
    rows = histories.table(table).with_columns(delay.alias(_DELAY))
    return rows.filter(
        pl.col(s.STARTED_AT) < seen.index_time,
        pl.when(pl.col(s.KNOWN_AT).is_null())
        .then(pl.col(s.STARTED_AT) + lag < seen.index_time)
        .otherwise(pl.col(s.KNOWN_AT) < seen.index_time),
    )


def count_weeks(histories: Histories, table: str, seen: Seen, weeks: int) -> SourceWeeks:
    """Count the rows of a table by week of their start, and by the week in which they became known."""
    visible = find_visible(histories, table, seen)
    started = visible.group_by(_number_week(pl.col(s.STARTED_AT), seen.end)).agg(pl.len().alias(_ROWS))
    known = visible.filter(pl.col(s.KNOWN_AT).is_not_null())
    arrived = known.group_by(_number_week(pl.col(s.KNOWN_AT), seen.end)).agg(
        pl.len().alias(_ROWS), pl.col(_DELAY).median().alias(_DELAY)
    )
    delayed = _count_delayed(visible, seen)
    counted, told, late = pl.collect_all([started, arrived, delayed], engine="streaming")
    return SourceWeeks(
        table=table,
        starts=tuple(seen.end - WEEK * back for back in range(weeks, 0, -1)),
        rows=_spread(counted, _ROWS, weeks),
        known=_find_known(late, weeks),
        arrived=_spread(told, _ROWS, weeks),
        delays=_find_delays(told, weeks),
    )


def _number_week(moment: pl.Expr, end: datetime) -> pl.Expr:
    """Number weeks back from the end, from 0; what comes after the end is below 0."""
    past = (pl.lit(end) - moment).dt.total_microseconds() - 1
    return (past // (WEEK // timedelta(microseconds=1))).alias(_WEEK)


def _spread(counted: pl.DataFrame, column: str, weeks: int) -> FloatArray:
    """Put weekly numbers in their places, oldest first; weeks without a row get 0."""
    line = np.zeros(weeks)
    kept = counted.filter(pl.col(_WEEK).is_between(0, weeks - 1))
    line[weeks - 1 - kept[_WEEK].to_numpy()] = kept[column].to_numpy()
    return line


def _find_delays(told: pl.DataFrame, weeks: int) -> FloatArray:
    days = told.filter(pl.col(_ROWS) >= 5).with_columns(pl.col(_DELAY).dt.total_seconds() / 86_400)
    line = _spread(days, _DELAY, weeks)
    has_any = _spread(days, _ROWS, weeks) > 0
    return np.where(has_any, line, np.nan)


def _count_delayed(visible: pl.LazyFrame, seen: Seen) -> pl.LazyFrame:
    """Count rows of settled weeks by `delay`: for how many more weeks each was not yet known.

    Each week is looked back on from as long after its end as the index lies after the last one's.
    """
    week = _number_week(pl.col(s.STARTED_AT), seen.end)
    end = pl.lit(seen.end) - week * pl.duration(days=7)
    late = pl.col(s.STARTED_AT) + pl.col(_DELAY) - end - (seen.index_time - seen.end)
    weeks = late.dt.total_microseconds() // (WEEK // timedelta(microseconds=1)) + 1
    is_settled = week.is_between(FULL_WEEKS, FULL_WEEKS + YEAR - 1)
    return visible.filter(is_settled).group_by(weeks.clip(0).alias(_DELAY)).agg(pl.len().alias(_ROWS))


def _find_known(late: pl.DataFrame, weeks: int) -> FloatArray:
    """Find which share of each week's rows can be known by now, by what was known of older weeks."""
    if late.is_empty():
        return np.ones(weeks)
    kept = late.filter(pl.col(_DELAY) < weeks)
    rows = np.bincount(kept[_DELAY].to_numpy(), weights=kept[_ROWS].to_numpy(), minlength=weeks)
    return np.asarray(np.cumsum(rows)[::-1] / float(late[_ROWS].sum()), dtype=np.float64)


def measure_reach(histories: Histories, table: str, moment: datetime) -> int:
    """Measure how many days a table reaches back from a moment, in whole weeks; 0 for one without rows.

    The first row in a thousand does not count as its beginning: long spells reach far back.
    """
    started = histories.table(table).select(pl.col(s.STARTED_AT).quantile(STRAYS, "lower")).collect().item()
    return 0 if started is None else max(0, (moment - started) // WEEK * 7)


def measure_columns(histories: Histories, table: str, seen: Seen) -> Iterator[tuple[str, int, int]]:
    """Measure, of each column, how many rows of the last year could have a value and how many have none.

    What is learnt at the end of an event is asked of ended ones only.
    """
    recent = find_visible(histories, table, seen).filter(pl.col(s.STARTED_AT) >= seen.end - YEAR * WEEK)
    end = (
        pl.col(s.ENDED_AT).fill_null(pl.col(s.STARTED_AT)) if s.TABLES[table].is_point else pl.col(s.ENDED_AT)
    )
    is_over = (end + seen.lags.of(table) < seen.index_time).fill_null(value=False)
    names = [name for name in s.get_columns(table) if not _is_skipped(table, name)]
    of = {name: _can_have(table, name, is_over) for name in names}
    counted = recent.select(
        *(can.sum().alias(f"of:{name}") for name, can in of.items()),
        *((can & _is_empty(name, is_over)).sum().alias(f"null:{name}") for name, can in of.items()),
    ).collect(engine="streaming")
    for name in names:
        yield name, int(counted[f"of:{name}"].item()), int(counted[f"null:{name}"].item())


def _is_empty(name: str, is_over: pl.Expr) -> pl.Expr:
    """Whether a cell is empty as seen at the moment: an end that lies after it was not there yet."""
    return ~is_over if name == s.ENDED_AT else pl.col(name).is_null()


def _is_skipped(table: str, name: str) -> bool:
    return name in NOT_JUDGED or (s.TABLES[table].is_point and name == s.ENDED_AT)


def _can_have(table: str, name: str, is_over: pl.Expr) -> pl.Expr:
    if name != s.ENDED_AT and name in s.list_learnt_at_end(table):
        return is_over
    return pl.col(s.STARTED_AT).is_not_null()
