"""Kinds: how events lie in time, and what their values are; a measure takes some of each."""

from enum import Enum
from typing import Final, Literal

Anchor = Literal["start", "end", "part"]

# What of an event may have to lie in the window.
ANCHORS: Final[tuple[Anchor, ...]] = ("start", "end", "part")
BY_START: Final[tuple[Anchor, ...]] = ("start",)
BY_START_OR_END: Final[tuple[Anchor, ...]] = ("start", "end")


class Extent(Enum):
    """How the events of a kind lie in time."""

    POINT = "over when they happen: they have no end to be anchored at"
    DATED = "with a start and an end that may be anchored at, but no length that is looked at"
    LASTING = "may be open at the index, or reach into a window"
    JOINED = "lasting, and joined where they overlap, so that no day counts twice"
    FIXED = "one per index moment, for what is fixed or slow to change in a person"


ANY_EVENTS: Final = (Extent.POINT, Extent.DATED, Extent.LASTING, Extent.JOINED)
LASTING_EVENTS: Final = (Extent.LASTING, Extent.JOINED)


class ValueKind(Enum):
    """What a value of an event is."""

    DURATION = "how long the event lasted"
    GAP = "how long before it another event was"
    AGE = "the age of the person"
    NAME = "a text, of which only equal and different are asked"
