"""Measures of which of the events `of` are also `where`: a share, the last one, or none."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from somv_risk.cohort.windows import Lookback
from somv_risk.features._events import Events
from somv_risk.features._kinds import BY_START_OR_END, LASTING_EVENTS, ValueKind
from somv_risk.features._loops import NEVER
from somv_risk.features.measures.lengths import list_gaps
from somv_risk.features.measures.measure import NO_EVENT, NO_GAP, NUMBER, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import (
    has_gap_inside,
    has_part_inside,
    is_latest,
    is_where_if_any,
    keep_decisive,
)
from somv_risk.features.measures.sums import (
    choose_asked,
    choose_base,
    count_chosen,
    find_least,
    list_quotients,
)


def compute_share(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Share of the events `of` that are also `where`."""
    part = count_chosen(choose_asked(question, events), windows, events.size)
    return list_quotients(part, count_chosen(choose_base(question, events), windows, events.size))


def compute_pair_share(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Share, of the events `of` that follow another in the window, that are also `where`.

    The value measured is the time from the start of the one before. With contacts in the same unit this
    is the sequential continuity of care (SECON): Steinwachs, Medical Care 1979,
    doi:10.1097/00005650-197906000-00001.
    """
    part, whole = (
        count_chosen(list_gaps(chosen, events, question.measured)[0], windows, events.size)
        for chosen in (choose_asked(question, events), choose_base(question, events))
    )
    return list_quotients(part, whole)


def compute_last(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether the latest of the events `of` in the window is `where`; of simultaneous ones, any of them."""
    base, asked = (
        find_least(chosen, chosen.age, windows, events.size)
        for chosen in (choose_base(question, events), choose_asked(question, events))
    )
    return [*np.where(base < NEVER, asked == base, np.nan)]


def compute_never(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether none of the intervals `of` that reach into the window is `where`."""
    whole = count_chosen(events.choose(question.of, anchor="part"), windows, events.size)
    asked = events.choose((*question.of, *question.where), question.match, "part")
    part = count_chosen(asked, windows, events.size)
    return [*np.where(whole > 0, part == 0, np.nan)]


MEASURES: Final[Mapping[str, Measure]] = {
    "share": Measure(
        compute_share,
        NUMBER,
        None,
        NO_EVENT,
        shape="percent",
        anchors=BY_START_OR_END,
        needs_where=True,
    ),
    "pair_share": Measure(
        compute_pair_share,
        NUMBER,
        None,
        NO_GAP,
        shape="percent",
        value_kinds=(ValueKind.GAP,),
        needs_where=True,
        in_window=has_gap_inside,
    ),
    "last": Measure(
        compute_last,
        pl.Boolean(),
        None,
        NO_EVENT,
        shape="yes_or_no",
        anchors=BY_START_OR_END,
        needs_where=True,
        keep_evidence=keep_decisive(is_latest, is_where_if_any),
    ),
    "never": Measure(
        compute_never,
        pl.Boolean(),
        None,
        "no interval reaches into the window",
        shape="yes_or_no",
        extents=LASTING_EVENTS,
        needs_where=True,
        in_window=has_part_inside,
        keep_evidence=keep_decisive(is_where_if_any),
    ),
}
