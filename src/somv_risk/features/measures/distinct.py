"""The measure of how many different values there are."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from somv_risk.cohort.windows import Lookback
from somv_risk.features._events import Events
from somv_risk.features._kinds import ANCHORS, ValueKind
from somv_risk.features.measures.measure import NEVER_NULL, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import keep_latest_of_each
from somv_risk.features.measures.sums import choose, count_chosen, find_youngest


def compute_distinct(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Number of different values in the window."""
    chosen = choose(question, events)
    return [*count_chosen(find_youngest(chosen, events, question.measured), windows, events.size)]


MEASURES: Final[Mapping[str, Measure]] = {
    "distinct": Measure(
        compute_distinct,
        pl.Int32(),
        0,
        NEVER_NULL,
        shape="number",
        value_kinds=(ValueKind.NAME,),
        anchors=ANCHORS,
        keep_evidence=keep_latest_of_each,
    ),
}
