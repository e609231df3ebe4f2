"""Measures that sum the days of intervals inside the window."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from somv_risk.cohort.windows import Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent
from somv_risk.features._loops import Integers
from somv_risk.features.measures.measure import NEVER_NULL, NUMBER, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import has_time_inside
from somv_risk.features.measures.sums import list_in_days, list_lengths


def compute_days(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days of the part of the intervals that lies inside the window; an open one lasts until the index."""
    return list_in_days(measure_inside(loops.add_inside, question, events, windows))


def compute_days_trend(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days inside the younger half of the window minus days inside its older half."""
    halves = [window.half() for window in windows]
    inside = measure_inside(loops.add_inside, question, events, [*windows, *halves])
    return list_in_days(2 * inside[len(windows) :] - inside[: len(windows)])


def measure_inside(
    loop: Callable[..., Integers], question: Question, events: Events, windows: Sequence[Lookback]
) -> Integers:
    """Measure the time of the chosen intervals inside each window, as the loop sums it up."""
    chosen = events.choose(question.where, question.match)
    start_age, end_age = chosen.take(events.start_age), chosen.take(events.end_age)
    return loop(chosen.moment, start_age, end_age, list_lengths(tuple(windows)), events.size)


MEASURES: Final[Mapping[str, Measure]] = {
    "days": Measure(
        compute_days,
        NUMBER,
        0,
        NEVER_NULL,
        shape="days_in_window",
        extents=(Extent.JOINED,),
        in_window=has_time_inside,
    ),
    "days_trend": Measure(
        compute_days_trend,
        NUMBER,
        0,
        NEVER_NULL,
        shape="difference_in_days",
        extents=(Extent.JOINED,),
        has_halves=True,
        in_window=has_time_inside,
    ),
}
