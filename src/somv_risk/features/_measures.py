"""Measures: how the events of one kind become one number per index moment.

All of them are the same deed: take the events with the flags asked for, keep those in the window, and add
each to the number of the moment it was seen from. Sums run over integers and are divided once at the end,
so the result depends neither on the order of the events nor on who else is measured, and what is equal by
the words of a measure is equal to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY, Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Array, Chosen, Events
from somv_risk.features._loops import NEVER, Codes, Integers, Mask, Moments, Places
from somv_risk.features._texts import Coded

if TYPE_CHECKING:
    from somv_risk.features._spec import Definition

Column = Array | Coded
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

NEVER_NULL: Final = "never null while the tables it needs are present"
NO_EVENT: Final = "no such event in the window"
WITHOUT_VALUE: Final = "no such event with a value in the window"
TOO_FEW_VALUES: Final = "fewer than two such events with a value in the window"
NO_GAP: Final = "no such event that follows another, with both sides of the gap between them in the window"
HALF_LIFE_DAYS: Final = 100
MICROSECONDS_PER_MINUTE: Final = 60_000_000
# A weight has 24 binary digits and is halved exactly; weights are summed as whole parts of the scale, so that
# the sum has no order, and two events of half the weight are as much as one.
WEIGHT_DIGITS: Final = 24
DECAY_DIGITS: Final = 42
# Far finer than one contact more, far coarser than what logarithms of different libraries differ by.
ENTROPY_DECIMALS: Final = 9


@dataclass(frozen=True, slots=True)
class Measure:
    """One way of measuring: how it is computed, its type, what stands for "no events", and what null means.

    `compute` gives one column per window (one in all if the measure has no window), with an entry per
    moment; NaN stands for null. `version` is raised whenever the same events come to give another number.
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
    version: int = 1


def choose(definition: "Definition", events: Events) -> Chosen:
    """Choose the events that have the flags `where` and match the texts."""
    return events.choose(definition.where, definition.match, definition.anchor)


def choose_base(definition: "Definition", events: Events) -> Chosen:
    """Choose the events with the flags `of`, of which a share or a last one is taken."""
    return events.choose(definition.of, anchor=definition.anchor)


def choose_part(definition: "Definition", events: Events) -> Chosen:
    """Choose, of the events `of`, those that are also `where`."""
    return events.choose((*definition.of, *definition.where), definition.match, definition.anchor)


def _lengths(windows: Sequence[Lookback]) -> Integers:
    return _list_lengths(tuple(windows))


@cache
def _sort_lengths(windows: tuple[Lookback, ...]) -> tuple[Places | slice, Integers]:
    """Sort the lengths, and tell where each window then stands."""
    lengths = _list_lengths(windows)
    if (np.diff(lengths) >= 0).all():
        return slice(None), lengths
    order = np.argsort(lengths, kind="stable")
    in_order = lengths[order]
    in_order.flags.writeable = False
    return np.argsort(order), in_order


@cache
def _list_lengths(windows: tuple[Lookback, ...]) -> Integers:
    lengths = np.array([window.microseconds for window in windows], dtype=np.int64)
    lengths.flags.writeable = False
    return lengths


# The following work on all windows at once: their results have the shape (windows, moments).


def _count(chosen: Chosen, windows: Sequence[Lookback], size: int) -> Counts:
    order, lengths = _sort_lengths(tuple(windows))
    return loops.count(chosen.moment, chosen.age, lengths, size)[order]


def _add(chosen: Chosen, values: Integers, windows: Sequence[Lookback], size: int) -> Integers:
    return loops.add(chosen.moment, chosen.age, values, _lengths(windows), size)


def _find_least(chosen: Chosen, values: Integers, windows: Sequence[Lookback], size: int) -> Integers:
    return loops.find_least(chosen.moment, chosen.age, values, _lengths(windows), size)


def _find_most(chosen: Chosen, values: Integers, windows: Sequence[Lookback], size: int) -> Integers:
    return loops.find_most(chosen.moment, chosen.age, values, _lengths(windows), size)


def _keep(chosen: Chosen, held: Mask, values: Integers) -> tuple[Chosen, Integers]:
    """Keep those chosen that are held, and their values."""
    rows = np.flatnonzero(held)
    return Chosen(None, chosen.moment[rows], chosen.age[rows]), values[rows]


def _in_days(microseconds: Integers, least: int = -NEVER) -> list[Column]:
    """List the columns in days; what is below the least, or never, is null."""
    return [*loops.to_days(microseconds, least)]


def _divide(parts: Array, whole: Array) -> list[Column]:
    """List the quotients, null where there is nothing to divide by."""
    return [*loops.divide(parts, whole)]


