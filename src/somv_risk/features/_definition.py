"""Definitions and features: frozen values that cannot exist unless they are sound."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, Literal

from somv_risk.cohort.windows import Lookback
from somv_risk.errors import ConfigError
from somv_risk.features._entries import clean_match
from somv_risk.features._kinds import Anchor
from somv_risk.features._rules import check_definition
from somv_risk.features.measures import MEASURES, Measure
from somv_risk.features.views import VIEWS, View
from somv_risk.languages import pick_title


@dataclass(frozen=True, slots=True)
class Definition:
    """What is measured, over which windows, and under which title: a catalogue row, or one of your own.

    `where` are the flags an event must have, `match` the texts one of its columns must be (or begin with,
    where the text ends in `*`); `of` the flags of the events a share or a last event is taken of;
    `anchor` what of the event must lie in the window: its start, its end, or any part; `value` the column
    measured; `within_days` the span of a burst; `monotone` the direction of the risk that is beyond
    dispute (+1, -1) or 0; `changeable` whether a team and the citizen can work with what is measured from
    now on, rather than that it is given; `version` is raised when the row comes to mean something else
    under the same id. `docs/features.md` lists the measures, the kinds of events and what each offers.

    Whatever it asks for, it is asked of the rows known before the index: a definition that could see
    the future cannot be written.

    Raises
    ------
    ConfigError
        If an entry is of the wrong type, unknown, or of no use to the measure, or if a window is not a
        positive number of days.

    Examples
    --------
    >>> neurology = Definition(
    ...     id="neurology_contacts",
    ...     theme="hospital_use",
    ...     title={"da": "kontakter med neurologisk afdeling", "en": "contacts with neurology"},
    ...     unit="contacts",
    ...     measure="count",
    ...     events="contacts",
    ...     match={"department": ["Neurologi*"]},
    ...     windows=[90, 365],
    ... )
    >>> [feature.name for feature in neurology.features()]
    ['neurology_contacts_90d', 'neurology_contacts_365d']
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
    anchor: Anchor = "start"
    value: str | None = None
    within_days: int | None = None
    monotone: Literal[-1, 0, 1] = 0
    changeable: bool = False
    version: int = 1

    def __post_init__(self) -> None:
        for name in ("windows", "where", "of", "title", "match"):
            object.__setattr__(self, name, _freeze(getattr(self, name)))
        object.__setattr__(self, "match", clean_match(self.match))
        check_definition(self)

    @property
    def measured(self) -> str:
        """The column measured by a definition that measures one."""
        if self.value is None:
            raise ConfigError(f"Feature {self.id!r} measures no value.")
        return self.value

    @property
    def view(self) -> View:
        """The kind of events, as a record."""
        return VIEWS[self.events]

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables without which the feature is null."""
        return self.view.tables

    def title_in(self, language: str) -> str:
        """Return the title in a language, or the English one where there is none in it."""
        return pick_title(self.title, language)

    def features(self) -> tuple["Feature", ...]:
        """Return one feature per window."""
        if not self.windows:
            return (Feature(self, None),)
        return tuple(Feature(self, Lookback(days)) for days in self.windows)


OF_THE_LIBRARY: Final = 0


def count_version(definition: Definition) -> int:
    """Count the version of a definition's meaning: 1, and one more for each change of row, events or measure.

    What a feature counts depends on its row, on how its events are built, and on how they are measured.
    """
    versioned = (definition, definition.view, MEASURES[definition.measure])
    return 1 + sum(record.version - 1 for record in versioned)


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: a definition at one window. Its name is computed, never typed.

    `version` is that of its meaning (see `count_version`): the library's, unless a model was trained with
    another.
    """

    definition: Definition
    window: Lookback | None
    version: int = OF_THE_LIBRARY
    name: str = field(init=False)

    def __post_init__(self) -> None:
        suffix = f"_{self.window.suffix}" if self.window else ""
        object.__setattr__(self, "name", f"{self.definition.id}{suffix}")
        if self.version == OF_THE_LIBRARY:
            object.__setattr__(self, "version", count_version(self.definition))

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
        return self.measure.is_category


def list_features(definitions: Iterable[Definition]) -> tuple[Feature, ...]:
    """List the features of several definitions: each at each of its windows.

    Raises
    ------
    ConfigError
        If two definitions have the same id, or two features the same name.
    """
    listed = tuple(definitions)
    features = tuple(feature for definition in listed for feature in definition.features())
    _check_unique("id", [definition.id for definition in listed])
    _check_unique("name", [feature.name for feature in features])
    return features


def _check_unique(what: str, words: list[str]) -> None:
    repeated = sorted({word for word in words if words.count(word) > 1})
    if repeated:
        raise ConfigError(
            f"More than one feature has the {what} {', '.join(repeated)}. Give each an id of its own, "
            "which the catalogue does not have either."
        )


def read_definition(identity: str, row: Mapping[str, Any]) -> Definition:
    """Read one catalogue row, as TOML or JSON gives it.

    Raises
    ------
    ConfigError
        If a key is unknown, missing, or breaks a rule.
    """
    if not isinstance(row, Mapping):
        raise ConfigError(f"Feature {identity!r} is no table. Write its keys below [{identity}].")
    unknown = set(row) - set(_KEYS)
    if unknown:
        raise ConfigError(
            f"Feature {identity!r} has the unknown key {', '.join(sorted(unknown))}. "
            f"Known are {', '.join(_KEYS)}."
        )
    missing = [key for key in _REQUIRED if key not in row]
    if missing:
        raise ConfigError(f"Feature {identity!r} lacks {', '.join(missing)}. Add what is missing.")
    return Definition(id=identity, **row)


def describe_definition(definition: Definition) -> dict[str, Any]:
    """Return the catalogue row of a definition as plain data; `read_definition` reads it back."""
    row = {name: _thaw(getattr(definition, name)) for name in _KEYS}
    given = {key: value for key, value in row.items() if value not in ([], {}, None)}
    return {key: value for key, value in given.items() if (key, value) != _FIRST_VERSION}


_FIRST_VERSION: Final = ("version", 1)  # not written, so that the hash of a model of before stays what it is
_KEYS: Final = tuple(entry.name for entry in fields(Definition) if entry.name != "id")
_REQUIRED: Final = tuple(
    entry.name
    for entry in fields(Definition)
    if entry.name in _KEYS and entry.default is MISSING and entry.default_factory is MISSING
)


def _freeze(entry: Any) -> Any:  # noqa: ANN401 - whatever TOML or JSON may give
    """Make lists tuples and tables read-only; leave the rest to the rules."""
    if isinstance(entry, list):
        return tuple(entry)
    if isinstance(entry, Mapping):
        return MappingProxyType({key: _freeze(value) for key, value in entry.items()})
    return entry


def _thaw(entry: Any) -> Any:  # noqa: ANN401 - whatever a definition holds
    if isinstance(entry, tuple):
        return list(entry)
    if isinstance(entry, Mapping):
        return {key: _thaw(value) for key, value in entry.items()}
    return entry
