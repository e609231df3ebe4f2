"""Rules: what a definition must be, so that it can be measured and sees only what lies before the index."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from somv_risk.cohort.outcomes import OUTCOME_EVENTS
from somv_risk.cohort.splits import ROLE
from somv_risk.cohort.windows import Lookback
from somv_risk.errors import ConfigError
from somv_risk.features._kinds import ANCHORS, BY_START, Anchor, Extent
from somv_risk.features.measures import MEASURES, Question
from somv_risk.features.views import VIEWS
from somv_risk.languages import LANGUAGES, TITLED
from somv_risk.registers import schema as s
from somv_risk.registers.codes import clean_code

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
DIRECTIONS: Final = (-1, 0, 1)

_ID: Final = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED: Final = (s.PERSON_ID, s.INDEX_TIME, ROLE, OUTCOME_EVENTS)
_CODE: Final = re.compile(r"[A-Z][0-9][0-9A-Z]{1,5}|([A-Z]([0-9][0-9A-Z]{0,5})?)?\*")


class DefinitionLike(Question, Protocol):
    """What the rules look at of a definition, beyond what a measure does."""

    @property
    def id(self) -> str:
        """The name."""

    @property
    def theme(self) -> str:
        """The theme."""

    @property
    def measure(self) -> str:
        """The name of the measure."""

    @property
    def events(self) -> str:
        """The name of the view."""

    @property
    def windows(self) -> tuple[int, ...]:
        """Days of the windows."""

    @property
    def value(self) -> str | None:
        """The value measured, if any."""

    @property
    def monotone(self) -> int:
        """The direction of the risk."""


class Rule(NamedTuple):
    """Whether a definition keeps a rule; else what is the case, and what to do."""

    is_kept: bool
    fact: str
    cure: str


def clean_match(match: object) -> object:
    """Read codes as those of a delivery are read: DG35 is G35, and g35.1* is G351*."""
    if not isinstance(match, Mapping):
        return match
    return MappingProxyType(
        {
            name: tuple(map(_clean_code, texts)) if name in s.CODE_COLUMNS and _are_texts(texts) else texts
            for name, texts in match.items()
        }
    )


def _clean_code(code: str) -> str:
    """Clean a code; a star at its end says that others may begin like it, and is no mark of the code."""
    return clean_code(code) + ("*" if code.rstrip().endswith("*") else "")


def check_definition(definition: DefinitionLike) -> None:
    """Raise at the first rule that a definition breaks; each may rely on those before it.

    Raises
    ------
    ConfigError
        Names the feature, what is wrong, and what to do.
    """
    _check(definition, _list_form_rules)
    for days in definition.windows:
        _check_window(definition, days)
    for list_rules in (_list_word_rules, _list_measure_rules, _list_time_rules):
        _check(definition, list_rules)


def _check(definition: DefinitionLike, list_rules: Callable[[DefinitionLike], Iterator[Rule]]) -> None:
    for rule in list_rules(definition):
        if not rule.is_kept:
            raise ConfigError(f"Feature {definition.id!r} {rule.fact}. {rule.cure}.")


def _check_window(definition: DefinitionLike, days: int) -> None:
    """Nothing at or after the index can be looked back upon; the window itself sees to that."""
    try:
        Lookback(days)
    except ConfigError as error:
        raise ConfigError(f"Feature {definition.id!r}: {error}") from None


class _Form(NamedTuple):
    """What some entries must be; `fact` may name the entry (`name`) and what it is (`value`)."""

    names: tuple[str, ...]
    is_kept: Callable[[object], bool]
    fact: str
    cure: str


def _list_form_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """Each entry has the type it should have: TOML and JSON may give any."""
    for form in _FORMS:
        for name in form.names:
            value = getattr(definition, name)
            yield Rule(form.is_kept(value), form.fact.format(name=name, value=value), form.cure)


def _list_word_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """Each word is one that the library knows."""
    yield Rule(definition.id not in _RESERVED, "has an id that another column has", "Choose another id")
    yield _require_known("theme", definition.theme, THEMES)
    yield _require_known("kind of events", definition.events, VIEWS)
    yield _require_known("measure", definition.measure, MEASURES)
    yield _require_known("anchor", definition.anchor, ANCHORS)
    view = VIEWS[definition.events]
    for flag in (*definition.where, *definition.of):
        yield _require_known(f"flag of {definition.events}", flag, view.flags)
    for column in definition.match:
        yield _require_known(f"text of {definition.events}", column, view.texts)
    if definition.value is not None:
        yield _require_known(f"value of {definition.events}", definition.value, view.values)
    codes = [code for column in s.CODE_COLUMNS for code in definition.match.get(column, ())]
    malformed = [code for code in codes if not _CODE.fullmatch(code)]
    yield Rule(
        not malformed,
        f"matches {_join(malformed)}, which fits no ICD-10 code",
        "Write codes like G35, or their beginning like G35*",
    )


def _list_measure_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """The measure gets what it needs, and nothing that it would not look at."""
    name, measure = definition.measure, MEASURES[definition.measure]
    events = list_measurable_events(name)
    yield Rule(
        definition.events in events,
        f"is a {name} of {definition.events}, of which it cannot be taken",
        f"Choose one of {_join(events)}",
    )
    if measure.has_window:
        yield Rule(bool(definition.windows), f"is a {name} over no window", "Give windows, like [90, 365]")
    else:
        yield Rule(not definition.windows, f"is a {name}, which has no window", "Leave windows out")
    yield Rule(
        len(set(definition.windows)) == len(definition.windows), "has a window twice", "Give each window once"
    )
    yield Rule(
        not measure.has_halves or not any(days % 2 for days in definition.windows),
        f"is a {name} over an odd number of days",
        "Give windows of an even number of days, to compare their halves",
    )
    if measure.needs_where:
        asks = bool(definition.where or definition.match)
        yield Rule(asks, f"is a {name} of nothing in particular", "Say which events in where or match")
    else:
        yield Rule(not definition.of, f"is a {name}, which looks at no of", "Use where")
    if measure.needs_value:
        yield Rule(definition.value is not None, f"is a {name} of no value", "Name the value measured")
        values = list_measurable_values(name, definition.events)
        yield Rule(
            definition.value in values,
            f"is a {name} of {definition.value!r}, which it cannot measure",
            f"Choose one of {_join(values)}",
        )
    else:
        yield Rule(definition.value is None, f"is a {name}, which measures no value", "Leave value out")
    takers = [other for other, record in MEASURES.items() if record.needs_within_days]
    yield Rule(
        (definition.within_days is not None) == measure.needs_within_days,
        f"is a {name} {'without' if measure.needs_within_days else 'with'} within_days",
        f"Give within_days for {_join(takers)} and for nothing else",
    )


def _list_time_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """The events can lie in time as the measure takes them to."""
    name, anchor = definition.measure, definition.anchor
    anchors = list_anchors(name, definition.events)
    yield Rule(
        anchor in anchors,
        f"is a {name} of {definition.events} anchored at {anchor!r}",
        f"Give the anchor {' or '.join(anchors)}",
    )
    yield Rule(
        not MEASURES[name].is_category or definition.monotone == 0,
        f"is a {name} with a monotone direction",
        "Leave monotone out: categories have no order",
    )


def list_measurable_events(measure: str) -> tuple[str, ...]:
    """List the kinds of events that a measure can be taken of.

    Examples
    --------
    >>> list_measurable_events("longest")
    ('stays', 'admissions', 'contacts')
    """
    record = MEASURES[measure]
    kinds = [name for name, view in VIEWS.items() if view.extent in record.extents]
    return tuple(kind for kind in kinds if not record.needs_value or list_measurable_values(measure, kind))


def list_measurable_values(measure: str, events: str) -> tuple[str, ...]:
    """List the values of a kind of events that a measure can be taken of."""
    kinds = MEASURES[measure].value_kinds
    return tuple(value for value, kind in VIEWS[events].values.items() if kind in kinds)


def list_anchors(measure: str, events: str | None = None) -> tuple[Anchor, ...]:
    """List what of an event may have to lie in the window; what is over when it happens only starts."""
    is_point = events is not None and VIEWS[events].extent is Extent.POINT
    return BY_START if is_point else MEASURES[measure].anchors


def _require_known(what: str, word: str, words: Iterable[str]) -> Rule:
    known = tuple(words)
    cure = f"Known are {_join(known)}" if known else "There are none; leave it out"
    return Rule(word in known, f"has the unknown {what} {word!r}", cure)


def _join(words: Iterable[str]) -> str:
    return ", ".join(words)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def _is_title(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and set(TITLED) <= set(value) <= set(LANGUAGES)
        and all(map(_is_text, value.values()))
    )


def _is_match(value: object) -> bool:
    return isinstance(value, Mapping) and all(texts and _are_texts(texts) for texts in value.values())


def _is_positive(value: object) -> bool:
    return type(value) is int and value > 0


def _is_direction(value: object) -> bool:
    return type(value) is int and value in DIRECTIONS


_FORMS: Final = (
    _Form(
        ("id",),
        _is_id,
        "has an id that cannot be part of a column name",
        "Use lower-case letters, digits and underscores, a letter first",
    ),
    _Form(("theme", "unit", "measure", "events"), _is_text, "has {name} {value!r}", "Write a text"),
    _Form(
        ("title",),
        _is_title,
        "has no title in each language",
        f"Give a title in {_join(TITLED)}, and else only in languages of the library ({_join(LANGUAGES)})",
    ),
    _Form(
        ("windows",),
        lambda value: isinstance(value, tuple),
        "has windows that are no list",
        "Write [90, 365]",
    ),
    _Form(("where", "of"), _are_texts, "has a {name} that is no list of texts", 'Write ["acute"]'),
    _Form(
        ("match",),
        _is_match,
        "matches something other than a list of texts",
        'Give at least one text for each column, like { department = ["Neurologi"] }',
    ),
    _Form(
        ("value",),
        lambda value: value is None or _is_text(value),
        "measures no text",
        "Name one of the values",
    ),
    _Form(
        ("within_days",),
        lambda value: value is None or _is_positive(value),
        "counts within {value!r} days",
        "Give a positive whole number of days",
    ),
    _Form(("monotone",), _is_direction, "has the monotone direction {value!r}", "Give -1, 0 or 1"),
    _Form(
        ("changeable",),
        lambda value: isinstance(value, bool),
        "is changeable {value!r}",
        "Give true or false",
    ),
    _Form(("version",), _is_positive, "has the version {value!r}", "Give a whole number from 1"),
)
