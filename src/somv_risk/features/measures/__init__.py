"""Measures: how the events of one kind become one number per index moment, one record each.

All of them work alike: choose the events with the flags asked for, keep those in the window, and add each to
the number of the moment it was seen from. A new measure is a function and a record in one of these modules,
or a module of its own that is named here. A test may add one with `monkeypatch.setitem(MEASURES, ...)`.
"""

from collections.abc import Mapping
from typing import Final

from somv_risk.features.measures import (
    bursts,
    counts,
    days,
    distinct,
    fixed,
    lengths,
    open_intervals,
    recency,
    shares,
    spread,
)
from somv_risk.features.measures.measure import Column, Measure, ShapeName
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.sums import choose

__all__ = ["MEASURES", "Column", "Measure", "Question", "ShapeName", "choose"]

# In the order of the feature page.
MEASURES: Final[Mapping[str, Measure]] = {
    **counts.MEASURES,
    **days.MEASURES,
    **recency.MEASURES,
    **lengths.MEASURES,
    **shares.MEASURES,
    **distinct.MEASURES,
    **bursts.MEASURES,
    **spread.MEASURES,
    **open_intervals.MEASURES,
    **fixed.MEASURES,
}
