"""Measures: how the events of one kind become one number per index moment.

All of them are the same deed: take the events with the flags asked for, keep those in the window, and add
each to the number of the moment it was seen from. Sums run over integers and are divided once at the end,
so the result depends neither on the order of the events nor on who else is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features._events import NO_VALUE, Array, Events, Integers, Mask
from somv_risk.windows import MICROSECONDS_PER_DAY, Lookback

if TYPE_CHECKING:
    from somv_risk.features._spec import Definition

Column = Array | pl.Series
Floats = npt.NDArray[np.float64]

NEVER_NULL: Final = "never null while the tables it needs are present"
NO_EVENT: Final = "no such event in the window"
HALF_LIFE_DAYS: Final = 100
MICROSECONDS_PER_MINUTE: Final = 60_000_000
# Terms that are fractions are summed as whole billionths (and finer), so that the sum has no order.
ENTROPY_SCALE: Final = 1_000_000_000
DECAY_SCALE: Final = 1_000_000_000_000

_LAST: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Measure:
    """One way of measuring: how it is computed, its type, what stands for "no events", and what null means.

    `compute` gives one column per window (one in all if the measure has no window), with an entry per
    moment; NaN stands for null.
    """

    compute: "Callable[[Definition, Events, Sequence[Lookback]], list[Column]]"
    dtype: pl.DataType
    when_none: int | bool | None
    null_means: str
    has_window: bool = True
    needs_value: bool = False
    needs_where: bool = False
    has_halves: bool = False
    counts_days: bool = False


class Chosen:
    """The events that have what a definition asks for, and lie in the largest of the windows."""

    def __init__(self, events: Events, held: Mask, anchor: str, windows: Sequence[Lookback] = ()) -> None:
        self.events = events
        self._ages = events.age(anchor)
        if anchor == "end":
            held = held & ~events.is_open
        if windows:
            held = held & (self._ages <= max(window.microseconds for window in windows))
        self.rows: Integers = np.flatnonzero(held)

    def take(self, values: Array) -> Array:
        """Return the chosen entries."""
        return values if len(self.rows) == len(values) else values[self.rows]

    @cached_property
    def moment(self) -> Integers:
        """Moment of each chosen event."""
        return self.take(self.events.moment)

    @cached_property
    def age(self) -> Integers:
        """Length of the shortest window that each chosen event lies in."""
        return self.take(self._ages)

    def within(self, window: Lookback) -> Mask | slice:
        """Return which of the chosen events lie in the window.

        Where they lie in order of time (as in a large table seen from one index moment), these are the
        last of them, and need not be looked at one by one.
        """
        if self._is_in_order:
            return slice(
                len(self.age) - np.searchsorted(self.age[::-1], window.microseconds, side="right"), None
            )
        return self.age <= window.microseconds

    @cached_property
    def _is_in_order(self) -> bool:
        return bool((self.age[1:] <= self.age[:-1]).all())


def choose(definition: "Definition", events: Events, windows: Sequence[Lookback] = ()) -> Chosen:
    """Choose the events with the flags `where`; by their end only those whose end is known."""
    return Chosen(events, _hold(definition, events), definition.anchor, windows)


def choose_base(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> Chosen:
    """Choose the events with the flags `of`, of which a share or a last one is taken."""
    return Chosen(events, events.having(definition.of), definition.anchor, windows)


def _hold(definition: "Definition", events: Events) -> Mask:
    return events.having(definition.where, definition.match)


def _count(moment: Integers, size: int) -> Integers:
    return np.bincount(moment, minlength=size)


def _add(moment: Integers, values: Integers, size: int) -> Integers:
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, moment, values)
    return total


def _find_least(moment: Integers, values: Integers, size: int) -> Integers:
    least = np.full(size, _LAST)
    np.minimum.at(least, moment, values)
    return least


def _find_most(moment: Integers, values: Integers, size: int) -> Integers:
    most = np.full(size, NO_VALUE)
    np.maximum.at(most, moment, values)
    return most


def _in_days(microseconds: Integers, is_known: Mask | None = None) -> Floats:
    days: Floats = microseconds / MICROSECONDS_PER_DAY
    return days if is_known is None else np.where(is_known, days, np.nan)


def _divide(parts: Integers | Floats, whole: Integers) -> Floats:
    """Divide, null where there is nothing to divide by."""
    quotient: Floats = np.divide(parts, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return quotient


def count_events(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Events in the window."""
    return [counts.astype(np.int32) for counts in _count_chosen(definition, events, windows)]


