"""Feature specifications: frozen values that cannot exist unless they are sound."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from somv_risk.errors import ConfigError
from somv_risk.features._measures import MEASURES, Measure
from somv_risk.features._views import VIEWS
from somv_risk.windows import Lookback

THEMES: Final = (
    "hospital_use",
    "bursts",
    "unfinished_treatment",
    "psychiatry",
    "substance_use",
    "benefits_and_work",
    "housing_and_services",
    "continuity",
    "transitions_and_gaps",
    "long_term_conditions",
    "background",
)
LANGUAGES: Final = ("da", "en")
_ID_PATTERN = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Definition:
    """One catalogue row: what is measured, over which windows, and how it is spoken of.

    `where` are the flags an event must have, `match` the texts one of its columns must be (or begin with,
    where the text ends in `*`); `of` the flags of the events a share or a last event is taken of;
    `anchor` what of the event must lie in the window: its start, its end, or any part; `value` the column
    measured; `within_days` the span of a burst; `monotone` the direction of the risk that is beyond
    dispute (+1, -1) or 0.

    Whatever it asks for, it is asked of the rows known before the index: a definition that could see
    the future cannot be written.
    """

    id: str
    theme: str
    title: Mapping[str, str]
    unit: str
    measure: str
    events: str
    windows: tuple[int, ...] = ()
    where: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    match: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    anchor: Literal["start", "end", "part"] = "start"
    value: str | None = None
    within_days: int | None = None
    monotone: Literal[-1, 0, 1] = 0

    def __post_init__(self) -> None:
        for is_sound, complaint in self._rules():
            if not is_sound:
                raise ConfigError(f"Feature {self.id!r} {complaint}.")
        for days in self.windows:
            Lookback(days)

    def _rules(self) -> list[tuple[bool, str]]:
        view, measure = VIEWS.get(self.events), MEASURES.get(self.measure)
        flags, values, texts = (view.flags, view.values, view.texts) if view else ((), (), ())
        return [
            (
                bool(_ID_PATTERN.fullmatch(self.id)),
                "needs an id of lower-case letters, digits and underscores",
            ),
            (self.theme in THEMES, f"has theme {self.theme!r}; known are {list(THEMES)}"),
            (set(self.title) == set(LANGUAGES), f"needs a title in each of {list(LANGUAGES)}"),
            (view is not None, f"counts events {self.events!r}; known are {list(VIEWS)}"),
            (measure is not None, f"has measure {self.measure!r}; known are {list(MEASURES)}"),
            (
                set(self.where + self.of) <= set(flags),
                f"asks for flags the events do not have; known are {list(flags)}",
            ),
            (
                self.value is None or self.value in values,
                f"measures {self.value!r}; known are {list(values)}",
            ),
            (set(self.match) <= set(texts), f"matches texts the events do not have; known are {list(texts)}"),
            (
                all(texts and all(texts) for texts in self.match.values()),
                "matches an empty text; give at least one text for each column",
            ),
            (self.monotone in {-1, 0, 1}, "has a monotone direction other than -1, 0 or 1"),
            (self.anchor in {"start", "end", "part"}, "has an anchor other than start, end or part"),
            (
                self.anchor != "part" or self.measure in {"count", "any", "distinct"},
                "cannot be anchored at any part of its events; only count, any and distinct can",
            ),
            *(self._measure_rules(measure) if measure else []),
        ]

    def _measure_rules(self, measure: Measure) -> list[tuple[bool, str]]:
        return [
            (
                bool(self.windows) == measure.has_window,
                f"{'needs' if measure.has_window else 'cannot have'} windows",
            ),
            (not measure.needs_value or self.value is not None, "needs the value it measures"),
            (not measure.needs_where or bool(self.where), "needs flags in where"),
            (
                (self.within_days is not None) == (self.measure == "most_within"),
                "needs within_days only for a burst",
            ),
            (
                not measure.has_halves or not any(days % 2 for days in self.windows),
                "needs windows of an even number of days, to compare their halves",
            ),
        ]

    @property
    def measured(self) -> str:
        """The column measured by a definition that measures one."""
        if self.value is None:
            raise ConfigError(f"Feature {self.id!r} measures no value.")
        return self.value

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables without which the feature is null."""
        return VIEWS[self.events].tables

    def features(self) -> tuple["Feature", ...]:
        """Return one feature per window."""
        if not self.windows:
            return (Feature(self, None),)
        return tuple(Feature(self, Lookback(days)) for days in self.windows)


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: a definition at one window. Its name is computed, never typed."""

    definition: Definition
    window: Lookback | None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        suffix = f"_{self.window.suffix}" if self.window else ""
        object.__setattr__(self, "name", f"{self.definition.id}{suffix}")

    @property
    def measure(self) -> Measure:
        """How the events become a number."""
        return MEASURES[self.definition.measure]

    @property
    def lookback(self) -> Lookback:
        """The window of a feature that has one."""
        if self.window is None:
            raise ConfigError(f"Feature {self.name!r} has no window.")
        return self.window

    @property
    def null_means(self) -> str:
        """What a null says; besides, every feature is null where a table it needs is absent."""
        return self.measure.null_means

    @property
    def is_category(self) -> bool:
        """Whether the values are categories and not numbers."""
        return self.definition.measure == "category"


def read_definition(identity: str, row: Mapping[str, Any]) -> Definition:
    """Read one catalogue row, as TOML or JSON gives it.

    Raises
    ------
    ConfigError
        If a key is unknown, missing, or breaks a rule.
    """
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    if "title" in given:
        given["title"] = MappingProxyType(dict(given["title"]))
    if "match" in given:
        given["match"] = MappingProxyType({name: tuple(texts) for name, texts in given["match"].items()})
    try:
        return Definition(id=identity, **given)
    except TypeError as error:
        keys = ", ".join(name for name in Definition.__slots__ if name != "id")
        raise ConfigError(
            f"Feature {identity!r} has unknown or missing keys ({error}). Known are {keys}."
        ) from None


def describe_definition(definition: Definition) -> dict[str, Any]:
    """Return the catalogue row of a definition; `read_definition` reads it back."""
    row = {name: getattr(definition, name) for name in Definition.__slots__ if name != "id"}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}
    plain["title"] = dict(definition.title)
    plain["match"] = {name: list(texts) for name, texts in definition.match.items()}
    return {key: value for key, value in plain.items() if value not in ([], {}, None)}
