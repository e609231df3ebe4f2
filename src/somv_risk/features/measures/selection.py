"""Selection: which events are the evidence of a value, as conditions on the rows of `Events.to_frame`.

A measure names two of them: which events lie in the window for it, and which of those decide the value.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY
from somv_risk.features._events import END_AGE, START_AGE
from somv_risk.features._timeline import MOMENT
from somv_risk.features.measures.question import WindowedQuestion

Condition = Callable[[WindowedQuestion], pl.Expr]
Keep = Callable[[pl.LazyFrame, WindowedQuestion], pl.LazyFrame]

IS_WHERE: Final = "is_where"  # the events asked for, among those of which a share or a last one is taken
_SPAN: Final = "events_in_span"


# Which events lie in the window


def has_anchor_inside(feature: WindowedQuestion) -> pl.Expr:
    """Whether what the definition is anchored at lies in the window: the start, the end, or any part."""
    if feature.definition.anchor == "part":
        return has_part_inside(feature)
    return feature.lookback.contains(_anchor(feature))


def has_part_inside(feature: WindowedQuestion) -> pl.Expr:
    """Whether an interval began in the window, or had not ended before it."""
    ends_inside = pl.col(END_AGE).fill_null(0) < feature.lookback.microseconds
    return feature.lookback.contains(pl.col(START_AGE)) | ends_inside


def has_time_inside(feature: WindowedQuestion) -> pl.Expr:
    """Whether an interval spent any time inside the window."""
    return _time_inside(feature) > 0


def has_gap_inside(feature: WindowedQuestion) -> pl.Expr:
    """Whether both sides of a gap lie in the window: the event before as well as the start of this one."""
    return pl.col(START_AGE) + pl.col(feature.definition.measured) <= feature.lookback.microseconds


def is_open(_feature: WindowedQuestion) -> pl.Expr:
    """Whether an interval is open at the index."""
    return pl.col(END_AGE).is_null()


def _anchor(feature: WindowedQuestion) -> pl.Expr:
    return pl.col(END_AGE if feature.definition.anchor == "end" else START_AGE)


def _time_inside(feature: WindowedQuestion) -> pl.Expr:
    return pl.min_horizontal(START_AGE, feature.lookback.microseconds) - pl.col(END_AGE).fill_null(0)


# Which of them decide the value


def keep_all(events: pl.LazyFrame, _feature: WindowedQuestion) -> pl.LazyFrame:
    """Keep all events: the value is made of each."""
    return events


def keep_decisive(*conditions: Condition) -> Keep:
    """Make what keeps the events that meet all conditions, one after the other, at each moment."""

    def keep(events: pl.LazyFrame, feature: WindowedQuestion) -> pl.LazyFrame:
        for condition in conditions:
            events = events.filter(condition(feature).over(MOMENT))
        return events

    return keep


def is_latest(feature: WindowedQuestion) -> pl.Expr:
    """Whether an event is the latest, or together with it."""
    return _anchor(feature) == _anchor(feature).min()


def is_earliest(feature: WindowedQuestion) -> pl.Expr:
    """Whether an event is the earliest, or together with it."""
    return _anchor(feature) == _anchor(feature).max()


def is_largest(feature: WindowedQuestion) -> pl.Expr:
    """Whether an event has the largest value."""
    return pl.col(feature.definition.measured) == pl.col(feature.definition.measured).max()


def is_smallest(feature: WindowedQuestion) -> pl.Expr:
    """Whether an event has the smallest value."""
    return pl.col(feature.definition.measured) == pl.col(feature.definition.measured).min()


def is_longest_inside(feature: WindowedQuestion) -> pl.Expr:
    """Whether an interval spent the most time inside the window."""
    return _time_inside(feature) == _time_inside(feature).max()


def is_where_if_any(_feature: WindowedQuestion) -> pl.Expr:
    """Whether an event is also `where`; such events make a yes, and if there are none, all make a no."""
    return pl.col(IS_WHERE) | ~pl.col(IS_WHERE).any()


def keep_latest_of_each(events: pl.LazyFrame, feature: WindowedQuestion) -> pl.LazyFrame:
    """Keep the latest event with each value."""
    latest_first = events.sort(MOMENT, START_AGE, END_AGE, nulls_last=False)
    return latest_first.unique([MOMENT, feature.definition.measured], keep="first", maintain_order=True)


def keep_fullest_span(events: pl.LazyFrame, feature: WindowedQuestion) -> pl.LazyFrame:
    """Keep the events of the fullest span; of several equally full, the latest."""
    span = (feature.definition.within_days or 0) * MICROSECONDS_PER_DAY
    spans = (
        events.sort(MOMENT, START_AGE)
        .rolling(START_AGE, period=f"{span}i", closed="right", group_by=MOMENT)
        .agg(pl.len().alias(_SPAN))
        .filter(pl.col(_SPAN) == pl.col(_SPAN).max().over(MOMENT))
        .group_by(MOMENT)
        .agg(pl.col(START_AGE).min().alias(_SPAN))
    )
    begins_before = pl.col(START_AGE) - pl.col(_SPAN)
    return events.join(spans, on=MOMENT).filter(begins_before <= 0, begins_before > -span)