def _count_chosen(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Integers]:
    chosen = choose(definition, events, windows)
    moment = chosen.moment
    return [_count(moment[chosen.within(window)], events.size) for window in windows]


def tell_any(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether there is any event in the window."""
    return [counts > 0 for counts in _count_chosen(definition, events, windows)]


def compute_trend(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Events in the younger half of the window minus those in its older half."""
    halves = [window.half() for window in windows]
    counts = _count_chosen(definition, events, [*windows, *halves])
    whole, younger = counts[: len(windows)], counts[len(windows) :]
    return [(2 * part - total).astype(np.int32) for part, total in zip(younger, whole, strict=True)]


def sum_days(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days of the part of the intervals that lies inside the window; an open one lasts until the index."""
    return [_in_days(total) for total in _sum_inside(definition, events, windows)]


def compute_days_trend(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days inside the younger half of the window minus days inside its older half."""
    whole = _sum_inside(definition, events, windows)
    younger = _sum_inside(definition, events, [window.half() for window in windows])
    return [_in_days(2 * part - total) for part, total in zip(younger, whole, strict=True)]


def _sum_inside(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Integers]:
    chosen = choose(definition, events)
    return [_add(*_list_inside(chosen, window), events.size) for window in windows]


def _list_inside(chosen: Chosen, window: Lookback) -> tuple[Integers, Integers]:
    """List the moment and the length inside the window of each interval that reaches into it."""
    start_age, end_age = chosen.take(chosen.events.start_age), chosen.take(chosen.events.end_age)
    inside = np.minimum(start_age, window.microseconds) - end_age
    reaches_in = inside > 0
    return chosen.moment[reaches_in], inside[reaches_in]


def find_longest_inside(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[Column]:
    """Days of the longest part of one interval that lies inside the window."""
    chosen = choose(definition, events)
    longest = [_find_most(*_list_inside(chosen, window), events.size) for window in windows]
    return [_in_days(np.maximum(most, 0)) for most in longest]


def tell_never(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether none of the intervals `of` that reach into the window is `where`."""
    intervals = Chosen(events, events.having(definition.of), "part", windows)
    held, moment = intervals.take(_hold(definition, events)), intervals.moment
    counts = [
        (_count(moment[rows], events.size), _count(moment[rows][held[rows]], events.size))
        for rows in map(intervals.within, windows)
    ]
    return [np.where(total > 0, part == 0, np.nan) for total, part in counts]


def find_days_since(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days from the latest event in the window to the index."""
    chosen = choose(definition, events, windows)
    age = _find_least(chosen.moment, chosen.age, events.size)
    return [_in_days(age, age <= window.microseconds) for window in windows]


def find_days_since_first(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[Column]:
    """Days from the earliest event in the window to the index."""
    return [
        _in_days(most, most >= 0)
        for most in _find_most_within(choose(definition, events, windows), None, windows, events.size)
    ]


def _find_most_within(
    chosen: Chosen, values: Integers | None, windows: Sequence[Lookback], size: int
) -> list[Integers]:
    """Find the largest of the values (by default the ages) of the events in each window."""
    moment, counted = chosen.moment, chosen.age if values is None else values
    return [_find_most(moment[rows], counted[rows], size) for rows in map(chosen.within, windows)]


def find_longest(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Largest value in the window, in days."""
    chosen = choose(definition, events, windows)
    values = chosen.take(events.value(definition.measured))
    return [_in_days(most, most >= 0) for most in _find_most_within(chosen, values, windows, events.size)]


def compute_mean(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Mean value in the window, in days."""
    chosen = choose(definition, events, windows)
    values, moment = chosen.take(events.value(definition.measured)), chosen.moment
    columns: list[Column] = []
    for rows in map(chosen.within, windows):
        has_value = values[rows] >= 0
        counted, found = moment[rows][has_value], values[rows][has_value]
        counts = _count(counted, events.size)
        columns.append(_divide(_add(counted, found, events.size), counts * MICROSECONDS_PER_DAY))
    return columns


def compute_decayed(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Sum, over the events in the window, of one half to the power of age over 100 days."""
    chosen = choose(definition, events, windows)
    moment = chosen.moment
    half_lives = chosen.age / (HALF_LIFE_DAYS * MICROSECONDS_PER_DAY)
    weights = np.rint(np.exp2(-half_lives) * DECAY_SCALE).astype(np.int64)
    sums = [_add(moment[rows], weights[rows], events.size) for rows in map(chosen.within, windows)]
    return [total / DECAY_SCALE for total in sums]


def _list_gaps(definition: "Definition", events: Events, window: Lookback) -> tuple[Integers, Integers]:
    """List moment and length of the gaps before the chosen events whose both sides lie in the window."""
    chosen = choose(definition, events, [window])
    gap = chosen.take(events.value(definition.measured))
    inside = (gap >= 0) & (chosen.take(events.start_age) + gap <= window.microseconds)
    return chosen.moment[inside], gap[inside]


def find_smallest(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Smallest gap, in days, between an event and the end of the one before it, both in the window."""
    least = [_find_least(*_list_gaps(definition, events, window), events.size) for window in windows]
    return [_in_days(gap, gap < _LAST) for gap in least]


def find_median_gap(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Median of the gaps, in days; of an even number of them, the mean of the middle two."""
    return [_find_median(*_list_gaps(definition, events, window), events.size) for window in windows]


def _find_median(moment: Integers, values: Integers, size: int) -> Floats:
    counts = _count(moment, size)
    has_any = counts > 0
    in_order = values[np.lexsort((values, moment))]
    first = (np.cumsum(counts) - counts)[has_any]
    middle_two = in_order[first + (counts[has_any] - 1) // 2] + in_order[first + counts[has_any] // 2]
    median = np.full(size, np.nan)
    median[has_any] = middle_two / (2 * MICROSECONDS_PER_DAY)
    return median


def compute_burstiness(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Burstiness of the gaps, from -1 (regular) over 0 (random) to 1 (bursts).

    With mean m and standard deviation s of the gaps in whole minutes: (s - m) / (s + m).
    Source: Goh and Barabási, EPL 2008, doi:10.1209/0295-5075/81/48002.
    """
    return [_compute_burstiness(*_list_gaps(definition, events, window), events.size) for window in windows]


def _compute_burstiness(moment: Integers, gaps: Integers, size: int) -> Floats:
    """Both m and s are taken times the number of gaps, so that only the root leaves the integers."""
    minutes = gaps // MICROSECONDS_PER_MINUTE
    counts, total = _count(moment, size), _add(moment, minutes, size)
    spread = np.sqrt(counts * _add(moment, minutes * minutes, size) - total * total)
    whole = spread + total
    is_known = (counts > 1) & (whole > 0)
    burstiness: Floats = np.divide(spread - total, whole, out=np.full(size, np.nan), where=is_known)
    return burstiness


def compute_share(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Share of the events `of` that are also `where`."""
    base = choose_base(definition, events, windows)
    held = base.take(_hold(definition, events))
    moment = base.moment
    return [
        _divide(_count(moment[rows][held[rows]], events.size), _count(moment[rows], events.size))
        for rows in map(base.within, windows)
    ]


def compute_pair_share(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Share, of the events `of` that follow another in the window, that are also `where`.

    The value measured is the time from the start of the one before. With contacts in the same unit this
    is the sequential continuity of care (SECON): Steinwachs, Medical Care 1979,
    doi:10.1097/00005650-197906000-00001.
    """
    base = choose_base(definition, events, windows)
    held = base.take(_hold(definition, events))
    step, moment = base.take(events.value(definition.measured)), base.moment
    start_age = base.take(events.start_age)
    inside = [(step >= 0) & (start_age + step <= window.microseconds) for window in windows]
    return [
        _divide(_count(moment[rows & held], events.size), _count(moment[rows], events.size))
        for rows in inside
    ]


def tell_last(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether the latest of the events `of` in the window is `where`; of simultaneous ones, any of them."""
    base = choose_base(definition, events, windows)
    held = base.take(_hold(definition, events))
    latest = _find_least(base.moment, 2 * base.age + ~held, events.size)
    return [np.where(latest // 2 <= window.microseconds, latest % 2 == 0, np.nan) for window in windows]


def find_most_within(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Most events in any span of `within_days` that lies inside the window.

    A span is half-open, so two events exactly `within_days` apart are not in the same one. It is begun
    at each event in turn; as everything after the first lies inside the window too, the number in each
    span is the same for all windows.
    """
    chosen = choose(definition, events, windows)
    order = np.lexsort((chosen.age, chosen.moment))
    moment, age = chosen.moment[order], chosen.age[order]
    counts = _count_in_span(moment, age, (definition.within_days or 0) * MICROSECONDS_PER_DAY)
    inside = [age <= window.microseconds for window in windows]
    most = [_find_most(moment[rows], counts[rows], events.size) for rows in inside]
    return [np.maximum(number, 0).astype(np.int32) for number in most]


def _count_in_span(moment: Integers, age: Integers, span: int) -> Integers:
    """Count, for each event, itself and those less than `span` younger; events lie in order of age.

    Each event is compared with the next younger one, then the next again, for as long as any is near
    enough: as many rounds as the fullest span has events.
    """
    counts = np.ones(len(moment), dtype=np.int64)
    near, back = np.arange(len(moment)), 0
    while len(near):
        back += 1
        near = near[near >= back]
        younger = near - back
        near = near[(moment[younger] == moment[near]) & (age[near] - age[younger] < span)]
        counts[near] += 1
    return counts


def count_distinct(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Number of different values in the window."""
    chosen = choose(definition, events, windows)
    moment, age = events.find_youngest(definition.measured, chosen.rows, chosen.age)
    inside = [age <= window.microseconds for window in windows]
    return [_count(moment[rows], events.size).astype(np.int32) for rows in inside]


def _count_by_value(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[tuple[Integers, Integers]]:
    """Count the chosen events of each moment and value, for each window."""
    chosen = choose(definition, events, windows)
    asked = (definition.measured, definition.where, tuple(definition.match.items()), definition.anchor)
    return [
        events.count_by_value(definition.measured, chosen.rows[chosen.within(window)], (*asked, window.days))
        for window in windows
    ]


def compute_continuity(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the Bice-Boxerman continuity of care: 1 if all contacts are with one unit, 0 if all differ.

    With n contacts per unit and N in all: (sum n^2 - N) / (N (N - 1)); null below two contacts.
    Source: Bice and Boxerman, Medical Care 1977, doi:10.1097/00005650-197704000-00010.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(definition, events, windows):
        total = _add(moment, n, events.size)
        columns.append(_divide(_add(moment, n * n, events.size) - total, total * (total - 1)))
    return columns


def compute_concentration(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[Column]:
    """Compute the usual provider continuity (UPC): the share of contacts with the most frequent unit.

    Source: Breslau and Reeb, Journal of Medical Education 1975, doi:10.1097/00001888-197510000-00006.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(definition, events, windows):
        most = np.maximum(_find_most(moment, n, events.size), 0)
        columns.append(_divide(most, _add(moment, n, events.size)))
    return columns


def compute_entropy(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the Shannon entropy (nats) of contacts over units: 0 if all are with one unit.

    Equal to ln N - (sum n ln n) / N for n contacts per unit and N in all.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(definition, events, windows):
        total = _add(moment, n, events.size)
        terms = np.rint(n * np.log(n) * ENTROPY_SCALE).astype(np.int64)
        weighted = _divide(_add(moment, terms, events.size) / ENTROPY_SCALE, total)
        columns.append(np.maximum(np.log(np.maximum(total, 1)) - weighted, 0.0))
    return columns


def tell_now(definition: "Definition", events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Whether such an interval is open at the index."""
    return [_count(events.moment[_is_open(definition, events)], events.size) > 0]


def count_distinct_now(
    definition: "Definition", events: Events, _windows: Sequence[Lookback]
) -> list[Column]:
    """Number of different values among the intervals open at the index."""
    rows = np.flatnonzero(_is_open(definition, events))
    moment, _ = events.find_youngest(definition.measured, rows, events.start_age[rows])
    return [_count(moment, events.size).astype(np.int32)]


def find_days_open(definition: "Definition", events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Days since the start of the interval open at the index that started latest."""
    rows = _is_open(definition, events)
    age = _find_least(events.moment[rows], events.start_age[rows], events.size)
    return [_in_days(age, age < _LAST)]


def _is_open(definition: "Definition", events: Events) -> Mask:
    return events.is_open & _hold(definition, events)


def read_value(definition: "Definition", events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Return the value itself; there is one row per moment, in order."""
    return [events.frame[definition.measured]]


_COUNTED = (pl.Int32(), 0, NEVER_NULL)
_DAYS = pl.Float64()

MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "count": Measure(count_events, *_COUNTED),
        "any": Measure(tell_any, pl.Boolean(), when_none=False, null_means=NEVER_NULL),
        "trend": Measure(compute_trend, *_COUNTED, has_halves=True),
        "decayed": Measure(compute_decayed, _DAYS, 0, NEVER_NULL),
        "days": Measure(sum_days, _DAYS, 0, NEVER_NULL, counts_days=True),
        "days_trend": Measure(compute_days_trend, _DAYS, 0, NEVER_NULL, has_halves=True, counts_days=True),
        "days_since": Measure(find_days_since, _DAYS, None, NO_EVENT),
        "days_since_first": Measure(find_days_since_first, _DAYS, None, NO_EVENT),
        "longest": Measure(find_longest, _DAYS, None, NO_EVENT, needs_value=True),
        "longest_inside": Measure(find_longest_inside, _DAYS, 0, NEVER_NULL, counts_days=True),
        "mean": Measure(compute_mean, _DAYS, None, NO_EVENT, needs_value=True),
        "smallest": Measure(
            find_smallest, _DAYS, None, "fewer than two such events in the window", needs_value=True
        ),
        "median_gap": Measure(
            find_median_gap, _DAYS, None, "fewer than two such events in the window", needs_value=True
        ),
        "burstiness": Measure(
            compute_burstiness, _DAYS, None, "fewer than three such events in the window", needs_value=True
        ),
        "share": Measure(compute_share, _DAYS, None, NO_EVENT, needs_where=True),
        "pair_share": Measure(
            compute_pair_share,
            _DAYS,
            None,
            "fewer than two such events in the window",
            needs_value=True,
            needs_where=True,
        ),
        "last": Measure(tell_last, pl.Boolean(), None, NO_EVENT, needs_where=True),
        "never": Measure(
            tell_never,
            pl.Boolean(),
            None,
            "no interval reaches into the window",
            needs_where=True,
            counts_days=True,
        ),
        "distinct": Measure(count_distinct, *_COUNTED, needs_value=True),
        "most_within": Measure(find_most_within, *_COUNTED),
        "continuity": Measure(
            compute_continuity, _DAYS, None, "fewer than two contacts in the window", needs_value=True
        ),
        "concentration": Measure(compute_concentration, _DAYS, None, NO_EVENT, needs_value=True),
        "entropy": Measure(compute_entropy, _DAYS, None, NO_EVENT, needs_value=True),
        "now": Measure(tell_now, pl.Boolean(), when_none=False, null_means=NEVER_NULL, has_window=False),
        "distinct_now": Measure(count_distinct_now, *_COUNTED, has_window=False, needs_value=True),
        "days_open": Measure(
            find_days_open, _DAYS, None, "no such interval is open at the index", has_window=False
        ),
        "age": Measure(read_value, pl.Int32(), None, "never null", has_window=False, needs_value=True),
        "category": Measure(
            read_value, pl.String(), None, "not recorded", has_window=False, needs_value=True
        ),
    }
)
