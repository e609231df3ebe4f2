"""Volumes: every table week by week beside what was expected, and how long its rows take to be known."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.weeks import WEEK, YEAR, SourceWeeks
from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.metrics.drift import is_small
from somv_risk.metrics.week_volumes import (
    LEAST_WEEKS,
    Expected,
    count_stopped,
    expect,
    find_high,
    find_low,
)
from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import DelayLimits, VolumeLimits

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

BEFORE: Final = 2 * YEAR + 1  # weeks to learn from before the first that is looked at
NOTHING_BEFORE: Final = f"Fewer than {LEAST_WEEKS} weeks come before it."
STARTED: Final = "started"
KNOWN: Final = "known"
LEAST_SPREAD: Final = 0.5  # days; medians of weeks are hardly ever alike to the hour
SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "table": pl.String,
    "by": pl.String,
    "week": pl.Datetime("us"),
    "rows": pl.Int64,
    "expected": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "verdict": pl.String,
    "note": pl.String,
}
DELAYS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "table": pl.String,
    "week": pl.Datetime("us"),
    "rows": pl.Int64,
    "median_days": pl.Float64,
    "note": pl.String,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The weeks of one table judged: by when rows started, and by when they became known (`arrivals`).

    `stopped` counts the weeks since nothing came.
    """

    weeks: SourceWeeks
    shown: int
    expected: Expected
    arrivals: Expected
    stopped: int
    arrivals_stopped: int
    is_low: BoolArray
    is_high: BoolArray

    def tell(self) -> Iterator[dict[str, Any]]:
        """Tell of each week, first by start and then by when rows became known."""
        verdicts = np.where(self.is_low, "low", np.where(self.is_high, "high", "usual")).astype(object)
        verdicts[_mark_last(len(verdicts), self.stopped)] = "stopped"
        yield from self._tell(STARTED, self.weeks.rows, self.expected, verdicts)
        if self.weeks.arrived.any():
            arrived = np.where(_mark_last(len(verdicts), self.arrivals_stopped), "stopped", "usual")
            yield from self._tell(KNOWN, self.weeks.arrived, self.arrivals, arrived)

    def _tell(
        self, by: str, rows: FloatArray, expected: Expected, verdicts: npt.NDArray[Any]
    ) -> Iterator[dict[str, Any]]:
        columns = (self.weeks.starts, rows, expected.rows, expected.low, expected.high, verdicts)
        for week, count, hoped, low, high, verdict in zip(*(c[-self.shown :] for c in columns), strict=True):
            is_hidden = is_small(int(count))
            head = {"table": self.weeks.table, "by": by, "week": week}
            if np.isnan(hoped):
                note = NOTHING_BEFORE
                yield head | {"rows": None if is_hidden else int(count), "note": note}
                continue
            is_scarce = hoped < SMALLEST
            yield head | {
                "rows": None if is_hidden else int(count),
                "expected": None if is_scarce else hoped,
                "low": None if is_scarce else low,
                "high": None if is_scarce else high,
                "verdict": verdict,
                "note": FEW if is_hidden or is_scarce else None,
            }

    def find_alarms(self, limits: VolumeLimits) -> Iterator[Alarm]:
        """Find what is out of the ordinary and touches the last weeks."""
        table, count = self.weeks.table, len(self.weeks.rows)
        recent = count - limits.alarm_weeks
        if self.stopped:
            yield self._say_stopped("stopped", self.weeks.rows, self.expected, self.stopped, limits)
        elif self.arrivals_stopped:
            yield self._say_stopped(
                "arrivals_stopped", self.weeks.arrived, self.arrivals, self.arrivals_stopped, limits
            )
        for kind, marks, limit in (
            ("weeks_low", self.is_low, limits.low),
            ("weeks_high", self.is_high, limits.high),
        ):
            for first, last in find_runs(marks):
                if last >= recent:
                    part = slice(first, last + 1)
                    share = self.weeks.rows[part].sum() / self.expected.rows[part].sum()
                    more = {"since": self.weeks.starts[first], "until": self.weeks.starts[last] + WEEK}
                    yield Alarm(kind, table, float(share), limit, more)

    def _say_stopped(
        self, kind: str, rows: FloatArray, expected: Expected, weeks: int, limits: VolumeLimits
    ) -> Alarm:
        share = float(rows[-weeks:].sum() / np.nansum(expected.rows[-weeks:]))
        return Alarm(kind, self.weeks.table, share, limits.stopped, {"since": self.weeks.starts[-weeks]})


