"""The measure of how close together events are."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY, Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Chosen, Events
from somv_risk.features.measures.measure import NEVER_NULL, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import keep_fullest_span
from somv_risk.features.measures.sums import choose, find_most, is_in_order


def compute_most_within(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Most events in any span of `within_days` that lies inside the window.

    A span is half-open, so two events exactly `within_days` apart are not in the same one. It is begun
    at each event in turn; as everything after the first lies inside the window too, the number in each
    span is the same for all windows.
    """
    chosen = _put_in_order(choose(question, events))
    span = (question.within_days or 0) * MICROSECONDS_PER_DAY
    counts = loops.count_in_span(chosen.moment, chosen.age, span)
    most = find_most(chosen, counts, windows, events.size)
    return [*np.maximum(most, 0).astype(np.int32)]


def _put_in_order(chosen: Chosen) -> Chosen:
    """Put those chosen in order of moment and time, the oldest first."""
    is_older = chosen.age[1:] <= chosen.age[:-1]
    if is_in_order(chosen.moment) and (is_older | (np.diff(chosen.moment) > 0)).all():
        return chosen
    order = np.lexsort((-chosen.age, chosen.moment))
    return Chosen(None, chosen.moment[order], chosen.age[order])


MEASURES: Final[Mapping[str, Measure]] = {
    "most_within": Measure(
        compute_most_within,
        pl.Int32(),
        0,
        NEVER_NULL,
        shape="number",
        needs_within_days=True,
        keep_evidence=keep_fullest_span,
    ),
}
