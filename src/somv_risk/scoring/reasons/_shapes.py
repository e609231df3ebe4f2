"""Shapes: in which forms the values of a measure are spoken."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """How the values of a measure are spoken: one template per form, and the placeholder of the value.

    `after_title` says how the value is written behind a title, where that is not as in a sentence.
    `least` is the lowest value of a shape whose forms are bands. `compares_halves` shapes may name the
    two halves of the window. `is_open` shapes may have further forms, each named by the value it is for.
    `rank` says how plainly the shape speaks: 0 is what anybody could count, date or see, 1 a proportion or
    a typical length, 2 what weighs or compares. A shape that `repeats` says again, less plainly, what a
    count of the same events says.
    """

    forms: tuple[str, ...]
    placeholder: str | None = None
    after_title: str | None = None
    least: float | None = None
    compares_halves: bool = False
    is_open: bool = False
    rank: int = 0
    repeats: bool = False


COUNTED: Final = Shape(("zero", "one", "other", "null"), "n")
DAYS: Final = Shape(("zero", "other", "all", "null"), "days")
STRETCH: Final = Shape(("zero", "other", "all", "null"), "duration", rank=1)
RECENCY: Final = Shape(("today", "other", "null"), "duration")
LENGTH: Final = Shape(("other", "null"), "days")
GAP: Final = Shape(("other", "null"), "duration", rank=1)
SHARE: Final = Shape(("zero", "other", "all", "null"), "percent", rank=1)
LARGEST_SHARE: Final = Shape(("other", "all", "null"), "percent", rank=1)
YES_OR_NO: Final = Shape(("yes", "no", "null"))
SPREAD: Final = Shape(("spread", "mixed", "mostly_one", "one", "null"), least=0, rank=2)
EVENNESS: Final = Shape(("even", "varied", "uneven", "null"), least=-1, rank=2)
# Less than half an event says that the latest is more than 100 days old: only older ones.
DECAYED: Final = Shape(
    ("zero", "older", "one", "other", "null"), "n", after_title="number", rank=2, repeats=True
)
TREND: Final = Shape(
    ("one_more", "more", "same", "fewer", "one_fewer", "null"),
    "n",
    after_title="signed",
    compares_halves=True,
    rank=2,
)
DAYS_TREND: Final = Shape(
    ("more", "same", "fewer", "null"), "days", after_title="signed", compares_halves=True, rank=2
)
AGE: Final = Shape(("one", "other", "null"), "n")
CATEGORY: Final = Shape(("other", "null"), "value", is_open=True)

SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "count": COUNTED,
        "distinct": COUNTED,
        "distinct_now": COUNTED,
        "most_within": COUNTED,
        "decayed": DECAYED,
        "trend": TREND,
        "days": DAYS,
        "days_trend": DAYS_TREND,
        "longest_inside": STRETCH,
        "days_since": RECENCY,
        "days_since_first": RECENCY,
        "days_open": RECENCY,
        "longest": LENGTH,
        "mean": LENGTH,
        "smallest": GAP,
        "median_gap": GAP,
        "burstiness": EVENNESS,
        "share": SHARE,
        "pair_share": SHARE,
        "concentration": LARGEST_SHARE,
        "any": YES_OR_NO,
        "never": YES_OR_NO,
        "now": YES_OR_NO,
        "last": YES_OR_NO,
        "continuity": SPREAD,
        "entropy": SPREAD,
        "age": AGE,
        "category": CATEGORY,
    }
)