def count_events(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Events in the window."""
    return [*_count(choose(definition, events), windows, events.size)]


def tell_any(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether there is any event in the window."""
    return [*(_count(choose(definition, events), windows, events.size) > 0)]


def compute_trend(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Events in the younger half of the window minus those in its older half."""
    halves = [window.half() for window in windows]
    counts = _count(choose(definition, events), [*windows, *halves], events.size)
    return [*(2 * counts[len(windows) :] - counts[: len(windows)])]


def sum_days(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days of the part of the intervals that lies inside the window; an open one lasts until the index."""
    return _in_days(_measure_inside(loops.add_inside, definition, events, windows))


def compute_days_trend(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days inside the younger half of the window minus days inside its older half."""
    halves = [window.half() for window in windows]
    inside = _measure_inside(loops.add_inside, definition, events, [*windows, *halves])
    return _in_days(2 * inside[len(windows) :] - inside[: len(windows)])


def find_longest_inside(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[Column]:
    """Days of the longest part of one interval that lies inside the window."""
    return _in_days(_measure_inside(loops.find_most_inside, definition, events, windows))


def _measure_inside(
    measure: Callable[..., Integers], definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> Integers:
    chosen = events.choose(definition.where, definition.match)
    start_age, end_age = chosen.take(events.start_age), chosen.take(events.end_age)
    return measure(chosen.moment, start_age, end_age, _lengths(windows), events.size)


def tell_never(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether none of the intervals `of` that reach into the window is `where`."""
    whole = _count(events.choose(definition.of, anchor="part"), windows, events.size)
    held = events.choose((*definition.of, *definition.where), definition.match, "part")
    part = _count(held, windows, events.size)
    return [*np.where(whole > 0, part == 0, np.nan)]


def find_days_since(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days from the latest event in the window to the index."""
    chosen = choose(definition, events)
    return _in_days(_find_least(chosen, chosen.age, windows, events.size))


def find_days_since_first(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[Column]:
    """Days from the earliest event in the window to the index."""
    chosen = choose(definition, events)
    return _in_days(_find_most(chosen, chosen.age, windows, events.size), least=0)


def find_longest(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Largest value in the window, in days."""
    chosen = choose(definition, events)
    values = chosen.take(events.values[definition.measured])
    return _in_days(_find_most(chosen, values, windows, events.size), least=0)


def compute_mean(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Mean value in the window, in days."""
    chosen = choose(definition, events)
    values = chosen.take(events.values[definition.measured])
    known, values = _keep(chosen, values >= 0, values)
    counts = _count(known, windows, events.size).astype(np.int64)
    return _divide(_add(known, values, windows, events.size), counts * MICROSECONDS_PER_DAY)


def compute_decayed(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Sum, over the events in the window, of one half to the power of age over 100 days."""
    chosen = choose(definition, events)
    weights = _weigh(chosen.age)
    return [*(_add(chosen, weights, windows, events.size) / 2**DECAY_DIGITS)]


def _weigh(age: Integers) -> Integers:
    """Weigh events by their age, in parts of which an event of this very moment has `2**DECAY_DIGITS`."""
    half_life = HALF_LIFE_DAYS * MICROSECONDS_PER_DAY
    halvings, since = np.divmod(age, half_life)
    within = np.rint(np.exp2(-since / half_life) * 2**WEIGHT_DIGITS)
    weights = np.rint(np.ldexp(within, DECAY_DIGITS - WEIGHT_DIGITS - halvings))
    return np.asarray(weights, dtype=np.int64)


def _list_gaps(definition: "Definition", events: Events) -> tuple[Chosen, Integers]:
    """List the gaps before the chosen events, whatever the events before them are.

    The age of a gap is that of its older side: it lies in a window if both its sides do.
    """
    chosen = choose(definition, events)
    return _list_pairs(chosen, events, definition.measured)


def _list_pairs(chosen: Chosen, events: Events, measured: str) -> tuple[Chosen, Integers]:
    """List those chosen that follow another one, which is as much older as the value measured says."""
    step = chosen.take(events.values[measured])
    older = Chosen(None, chosen.moment, chosen.take(events.start_age) + step)
    return _keep(older, step >= 0, step)


def find_smallest(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Smallest gap, in days, between an event and the end of the one before it, both in the window."""
    return _in_days(_find_least(*_list_gaps(definition, events), windows, events.size))


def find_median_gap(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Median of the gaps, in days; of an even number of them, the mean of the middle two."""
    gaps, lengths = _list_gaps(definition, events)
    inside = [np.flatnonzero(gaps.age <= window.microseconds) for window in windows]
    return [_find_median(gaps.moment[rows], lengths[rows], events.size) for rows in inside]


def _find_median(moment: Moments, values: Integers, size: int) -> Floats:
    counts = np.bincount(moment, minlength=size)
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
    # Only s / m leaves the integers: it is the same for the same gaps in another unit, or each of them twice.
    gaps, lengths = _list_gaps(definition, events)
    minutes = lengths // MICROSECONDS_PER_MINUTE
    counts = _count(gaps, windows, events.size).astype(np.int64)
    total = _add(gaps, minutes, windows, events.size)
    squares = counts * _add(gaps, minutes * minutes, windows, events.size)
    relative = np.sqrt(loops.divide(squares - total * total, total * total))
    return [*np.where(counts > 1, (relative - 1) / (relative + 1), np.nan)]


def compute_share(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Share of the events `of` that are also `where`."""
    part = _count(choose_part(definition, events), windows, events.size)
    return _divide(part, _count(choose_base(definition, events), windows, events.size))


def compute_pair_share(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Share, of the events `of` that follow another in the window, that are also `where`.

    The value measured is the time from the start of the one before. With contacts in the same unit this
    is the sequential continuity of care (SECON): Steinwachs, Medical Care 1979,
    doi:10.1097/00005650-197906000-00001.
    """
    part, whole = (
        _count(_list_pairs(chosen, events, definition.measured)[0], windows, events.size)
        for chosen in (choose_part(definition, events), choose_base(definition, events))
    )
    return _divide(part, whole)


def tell_last(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether the latest of the events `of` in the window is `where`; of simultaneous ones, any of them."""
    base, part = (
        _find_least(chosen, chosen.age, windows, events.size)
        for chosen in (choose_base(definition, events), choose_part(definition, events))
    )
    return [*np.where(base < NEVER, part == base, np.nan)]


def find_most_within(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Most events in any span of `within_days` that lies inside the window.

    A span is half-open, so two events exactly `within_days` apart are not in the same one. It is begun
    at each event in turn; as everything after the first lies inside the window too, the number in each
    span is the same for all windows.
    """
    chosen = choose(definition, events)
    is_older = chosen.age[1:] <= chosen.age[:-1]
    if not (_are_together(chosen.moment) and (is_older | (np.diff(chosen.moment) > 0)).all()):
        order = np.lexsort((-chosen.age, chosen.moment))
        chosen = Chosen(None, chosen.moment[order], chosen.age[order])
    span = (definition.within_days or 0) * MICROSECONDS_PER_DAY
    counts = loops.count_in_span(chosen.moment, chosen.age, span)
    most = _find_most(chosen, counts, windows, events.size)
    return [*np.maximum(most, 0).astype(np.int32)]


def _are_together(moment: Moments) -> bool:
    """Whether events lie in order of moment; those of several kinds lie one kind after the other."""
    return bool((moment[1:] >= moment[:-1]).all())


def _gather(chosen: Chosen, codes: Codes) -> tuple[Moments, Codes, Integers]:
    """Return moment, code and age of those chosen, with what is seen from a moment lying together."""
    moment, code, age = chosen.moment, chosen.take(codes), chosen.age
    if _are_together(moment):
        return moment, code, age
    order = np.argsort(moment, kind="stable")
    return moment[order], code[order], age[order]


def count_distinct(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Number of different values in the window."""
    chosen = choose(definition, events)
    return [*_count(_find_youngest(chosen, events, definition.measured), windows, events.size)]


def _find_youngest(chosen: Chosen, events: Events, measured: str) -> Chosen:
    """Find the youngest of those chosen for each moment and value."""
    coded = events.coded[measured]
    moment, code, age = _gather(chosen, coded.codes)
    return Chosen(None, *loops.find_youngest(moment, code, len(coded), age))


def _count_by_value(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[tuple[Moments, Integers]]:
    """Count the chosen events of each moment and value, for each window: moments and numbers."""
    chosen, coded = choose(definition, events), events.coded[definition.measured]
    moment, code, age = _gather(chosen, coded.codes)
    return [loops.count_by_code(moment, code, len(coded), age, window.microseconds) for window in windows]


def _add_all(moment: Moments, values: Integers, size: int) -> Integers:
    """Add up values per moment, without a window."""
    return loops.add(moment, np.zeros(len(moment), dtype=np.int64), values, _WHOLE, size)


def _find_most_of_all(moment: Moments, values: Integers, size: int) -> Integers:
    return loops.find_most(moment, np.zeros(len(moment), dtype=np.int64), values, _WHOLE, size)


def compute_continuity(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the Bice-Boxerman continuity of care: 1 if all contacts are with one unit, 0 if all differ.

    With n contacts per unit and N in all: (sum n^2 - N) / (N (N - 1)); null below two contacts.
    Source: Bice and Boxerman, Medical Care 1977, doi:10.1097/00005650-197704000-00010.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(definition, events, windows):
        total = _add_all(moment, n, events.size)
        columns += _divide(_add_all(moment, n * n, events.size) - total, total * (total - 1))
    return columns


def compute_concentration(
    definition: "Definition", events: Events, windows: Sequence[Lookback]
) -> list[Column]:
    """Compute the usual provider continuity (UPC): the share of contacts with the most frequent unit.

    Source: Breslau and Reeb, Journal of Medical Education 1975, doi:10.1097/00001888-197510000-00006.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(definition, events, windows):
        most = _find_most_of_all(moment, n, events.size)
        columns += _divide(most, _add_all(moment, n, events.size))
    return columns


def compute_entropy(definition: "Definition", events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the Shannon entropy (nats) of contacts over units: 0 if all are with one unit.

    Equal to ln N - (sum n ln n) / N for n contacts per unit and N in all; rounded to nine decimals.
    """
    counted = _count_by_value(definition, events, windows)
    return [np.round(loops.find_entropy(*counts, events.size), ENTROPY_DECIMALS) for counts in counted]


def _choose_open(definition: "Definition", events: Events) -> Chosen:
    """Choose the intervals that are open at the index."""
    chosen = events.choose(definition.where, definition.match)
    return _keep(chosen, chosen.take(events.is_open), chosen.age)[0]


def tell_now(definition: "Definition", events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Whether such an interval is open at the index."""
    is_open = np.zeros(events.size, dtype=np.bool_)
    is_open[_choose_open(definition, events).moment] = True
    return [is_open]


def count_distinct_now(
    definition: "Definition", events: Events, _windows: Sequence[Lookback]
) -> list[Column]:
    """Number of different values among the intervals open at the index."""
    rows = np.flatnonzero(events.is_open & events.having(definition.where, definition.match))
    is_open = Chosen(rows, events.moment[rows], events.start_age[rows])
    found = _find_youngest(is_open, events, definition.measured)
    return [np.bincount(found.moment, minlength=events.size).astype(np.int32)]


def find_days_open(definition: "Definition", events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Days since the start of the interval open at the index that started latest."""
    is_open = _choose_open(definition, events)
    return _in_days(loops.find_least(is_open.moment, is_open.age, is_open.age, _WHOLE, events.size))


def read_value(definition: "Definition", events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Return the value itself; there is one event per moment, in order."""
    measured = definition.measured
    return [events.values[measured] if measured in events.values else events.coded[measured]]


_WHOLE: Final = np.array([NEVER], dtype=np.int64)
_WHOLE.flags.writeable = False
_COUNTED = (pl.Int32(), 0, NEVER_NULL)
_DAYS = pl.Float64()

# 2: what is equal by the words is equal to the bit.
MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "count": Measure(count_events, *_COUNTED),
        "any": Measure(tell_any, pl.Boolean(), when_none=False, null_means=NEVER_NULL),
        "trend": Measure(compute_trend, *_COUNTED, has_halves=True),
        "decayed": Measure(compute_decayed, _DAYS, 0, NEVER_NULL, version=2),
        "days": Measure(sum_days, _DAYS, 0, NEVER_NULL, counts_days=True),
        "days_trend": Measure(compute_days_trend, _DAYS, 0, NEVER_NULL, has_halves=True, counts_days=True),
        "days_since": Measure(find_days_since, _DAYS, None, NO_EVENT),
        "days_since_first": Measure(find_days_since_first, _DAYS, None, NO_EVENT),
        "longest": Measure(find_longest, _DAYS, None, WITHOUT_VALUE, needs_value=True),
        "longest_inside": Measure(find_longest_inside, _DAYS, 0, NEVER_NULL, counts_days=True),
        "mean": Measure(compute_mean, _DAYS, None, WITHOUT_VALUE, needs_value=True),
        "smallest": Measure(find_smallest, _DAYS, None, NO_GAP, needs_value=True),
        "median_gap": Measure(find_median_gap, _DAYS, None, NO_GAP, needs_value=True),
        "burstiness": Measure(
            compute_burstiness,
            _DAYS,
            None,
            "fewer than two such gaps with both sides in the window, or none of a minute",
            needs_value=True,
            version=2,
        ),
        "share": Measure(compute_share, _DAYS, None, NO_EVENT, needs_where=True),
        "pair_share": Measure(compute_pair_share, _DAYS, None, NO_GAP, needs_value=True, needs_where=True),
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
            compute_continuity,
            _DAYS,
            None,
            TOO_FEW_VALUES,
            needs_value=True,
        ),
        "concentration": Measure(compute_concentration, _DAYS, None, WITHOUT_VALUE, needs_value=True),
        "entropy": Measure(compute_entropy, _DAYS, None, WITHOUT_VALUE, needs_value=True, version=2),
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
