"""Week volumes: how many rows a source gives week by week, and weeks in which it gives too few or too many.

Weeks are numbered back from a moment: the last seven days before it are week 1.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from somv_risk.cohort.weeks import YEAR

FloatArray = npt.NDArray[np.float64]

LEAST_WEEKS: Final = 8
LEAST_KNOWN: Final = 0.5
SEASON: Final = (0.5, 2.0)
_OFFSET: Final = 3 / 8
# Quantiles that tell the spread of weeks, and how far from the median they lie in units of it.
_LOWER, _LOWER_REACH = 0.2, 0.8416212335729143
_UPPER, _UPPER_REACH = 0.9, 1.2815515655446004


@dataclass(frozen=True, slots=True)
class WeekLimits:
    """When a week is out of the ordinary: beyond chance, and by more than a share of what is expected.

    `deviations` is in standard deviations of a week; `low`, `high` and `stopped` are shares of the expected
    number, the last for all weeks to the end together.
    """

    deviations: float = 5.0
    low: float = 0.7
    high: float = 1.4
    stopped: float = 0.1


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of each week, oldest first; NaN where fewer than 8 weeks came before it.

    `low` and `high` are the ends of the band.
    """

    rows: FloatArray
    low: FloatArray
    high: FloatArray


def expect(rows: FloatArray, known: FloatArray, limits: WeekLimits) -> Expected:
    """Expect of each week the median of the 52 before it, as far as its rows can be known already.

    Parameters
    ----------
    rows
        Rows per week, oldest first.
    known
        Share of a week's rows that can be known by now, 0 to 1: a source with a delay has not told all yet.

    Notes
    -----
    Where last year's week (or one beside it) was low or high, such as at Christmas, so much is expected of
    this one, between half and twice. The band is one of Poisson counts by their square root (Anscombe 1948,
    doi 10.1093/biomet/35.3-4.246), widened by how far the weeks before were spread, below and above: starts
    of spells crowd on the first of a month.
    """
    whole = rows / np.maximum(known, LEAST_KNOWN)
    level = np.array([_find_level(whole[:place]) for place in range(len(rows))])
    low_season, high_season = _find_season(whole, level)
    reach = np.array([_find_reach(whole[:place]) for place in range(len(rows))])
    lowest, highest = level * known * low_season, level * known * high_season
    return Expected(
        rows=level * known,
        low=_move(lowest, -limits.deviations * reach[:, 0]),
        high=_move(highest, limits.deviations * reach[:, 1]),
    )


def _find_level(before: FloatArray) -> float:
    return float(np.median(before[-YEAR:])) if len(before) >= LEAST_WEEKS else np.nan


def _find_reach(before: FloatArray) -> tuple[float, float]:
    """Find how many times as far as Poisson counts the weeks were spread, below and above; at least once."""
    if len(before) < LEAST_WEEKS:
        return np.nan, np.nan
    root = 2 * np.sqrt(before[-YEAR:] + _OFFSET)
    low, middle, high = np.quantile(root, [_LOWER, 0.5, _UPPER])
    return max(1.0, (middle - low) / _LOWER_REACH), max(1.0, (high - middle) / _UPPER_REACH)


def _find_season(rows: FloatArray, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find the lowest and the highest share of the expected in the three weeks around last year's week."""
    ratio = np.divide(rows, level, out=np.full(len(rows), np.nan), where=level > 0)
    around = np.full((3, len(rows)), 1.0)
    for line, back in zip(around, (YEAR - 1, YEAR, YEAR + 1), strict=True):
        line[back:] = np.nan_to_num(ratio[: len(ratio) - back], nan=1.0)
    return np.clip(around.min(axis=0), SEASON[0], 1.0), np.clip(around.max(axis=0), 1.0, SEASON[1])


def _move(rows: FloatArray, deviations: FloatArray) -> FloatArray:
    """Move counts by standard deviations, as their square roots."""
    return np.asarray(np.maximum(np.sqrt(rows + _OFFSET) + deviations / 2, _OFFSET**0.5) ** 2 - _OFFSET)


def find_low(
    rows: FloatArray, known: FloatArray, expected: Expected, limits: WeekLimits
) -> npt.NDArray[np.bool_]:
    """Find weeks with too few rows, among those of which at least half can be known."""
    is_few = rows <= limits.low * expected.rows
    return np.asarray((known >= LEAST_KNOWN) & is_few & (rows < expected.low))


def find_high(
    rows: FloatArray, known: FloatArray, expected: Expected, limits: WeekLimits
) -> npt.NDArray[np.bool_]:
    """Find weeks with too many rows, among those of which at least half can be known."""
    is_many = rows >= limits.high * expected.rows
    return np.asarray((known >= LEAST_KNOWN) & is_many & (rows > expected.high))


def count_stopped(rows: FloatArray, expected: Expected, limits: WeekLimits) -> int:
    """Count the weeks since a source stopped: the longest time to the end with next to no rows, or 0.

    A scarce source may give nothing for weeks by chance; then it takes longer until it counts as stopped.
    """
    got = np.cumsum(rows[::-1])
    hoped = np.cumsum(np.nan_to_num(expected.rows)[::-1])
    is_stopped = (got <= limits.stopped * hoped) & (
        got < _move(hoped, np.full(len(hoped), -limits.deviations))
    )
    weeks = np.flatnonzero(is_stopped)
    # The last week of the time must itself be empty, or the count would reach into weeks that were whole.
    while (
        len(weeks) and rows[::-1][weeks[-1]] > limits.stopped * np.nan_to_num(expected.rows)[::-1][weeks[-1]]
    ):
        weeks = weeks[:-1]
    return int(weeks[-1]) + 1 if len(weeks) else 0
