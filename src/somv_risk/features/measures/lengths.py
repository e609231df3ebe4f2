"""Measures of lengths of time: of events, and of the gaps between them."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY, Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Chosen, Events
from somv_risk.features._kinds import BY_START_OR_END, LASTING_EVENTS, ValueKind
from somv_risk.features._loops import Integers, Moments
from somv_risk.features.measures.days import measure_inside
from somv_risk.features.measures.measure import NEVER_NULL, NO_GAP, NUMBER, WITHOUT_VALUE, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import (
    has_gap_inside,
    has_time_inside,
    is_largest,
    is_longest_inside,
    is_smallest,
    keep_decisive,
)
from somv_risk.features.measures.sums import (
    Floats,
    add_values,
    choose,
    count_chosen,
    find_least,
    find_most,
    keep_chosen,
    list_in_days,
    list_quotients,
)

MICROSECONDS_PER_MINUTE: Final = 60_000_000


def compute_longest(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Largest value in the window, in days."""
    chosen = choose(question, events)
    values = chosen.take(events.values[question.measured])
    return list_in_days(find_most(chosen, values, windows, events.size), least=0)


def compute_longest_inside(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days of the longest part of one interval that lies inside the window."""
    return list_in_days(measure_inside(loops.find_most_inside, question, events, windows))


def compute_mean(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Mean value in the window, in days."""
    chosen = choose(question, events)
    values = chosen.take(events.values[question.measured])
    known, values = keep_chosen(chosen, values >= 0, values)
    counts = count_chosen(known, windows, events.size).astype(np.int64)
    return list_quotients(add_values(known, values, windows, events.size), counts * MICROSECONDS_PER_DAY)


def list_gaps(chosen: Chosen, events: Events, measured: str) -> tuple[Chosen, Integers]:
    """List the gaps before the chosen events, whatever the events before them are.

    The age of a gap is that of its older side, which is as much older as the value measured says: it lies
    in a window if both its sides do.
    """
    gap = chosen.take(events.values[measured])
    older = Chosen(None, chosen.moment, chosen.take(events.start_age) + gap)
    return keep_chosen(older, gap >= 0, gap)


def _list_asked_gaps(question: Question, events: Events) -> tuple[Chosen, Integers]:
    return list_gaps(choose(question, events), events, question.measured)


def compute_smallest(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Smallest gap, in days, between an event and the end of the one before it, both in the window."""
    return list_in_days(find_least(*_list_asked_gaps(question, events), windows, events.size))


def compute_median_gap(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Median of the gaps, in days; of an even number of them, the mean of the middle two."""
    gaps, lengths = _list_asked_gaps(question, events)
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


def compute_burstiness(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Burstiness of the gaps, from -1 (regular) over 0 (random) to 1 (bursts).

    With mean m and standard deviation s of the gaps in whole minutes: (s - m) / (s + m).
    Source: Goh and Barabási, EPL 2008, doi:10.1209/0295-5075/81/48002.
    """
    # Only s / m leaves the integers: it is the same for the same gaps in another unit, or each of them twice.
    gaps, lengths = _list_asked_gaps(question, events)
    minutes = lengths // MICROSECONDS_PER_MINUTE
    counts = count_chosen(gaps, windows, events.size).astype(np.int64)
    total = add_values(gaps, minutes, windows, events.size)
    squares = counts * add_values(gaps, minutes * minutes, windows, events.size)
    relative = np.sqrt(loops.divide(squares - total * total, total * total))
    return [*np.where(counts > 1, (relative - 1) / (relative + 1), np.nan)]


_LENGTHS: Final = (ValueKind.DURATION, ValueKind.GAP)
_GAPS: Final = (ValueKind.GAP,)

MEASURES: Final[Mapping[str, Measure]] = {
    "longest": Measure(
        compute_longest,
        NUMBER,
        None,
        WITHOUT_VALUE,
        shape="length",
        value_kinds=_LENGTHS,
        anchors=BY_START_OR_END,
        keep_evidence=keep_decisive(is_largest),
    ),
    "longest_inside": Measure(
        compute_longest_inside,
        NUMBER,
        0,
        NEVER_NULL,
        shape="stretch",
        extents=LASTING_EVENTS,
        in_window=has_time_inside,
        keep_evidence=keep_decisive(is_longest_inside),
    ),
    "mean": Measure(
        compute_mean,
        NUMBER,
        None,
        WITHOUT_VALUE,
        shape="length",
        value_kinds=_LENGTHS,
        anchors=BY_START_OR_END,
    ),
    "smallest": Measure(
        compute_smallest,
        NUMBER,
        None,
        NO_GAP,
        shape="length_between",
        value_kinds=_GAPS,
        in_window=has_gap_inside,
        keep_evidence=keep_decisive(is_smallest),
    ),
    "median_gap": Measure(
        compute_median_gap,
        NUMBER,
        None,
        NO_GAP,
        shape="length_between",
        value_kinds=_GAPS,
        in_window=has_gap_inside,
    ),
    # 2: what is equal by the words is equal to the bit.
    "burstiness": Measure(
        compute_burstiness,
        NUMBER,
        None,
        "fewer than two such gaps with both sides in the window, or none of a minute",
        shape="evenness",
        value_kinds=_GAPS,
        in_window=has_gap_inside,
        version=2,
    ),
}
