"""Shapes: in which forms the values of a measure are said, and which form a value has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from somv_risk.features import Feature, ShapeName
from somv_risk.scoring.reasons._numbers import round_half_up


def _choose_other(_value: float) -> str:
    return "other"


def _choose_number(value: float) -> str:
    return {0: "zero", 1: "one"}.get(round_half_up(value), "other")


def _choose_faded(events: float) -> str:
    if events <= 0:
        return "zero"
    return {0: "older", 1: "one"}.get(round_half_up(events), "other")


def _choose_difference(difference: float) -> str:
    way = _choose_direction(difference)
    return f"one_{way}" if round_half_up(abs(difference)) == 1 else way


def _choose_direction(difference: float) -> str:
    if round_half_up(abs(difference)) == 0:
        return "same"
    return "more" if difference > 0 else "fewer"


def _choose_age(value: float) -> str:
    return "one" if round_half_up(value) == 1 else "other"


def _choose_recency(days: float) -> str:
    return "today" if days < 1 else "other"


def _choose_share(share: float) -> str:
    if share >= 1:
        return "all"
    return "zero" if share <= 0 else "other"


def _choose_largest_share(share: float) -> str:
    return "all" if share >= 1 else "other"


def choose_yes_or_no(value: float) -> str:
    """Choose the form of 1 and 0."""
    return "yes" if value >= 0.5 else "no"


@dataclass(frozen=True, slots=True)
class Shape:
    """How the values of a measure are said: one template per form, and the placeholder of the value.

    `choose` finds the form of a number, where neither bands nor the days of the window do.
    `written_as` says how the value is written behind a title, where that is not as in a sentence.
    `least` is the lowest value of a shape whose forms are bands. `fills_window` shapes have a form for a
    value of all days of the window. `compares_halves` shapes may name the two halves of the window.
    `is_open` shapes may have further forms, each named by the value it is for.
    `rank` says how plainly the shape speaks: 0 is what anybody could count, date or see, 1 a proportion or
    a typical length, 2 what weighs or compares. A shape that `repeats` says again, less plainly, what a
    count of the same events says.
    """

    forms: tuple[str, ...]
    placeholder: str | None = None
    choose: Callable[[float], str] = _choose_other
    written_as: str | None = None
    least: float | None = None
    fills_window: bool = False
    compares_halves: bool = False
    is_open: bool = False
    rank: int = 0
    repeats: bool = False


_OF_DAYS: Final = ("zero", "other", "all", "null")
SHAPES: Final[Mapping[ShapeName, Shape]] = MappingProxyType(
    {
        "number": Shape(("zero", "one", "other", "null"), "n", _choose_number),
        "days_in_window": Shape(_OF_DAYS, "days", fills_window=True),
        "stretch": Shape(_OF_DAYS, "duration", fills_window=True, rank=1),
        "how_long_ago": Shape(("today", "other", "null"), "duration", _choose_recency),
        "length": Shape(("other", "null"), "days"),
        "length_between": Shape(("other", "null"), "duration", rank=1),
        "percent": Shape(("zero", "other", "all", "null"), "percent", _choose_share, rank=1),
        "largest_percent": Shape(("other", "all", "null"), "percent", _choose_largest_share, rank=1),
        "yes_or_no": Shape(("yes", "no", "null"), choose=choose_yes_or_no, written_as="yes_or_no"),
        "variety": Shape(("spread", "mixed", "mostly_one", "one", "null"), least=0, rank=2),
        "evenness": Shape(("even", "varied", "uneven", "null"), least=-1, rank=2),
        # Less than half an event says that the latest is more than 100 days old: only older ones.
        "faded_number": Shape(
            ("zero", "older", "one", "other", "null"),
            "n",
            _choose_faded,
            written_as="number",
            rank=2,
            repeats=True,
        ),
        "difference": Shape(
            ("one_more", "more", "same", "fewer", "one_fewer", "null"),
            "n",
            _choose_difference,
            written_as="signed",
            compares_halves=True,
            rank=2,
        ),
        "difference_in_days": Shape(
            ("more", "same", "fewer", "null"),
            "days",
            _choose_direction,
            written_as="signed",
            compares_halves=True,
            rank=2,
        ),
        "years": Shape(("one", "other", "null"), "n", _choose_age),
        "text": Shape(("other", "null"), "value", is_open=True),
    }
)


def get_shape(feature: Feature) -> Shape:
    """Get the shape of what a feature measures."""
    return SHAPES[feature.measure.shape]
