"""Measures: what one event adds to the columns of a feature, and how sums become numbers at the end.

`row` is the person's line of the matrix. Ages are microseconds from a moment to the index: all are above 0,
except that the end of an open event has age 0. Sums are integers and are divided once, when they are written.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.kernel.columns import FEATURE_NAMES, Column, compiled
from somv_risk.cohort.windows import MICROSECONDS_PER_DAY as DAY

Row = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

HALF_LIFE = 100 * DAY
WEIGHT_DIGITS, DECAY_DIGITS = 24, 42
ENTROPY_SCALE = 1_000_000_000  # the entropy has nine decimals
MINUTE = 60_000_000
_WIDTH = len(FEATURE_NAMES)


class Sums(NamedTuple):
    """For each column a sum and a number of events, back at 0 after every person."""

    total: Integers
    events: Integers


class Tally(NamedTuple):
    """How often each code was met, and the list of those that were."""

    times: Integers
    codes: Integers


def make_sums() -> Sums:
    return Sums(np.zeros(_WIDTH, np.int64), np.zeros(_WIDTH, np.int64))


def make_tally(codes: int) -> Tally:
    return Tally(np.zeros(codes, np.int64), np.zeros(codes, np.int64))


# Counting


@compiled
def count(row: Row, column: Column, age: int) -> None:
    for w in range(len(column.windows) - 1, -1, -1):
        if age > column.windows[w]:
            break
        row[column.first + w] += 1


@compiled
def mark(row: Row, column: Column, age: int) -> None:
    """Note that there is such an event in the window."""
    if age <= column.windows[0]:
        row[column.first] = 1


@compiled
def count_trend(row: Row, column: Column, age: int) -> None:
    """Add an event of the younger half of the window, take off one of the older."""
    if age <= column.windows[0]:
        row[column.first] += 1 if 2 * age <= column.windows[0] else -1


@compiled
def count_most_within(row: Row, column: Column, ages: Integers, events: int) -> None:
    """Count the events in the fullest span; `ages` ascend, and a span that ends in the window lies in it."""
    youngest = 0
    for oldest in range(events):
        while ages[oldest] - ages[youngest] >= column.span:
            youngest += 1
        for w in range(len(column.windows) - 1, -1, -1):
            if ages[oldest] > column.windows[w]:
                break
            row[column.first + w] = max(row[column.first + w], oldest - youngest + 1)


@compiled
def count_pair(sums: Sums, column: Column, older_age: int, is_where: bool) -> None:  # noqa: FBT001 - no keywords in numba
    """Count a pair of neighbours that both lie in the window."""
    if older_age <= column.windows[0]:
        sums.events[column.first] += 1
        sums.total[column.first] += is_where


# Sums


@compiled
def add_share(sums: Sums, column: Column, age: int, is_where: bool) -> None:  # noqa: FBT001
    for w in range(len(column.windows) - 1, -1, -1):
        if age > column.windows[w]:
            break
        sums.events[column.first + w] += 1
        sums.total[column.first + w] += is_where


@compiled
def write_share(row: Row, sums: Sums, column: Column) -> None:
    _write_ratio(row, sums, column, 1)


@compiled
def add_mean(sums: Sums, column: Column, age: int, value: int) -> None:
    for w in range(len(column.windows) - 1, -1, -1):
        if age > column.windows[w]:
            break
        sums.events[column.first + w] += 1
        sums.total[column.first + w] += value


@compiled
def write_mean(row: Row, sums: Sums, column: Column) -> None:
    """Write a mean of durations, in days."""
    _write_ratio(row, sums, column, DAY)


@compiled
def _write_ratio(row: Row, sums: Sums, column: Column, unit: int) -> None:
    for place in range(column.first, column.first + len(column.windows)):
        if sums.events[place] > 0:
            row[place] = sums.total[place] / (sums.events[place] * unit)
        sums.events[place] = sums.total[place] = 0


@compiled
def find_inside(window: int, start_age: int, end_age: int) -> int:
    """Find how long an event lies inside a window."""
    return max(min(start_age, window) - end_age, 0)


@compiled
def add_days(sums: Sums, column: Column, start_age: int, end_age: int) -> None:
    for w in range(len(column.windows)):
        sums.total[column.first + w] += find_inside(column.windows[w], start_age, end_age)


@compiled
def add_days_trend(sums: Sums, column: Column, start_age: int, end_age: int) -> None:
    """Add what lies in the younger half of the window, take off what lies in the older."""
    window = column.windows[0]
    younger = find_inside(window // 2, start_age, end_age)
    sums.total[column.first] += 2 * younger - find_inside(window, start_age, end_age)


@compiled
def add_decayed(sums: Sums, column: Column, age: int) -> None:
    if age <= column.windows[0]:
        digits = np.int64(round(0.5 ** (age % HALF_LIFE / HALF_LIFE) * 2**WEIGHT_DIGITS))
        sums.total[column.first] += digits << (DECAY_DIGITS - WEIGHT_DIGITS) >> age // HALF_LIFE


@compiled
def write_days(row: Row, sums: Sums, column: Column) -> None:
    _write_divided(row, sums, column, DAY)


@compiled
def write_decayed(row: Row, sums: Sums, column: Column) -> None:
    _write_divided(row, sums, column, 2**DECAY_DIGITS)


@compiled
def _write_divided(row: Row, sums: Sums, column: Column, unit: int) -> None:
    for place in range(column.first, column.first + len(column.windows)):
        row[place] = sums.total[place] / unit
        sums.total[place] = 0


# Extremes: rounding to float32 keeps the order, so that the largest of the rounded is the largest, rounded.


@compiled
def keep_least_days(row: Row, column: Column, age: int, value: int) -> None:
    for w in range(len(column.windows)):
        if age <= column.windows[w]:
            days = np.float32(value / DAY)
            place = column.first + w
            if not row[place] <= days:
                row[place] = days


@compiled
def keep_most_days(row: Row, column: Column, age: int, value: int) -> None:
    for w in range(len(column.windows)):
        if age <= column.windows[w]:
            days = np.float32(value / DAY)
            place = column.first + w
            if not row[place] >= days:
                row[place] = days


@compiled
def keep_most_inside(row: Row, column: Column, start_age: int, end_age: int) -> None:
    inside = find_inside(column.windows[0], start_age, end_age)
    row[column.first] = max(row[column.first], np.float32(inside / DAY))


@compiled
def keep_least_age(row: Row, column: Column, age: int) -> None:
    """Keep the days since the latest event in the window."""
    keep_least_days(row, column, age, age)


@compiled
def keep_most_age(row: Row, column: Column, age: int) -> None:
    """Keep the days since the earliest event in the window."""
    keep_most_days(row, column, age, age)


# Different values


@compiled
def is_new(tally: Tally, met: int, code: int) -> bool:
    """Count a code that is not null, and tell whether it is the first time; `met` codes were met before."""
    if code < 0:
        return False
    tally.times[code] += 1
    if tally.times[code] > 1:
        return False
    tally.codes[met] = code
    return True


@compiled
def clear(tally: Tally, met: int) -> None:
    for place in range(met):
        tally.times[tally.codes[place]] = 0


@compiled
def count_bits(bits: int) -> int:
    found = 0
    while bits:
        bits &= bits - 1
        found += 1
    return found


@compiled
def write_continuity(row: Row, place: int, tally: Tally, met: int) -> None:
    """Bice-Boxerman: (sum n^2 - N) / (N (N - 1))."""
    squares, total = 0, 0
    for code in tally.codes[:met]:
        squares += tally.times[code] ** 2
        total += tally.times[code]
    if total > 1:
        row[place] = (squares - total) / (total * (total - 1))


@compiled
def write_entropy(row: Row, place: int, tally: Tally, met: int) -> None:
    """Shannon, in nats: ln N - (sum n ln n) / N, in whole billionths."""
    weighted, total = 0.0, 0
    for code in tally.codes[:met]:
        times = tally.times[code]
        weighted += times * np.log(times)
        total += times
    if total > 0:
        row[place] = round((np.log(total) - weighted / total) * ENTROPY_SCALE) / ENTROPY_SCALE


@compiled
def write_concentration(row: Row, place: int, tally: Tally, met: int) -> None:
    """UPC: the share of the most frequent code."""
    most, total = 0, 0
    for code in tally.codes[:met]:
        most = max(most, tally.times[code])
        total += tally.times[code]
    if total > 0:
        row[place] = most / total


# Gaps


@compiled
def _sort(values: Integers, found: int) -> None:
    """Sort the first few values where they stand: quicker for a handful than a library's sort."""
    for i in range(1, found):
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@compiled
def write_median(row: Row, place: int, gaps: Integers, found: int) -> None:
    if found > 0:
        _sort(gaps, found)
        row[place] = (gaps[(found - 1) // 2] + gaps[found // 2]) / 2 / DAY


@compiled
def write_burstiness(row: Row, place: int, gaps: Integers, found: int) -> None:
    """(s - m) / (s + m) of the gaps in whole minutes, from s / m."""
    if found < 2:
        return
    total, squares = 0, 0
    for gap in gaps[:found]:
        total += gap // MINUTE
        squares += (gap // MINUTE) ** 2
    if total > 0:
        relative = np.sqrt((found * squares - total * total) / (total * total))
        row[place] = (relative - 1) / (relative + 1)