def judge_weeks(weeks: SourceWeeks, limits: VolumeLimits) -> Judged:
    """Judge the weeks of one table."""
    rule, all_known = limits.build_week_limits(), np.ones(len(weeks.rows))
    expected = expect(weeks.rows, weeks.known, rule)
    arrivals = expect(weeks.arrived, all_known, rule)
    stopped = count_stopped(weeks.rows, expected, rule)
    is_gone = _mark_last(len(weeks.rows), stopped)
    return Judged(
        weeks=weeks,
        shown=limits.weeks,
        expected=expected,
        arrivals=arrivals,
        stopped=stopped,
        arrivals_stopped=count_stopped(weeks.arrived, arrivals, rule),
        is_low=find_low(weeks.rows, weeks.known, expected, rule) & ~is_gone,
        is_high=find_high(weeks.rows, weeks.known, expected, rule),
    )


def _mark_last(weeks: int, last: int) -> BoolArray:
    return np.arange(weeks) >= weeks - last


def find_runs(marks: BoolArray) -> list[tuple[int, int]]:
    """Find the first and last places of runs of marks.

    Examples
    --------
    >>> find_runs(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    steps = np.diff(np.concatenate([[0], marks.astype(np.int8), [0]]))
    firsts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [(int(first), int(end) - 1) for first, end in zip(firsts, ends, strict=True)]


def tabulate_volumes(judged: Iterable[Judged]) -> pl.DataFrame:
    """Tabulate rows per table and week, with what was expected; counts below five are hidden, but not zero.

    `by` is "started" or, of tables that say when rows became known, "known". `verdict`: "usual", "low",
    "high", "stopped"; null if there was nothing to expect from.
    """
    rows = [row for one in judged for row in one.tell()]
    return pl.DataFrame(rows, schema=SCHEMA)


def find_volume_alarms(judged: Iterable[Judged], limits: VolumeLimits) -> Iterator[Alarm]:
    """Find alarms of volumes; a table without any row is told of as empty."""
    for one in judged:
        if one.weeks.rows[-YEAR:].any():
            yield from one.find_alarms(limits)


def tabulate_delays(weeks: Mapping[str, SourceWeeks], limits: VolumeLimits) -> pl.DataFrame:
    """Tabulate the median delay of the rows that became known in each week."""
    rows = [
        {
            "table": one.table,
            "week": week,
            "rows": None if is_small(int(count)) else int(count),
            "median_days": None if np.isnan(days) else days,
            "note": FEW if is_small(int(count)) else None,
        }
        for one in weeks.values()
        if one.arrived.any()
        for week, count, days in list(zip(one.starts, one.arrived, one.delays, strict=True))[-limits.weeks :]
    ]
    return pl.DataFrame(rows, schema=DELAYS)


def find_delay_alarms(weeks: Mapping[str, SourceWeeks], limits: DelayLimits) -> Iterator[Alarm]:
    """Find tables whose rows have come to take longer, or less long, until they are known."""
    for one in weeks.values():
        late = one.delays[-limits.weeks :]
        before = one.delays[: -limits.weeks][-YEAR:]
        if np.isnan(late).all() or (~np.isnan(before)).sum() < LEAST_WEEKS:
            continue
        usual, now = float(np.nanmedian(before)), float(np.nanmedian(late))
        spread = max(LEAST_SPREAD, 1.4826 * float(np.nanmedian(np.abs(before - usual))))
        if abs(now - usual) > max(limits.days, limits.deviations * spread):
            yield Alarm("delay", one.table, now, limits.days, {"expected": usual})


def count_needed(limits: VolumeLimits) -> int:
    """Count the weeks to read: those that are looked at and those that are learnt from."""
    return limits.weeks + BEFORE
