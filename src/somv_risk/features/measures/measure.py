"""The record of a measure: all that is known of one way to make the events of one kind a number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from somv_risk.cohort.windows import Lookback
from somv_risk.features._events import Array, Events
from somv_risk.features._kinds import ANY_EVENTS, BY_START, Anchor, Extent, ValueKind
from somv_risk.features._texts import Coded
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import Condition, Keep, has_anchor_inside, keep_all

Column = Array | Coded

# In which forms a value is said; `scoring.reasons` has the forms of each.
ShapeName = Literal[
    "number",
    "days_in_window",
    "stretch",
    "how_long_ago",
    "length",
    "length_between",
    "percent",
    "largest_percent",
    "yes_or_no",
    "variety",
    "evenness",
    "faded_number",
    "difference",
    "difference_in_days",
    "years",
    "text",
]

NUMBER: Final = pl.Float64()
NEVER_NULL: Final = "never null while the tables it needs are present"
NO_EVENT: Final = "no such event in the window"
WITHOUT_VALUE: Final = "no such event with a value in the window"
NO_GAP: Final = "no such event that follows another, with both sides of the gap between them in the window"


@dataclass(frozen=True, slots=True)
class Measure:
    """One way to make the events of one kind one number per index moment.

    Parameters
    ----------
    compute
        Gives one column per window (one in all if the measure has no window), with an entry per moment;
        NaN stands for null. Its docstring is the measure's line on the feature page.
    dtype
        Type of the column.
    when_none
        The value where there are no events; None for null.
    null_means
        What a null says.
    shape
        In which forms the value is said in a sentence.
    extents
        Which kinds of events it can be taken of, by how they lie in time.
    value_kinds
        Which kinds of values it can be taken of; none if it takes no value.
    anchors
        What of an event may have to lie in the window.
    has_window, has_halves
        Whether it looks back over a window; whether it compares the halves of one.
    needs_where, needs_within_days
        Whether it asks which of the events `of` are also `where`; whether it takes a span.
    counts_from_start
        Whether, without a window, it looks as far back as an interval has lasted.
    in_window, keep_evidence
        Which events lie in the window for it, and which of those decide the value.
    version
        Raised whenever the same events come to give another number.
    """

    compute: Callable[[Question, Events, Sequence[Lookback]], list[Column]]
    dtype: pl.DataType
    when_none: int | bool | None
    null_means: str
    shape: ShapeName
    extents: tuple[Extent, ...] = ANY_EVENTS
    value_kinds: tuple[ValueKind, ...] = ()
    anchors: tuple[Anchor, ...] = BY_START
    has_window: bool = True
    has_halves: bool = False
    needs_where: bool = False
    needs_within_days: bool = False
    counts_from_start: bool = False
    in_window: Condition = has_anchor_inside
    keep_evidence: Keep = keep_all
    version: int = 1

    @property
    def needs_value(self) -> bool:
        """Whether it measures a value of the events."""
        return bool(self.value_kinds)

    @property
    def is_category(self) -> bool:
        """Whether it gives categories and not numbers."""
        return self.dtype == pl.String()
