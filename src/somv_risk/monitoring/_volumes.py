"""Volumes: every table week by week beside what was expected, and how long its rows take to be known."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.drift import is_small
from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import DelayLimits, VolumeLimits
from somv_risk.monitoring._sources import WEEK, SourceWeeks
from somv_risk.volumes import LEAST_WEEKS, YEAR, Expected, count_stopped, expect, find_high, find_low

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


class Judged:
    """The weeks of one table judged: by when rows started, and by when they became known."""

    def __init__(self, weeks: SourceWeeks, limits: VolumeLimits) -> None:
        rule = limits.build_week_limits()
        self.weeks, self.shown = weeks, slice(-limits.weeks, None)
        self.expected = expect(weeks.rows, weeks.known, rule)
        self.stopped = count_stopped(weeks.rows, self.expected, rule)
        all_known = np.ones(len(weeks.rows))
        self.arrivals = expect(weeks.arrived, all_known, rule)
        self.arrivals_stopped = count_stopped(weeks.arrived, self.arrivals, rule)
        self.is_low = find_low(weeks.rows, weeks.known, self.expected, rule) & ~self._mark(self.stopped)
        self.is_high = find_high(weeks.rows, weeks.known, self.expected, rule)

    def _mark(self, weeks: int) -> npt.NDArray[np.bool_]:
        """Mark the last weeks."""
        return np.arange(len(self.weeks.rows)) >= len(self.weeks.rows) - weeks

    def tell(self) -> Iterator[dict[str, Any]]:
        """Tell of each week, first by start and then by when rows became known."""
        verdicts = np.where(self.is_low, "low", np.where(self.is_high, "high", "usual")).astype(object)
        verdicts[self._mark(self.stopped)] = "stopped"
        yield from self._tell(STARTED, self.weeks.rows, self.expected, verdicts)
        if self.weeks.arrived.any():
            arrived = np.where(self._mark(self.arrivals_stopped), "stopped", "usual").astype(object)
            yield from self._tell(KNOWN, self.weeks.arrived, self.arrivals, arrived)

    def _tell(
        self, by: str, rows: FloatArray, expected: Expected, verdicts: npt.NDArray[np.object_]
    ) -> Iterator[dict[str, Any]]:
        columns = (self.weeks.starts, rows, expected.rows, expected.low, expected.high, verdicts)
        for week, count, hoped, low, high, verdict in zip(*(c[self.shown] for c in columns), strict=True):
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


def find_runs(marks: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Find the first and last places of runs of marks.

    Examples
    --------
    >>> find_runs(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    steps = np.diff(np.concatenate([[0], marks.astype(np.int8), [0]]))
    firsts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [(int(first), int(end) - 1) for first, end in zip(firsts, ends, strict=True)]


def tabulate_volumes(weeks: Mapping[str, SourceWeeks], limits: VolumeLimits) -> pl.DataFrame:
    """Tabulate rows per table and week, with what was expected; counts below five are hidden, but not zero.

    `by` is "started" or, of tables that say when rows became known, "known". `verdict`: "usual", "low",
    "high", "stopped"; null if there was nothing to expect from.
    """
    rows = [row for one in weeks.values() for row in Judged(one, limits).tell()]
    return pl.DataFrame(rows, schema=SCHEMA)


def find_volume_alarms(weeks: Mapping[str, SourceWeeks], limits: VolumeLimits) -> Iterator[Alarm]:
    """Find alarms of volumes; a table without any row is told of as empty."""
    for one in weeks.values():
        if one.rows[-YEAR:].any():
            yield from Judged(one, limits).find_alarms(limits)


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
