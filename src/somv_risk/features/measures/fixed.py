"""Measures of what is fixed or slow to change in a person."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from somv_risk.cohort.windows import Lookback
from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features.measures.measure import Column, Measure
from somv_risk.features.measures.question import Question


def compute_value(question: Question, events: Events, _windows: Sequence[Lookback]) -> list[Column]:
    """Return the value itself; there is one event per moment, in order."""
    measured = question.measured
    return [events.values[measured] if measured in events.values else events.coded[measured]]


MEASURES: Final[Mapping[str, Measure]] = {
    "age": Measure(
        compute_value,
        pl.Int32(),
        None,
        "never null",
        shape="years",
        extents=(Extent.FIXED,),
        value_kinds=(ValueKind.AGE,),
        has_window=False,
    ),
    "category": Measure(
        compute_value,
        pl.String(),
        None,
        "not recorded",
        shape="text",
        extents=(Extent.FIXED,),
        value_kinds=(ValueKind.NAME,),
        has_window=False,
    ),
}
