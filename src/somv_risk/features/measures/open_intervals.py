"""Measures of the intervals that are open at the index."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from somv_risk.cohort.windows import Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Chosen, Events
from somv_risk.features._kinds import LASTING_EVENTS, ValueKind
from somv_risk.features.measures.measure import NEVER_NULL, NUMBER, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import is_latest, is_open, keep_decisive, keep_latest_of_each
from somv_risk.features.measures.sums import ALL_TIME, find_youngest, keep_chosen, list_in_days


def compute_now(question: Question, events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Whether such an interval is open at the index."""
    has_open = np.zeros(events.size, dtype=np.bool_)
    has_open[_choose_open(question, events).moment] = True
    return [has_open]


def compute_distinct_now(question: Question, events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Number of different values among the intervals open at the index."""
    rows = np.flatnonzero(events.is_open & events.having(question.where, question.match))
    chosen = Chosen(rows, events.moment[rows], events.start_age[rows])
    found = find_youngest(chosen, events, question.measured)
    return [np.bincount(found.moment, minlength=events.size).astype(np.int32)]


def compute_days_open(question: Question, events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Days since the start of the interval open at the index that started latest."""
    chosen = _choose_open(question, events)
    return list_in_days(loops.find_least(chosen.moment, chosen.age, chosen.age, ALL_TIME, events.size))


def _choose_open(question: Question, events: Events) -> Chosen:
    """Choose the intervals that are open at the index."""
    chosen = events.choose(question.where, question.match)
    return keep_chosen(chosen, chosen.take(events.is_open), chosen.age)[0]


MEASURES: Final[Mapping[str, Measure]] = {
    "now": Measure(
        compute_now,
        pl.Boolean(),
        when_none=False,
        null_means=NEVER_NULL,
        shape="yes_or_no",
        extents=LASTING_EVENTS,
        has_window=False,
        in_window=is_open,
    ),
    "distinct_now": Measure(
        compute_distinct_now,
        pl.Int32(),
        0,
        NEVER_NULL,
        shape="number",
        extents=LASTING_EVENTS,
        value_kinds=(ValueKind.NAME,),
        has_window=False,
        in_window=is_open,
        keep_evidence=keep_latest_of_each,
    ),
    "days_open": Measure(
        compute_days_open,
        NUMBER,
        None,
        "no such interval is open at the index",
        shape="how_long_ago",
        extents=LASTING_EVENTS,
        has_window=False,
        counts_from_start=True,
        in_window=is_open,
        keep_evidence=keep_decisive(is_latest),
    ),
}
