"""Rules: what a definition must be, so that it can be measured and sees only what lies before the index."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from somv_risk.cohort.outcomes import OUTCOME_EVENTS
from somv_risk.cohort.splits import ROLE
from somv_risk.cohort.windows import Lookback
from somv_risk.errors import ConfigError
from somv_risk.features._measures import MEASURES
from somv_risk.features._views import VIEWS
from somv_risk.languages import LANGUAGES, TITLED
from somv_risk.registers import schema as s
from somv_risk.registers.codes import clean_code

if TYPE_CHECKING:
    from somv_risk.features._spec import Definition

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
ANCHORS: Final = ("start", "end", "part")
DIRECTIONS: Final = (-1, 0, 1)
BACKGROUND: Final = "background"

# Over when they happen: they have no end to be anchored at.
POINTS: Final = ("psychiatric_contacts", "primary_care")
# Last for a time, so that one may be open at the index, or reach into a window.
LASTING: Final = (
    *("stays", "admissions", "contacts", "treatments", "treatment_spells", "benefit_spells"),
    *("outside_labour_market_spells", "service_spells", "services", "sectors"),
)
# Joined where they overlap, so that no day of the same stay, treatment, benefit or service counts twice.
JOINED: Final = (
    *("stays", "admissions", "treatment_spells", "benefit_spells"),
    *("outside_labour_market_spells", "service_spells"),
)

_ID: Final = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED: Final = (s.PERSON_ID, s.INDEX_TIME, ROLE, OUTCOME_EVENTS)
_CODE: Final = re.compile(r"[A-Z][0-9][0-9A-Z]{1,5}|([A-Z]([0-9][0-9A-Z]{0,5})?)?\*")

_DURATIONS, _GAPS, _AGES = ("lasted", "gap", "step"), ("gap", "step"), ("age_years",)
_MEASURED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(("longest", "mean"), _DURATIONS),
        **dict.fromkeys(("smallest", "median_gap", "burstiness", "pair_share"), _GAPS),
        "age": _AGES,
    }
)
_BY_END: Final = (
    *("count", "any", "trend", "decayed", "days_since", "days_since_first", "longest", "mean"),
    *("share", "last", "distinct", "continuity", "concentration", "entropy"),
)
_BY_PART: Final = ("count", "any", "distinct")
_SUMS_OF_DAYS: Final = ("days", "days_trend")
_FIXED: Final = ("age", "category")


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


def check_definition(definition: "Definition") -> None:
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


def _check(definition: "Definition", list_rules: Callable[["Definition"], Iterator[Rule]]) -> None:
    for rule in list_rules(definition):
        if not rule.is_kept:
            raise ConfigError(f"Feature {definition.id!r} {rule.fact}. {rule.cure}.")


def _check_window(definition: "Definition", days: int) -> None:
    """Nothing at or after the index can be looked back upon; the window itself sees to that."""
    try:
        Lookback(days)
    except ConfigError as error:
        raise ConfigError(f"Feature {definition.id!r}: {error}") from None


def _list_form_rules(definition: "Definition") -> Iterator[Rule]:
    """Each entry has the type it should have: TOML and JSON may give any."""
    identity = definition.id
    yield Rule(
        isinstance(identity, str) and bool(_ID.fullmatch(identity)),
        "has an id that cannot be part of a column name",
        "Use lower-case letters, digits and underscores, a letter first",
    )
    for name in ("theme", "unit", "measure", "events"):
        yield Rule(
            _is_text(getattr(definition, name)), f"has {name} {getattr(definition, name)!r}", "Write a text"
        )
    title = definition.title
    yield Rule(
        isinstance(title, Mapping)
        and set(TITLED) <= set(title) <= set(LANGUAGES)
        and all(map(_is_text, title.values())),
        "has no title in each language",
        f"Give a title in {_tell(TITLED)}, and else only in languages of the library ({_tell(LANGUAGES)})",
    )
    yield Rule(isinstance(definition.windows, tuple), "has windows that are no list", "Write [90, 365]")
    for name in ("where", "of"):
        yield Rule(
            _are_texts(getattr(definition, name)), f"has a {name} that is no list of texts", 'Write ["acute"]'
        )
    match = definition.match
    yield Rule(
        isinstance(match, Mapping) and all(texts and _are_texts(texts) for texts in match.values()),
        "matches something other than a list of texts",
        'Give at least one text for each column, like { department = ["Neurologi"] }',
    )
    yield Rule(
        definition.value is None or _is_text(definition.value), "measures no text", "Name one of the values"
    )
    yield Rule(
        definition.within_days is None
        or (type(definition.within_days) is int and definition.within_days > 0),
        f"counts within {definition.within_days!r} days",
        "Give a positive whole number of days",
    )
    yield Rule(
        type(definition.monotone) is int and definition.monotone in DIRECTIONS,
        f"has the monotone direction {definition.monotone!r}",
        "Give -1, 0 or 1",
    )
    yield Rule(
        isinstance(definition.changeable, bool),
        f"is changeable {definition.changeable!r}",
        "Give true or false",
    )
    yield Rule(
        type(definition.version) is int and definition.version > 0,
        f"has the version {definition.version!r}",
        "Give a whole number from 1",
    )


def _list_word_rules(definition: "Definition") -> Iterator[Rule]:
    """Each word is one that the library knows."""
    yield Rule(definition.id not in _RESERVED, "has an id that another column has", "Choose another id")
    yield _know("theme", definition.theme, THEMES)
    yield _know("kind of events", definition.events, VIEWS)
    yield _know("measure", definition.measure, MEASURES)
    yield _know("anchor", definition.anchor, ANCHORS)
    view = VIEWS[definition.events]
    for flag in (*definition.where, *definition.of):
        yield _know(f"flag of {definition.events}", flag, view.flags)
    for column in definition.match:
        yield _know(f"text of {definition.events}", column, view.texts)
    if definition.value is not None:
        yield _know(f"value of {definition.events}", definition.value, view.values)
    codes = [code for column in s.CODE_COLUMNS for code in definition.match.get(column, ())]
    malformed = [code for code in codes if not _CODE.fullmatch(code)]
    yield Rule(
        not malformed,
        f"matches {_tell(malformed)}, which fits no ICD-10 code",
        "Write codes like G35, or their beginning like G35*",
    )


def _list_measure_rules(definition: "Definition") -> Iterator[Rule]:
    """The measure gets what it needs, and nothing that it would not look at."""
    name, measure = definition.measure, MEASURES[definition.measure]
    events = list_measurable_events(name)
    yield Rule(
        definition.events in events,
        f"is a {name} of {definition.events}, of which it cannot be taken",
        f"Choose one of {_tell(events)}",
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
            f"Choose one of {_tell(values)}",
        )
    else:
        yield Rule(definition.value is None, f"is a {name}, which measures no value", "Leave value out")
    yield Rule(
        (definition.within_days is None) == (name != "most_within"),
        f"is a {name} {'without' if name == 'most_within' else 'with'} within_days",
        "Give within_days for most_within and for nothing else",
    )


def _list_time_rules(definition: "Definition") -> Iterator[Rule]:
    """The events can lie in time as the measure takes them to."""
    name, anchor = definition.measure, definition.anchor
    anchors = list_anchors(name, definition.events)
    yield Rule(
        anchor in anchors,
        f"is a {name} of {definition.events} anchored at {anchor!r}",
        f"Give the anchor {' or '.join(anchors)}",
    )
    yield Rule(
        name != "category" or definition.monotone == 0,
        "is a category with a monotone direction",
        "Leave monotone out: categories have no order",
    )


def list_measurable_events(measure: str) -> tuple[str, ...]:
    """List the kinds of events that a measure can be taken of.

    Examples
    --------
    >>> list_measurable_events("longest")
    ('stays', 'admissions', 'contacts')
    """
    if measure in _FIXED:
        return (BACKGROUND,)
    looks_at_length = MEASURES[measure].counts_days or not MEASURES[measure].has_window
    lasting = JOINED if measure in _SUMS_OF_DAYS else LASTING
    kinds = lasting if looks_at_length else tuple(kind for kind in VIEWS if kind != BACKGROUND)
    has_value = [not MEASURES[measure].needs_value or list_measurable_values(measure, kind) for kind in kinds]
    return tuple(compress(kinds, has_value))


def list_measurable_values(measure: str, events: str) -> tuple[str, ...]:
    """List the values of a kind of events that a measure can be taken of.

    Some measures are of lengths of time; the others tell values apart, and lengths of time are no names.
    """
    values = VIEWS[events].values
    if measure in _MEASURED:
        return tuple(value for value in values if value in _MEASURED[measure])
    return tuple(value for value in values if value not in (*_DURATIONS, *_AGES))


def list_anchors(measure: str, events: str | None = None) -> tuple[str, ...]:
    """List what of an event may have to lie in the window; what is over when it happens only starts."""
    if events in POINTS or measure not in _BY_END:
        return ("start",)
    return ANCHORS if measure in _BY_PART else ("start", "end")


def _know(what: str, word: str, words: Iterable[str]) -> Rule:
    known = tuple(words)
    told = f"Known are {_tell(known)}" if known else "There are none; leave it out"
    return Rule(word in known, f"has the unknown {what} {word!r}", told)


def _tell(words: Iterable[str]) -> str:
    return ", ".join(words)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))
