"""Rules: what a definition must be, so that it can be measured and sees only what lies before the index."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from somv_risk.cohort.outcomes import OUTCOME_EVENTS
from somv_risk.cohort.splits import ROLE
from somv_risk.cohort.windows import Lookback
from somv_risk.errors import ConfigError
from somv_risk.features._entries import Rule, join_words, list_entry_rules
from somv_risk.features._kinds import ANCHORS, BY_START, Anchor, Extent
from somv_risk.features.measures import MEASURES, Question
from somv_risk.features.views import VIEWS
from somv_risk.registers import schema as s

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


def check_definition(definition: DefinitionLike) -> None:
    """Raise at the first rule that a definition breaks; each may rely on those before it.

    Raises
    ------
    ConfigError
        Names the feature, what is wrong, and what to do.
    """
    _check(definition, list_entry_rules)
    for days in definition.windows:
        _check_window(definition, days)
    for list_rules in (
        _list_word_rules,
        _list_events_rules,
        _list_window_rules,
        _list_where_rules,
        _list_value_rules,
        _list_anchor_rules,
    ):
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
        f"matches {join_words(malformed)}, which fits no ICD-10 code",
        "Write codes like G35, or their beginning like G35*",
    )


def _list_events_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """The measure can be taken of such events."""
    name, events = definition.measure, list_measurable_events(definition.measure)
    yield Rule(
        definition.events in events,
        f"is a {name} of {definition.events}, of which it cannot be taken",
        f"Choose one of {join_words(events)}",
    )


def _list_window_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """The windows are those that the measure needs."""
    name, windows, measure = definition.measure, definition.windows, MEASURES[definition.measure]
    if measure.has_window:
        yield Rule(bool(windows), f"is a {name} over no window", "Give windows, like [90, 365]")
    else:
        yield Rule(not windows, f"is a {name}, which has no window", "Leave windows out")
    yield Rule(len(set(windows)) == len(windows), "has a window twice", "Give each window once")
    yield Rule(
        not measure.has_halves or not any(days % 2 for days in windows),
        f"is a {name} over an odd number of days",
        "Give windows of an even number of days, to compare their halves",
    )


def _list_where_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """A share, a last one and the like say which events are meant; no other measure has events `of`."""
    name = definition.measure
    if MEASURES[name].needs_where:
        asks = bool(definition.where or definition.match)
        yield Rule(asks, f"is a {name} of nothing in particular", "Say which events in where or match")
    else:
        yield Rule(not definition.of, f"is a {name}, which looks at no of", "Use where")


def _list_value_rules(definition: DefinitionLike) -> Iterator[Rule]:
    """A value and a span are given to a measure that needs them, and to no other."""
    name, measure = definition.measure, MEASURES[definition.measure]
    if measure.needs_value:
        yield Rule(definition.value is not None, f"is a {name} of no value", "Name the value measured")
        values = list_measurable_values(name, definition.events)
        yield Rule(
            definition.value in values,
            f"is a {name} of {definition.value!r}, which it cannot measure",
            f"Choose one of {join_words(values)}",
        )
    else:
        yield Rule(definition.value is None, f"is a {name}, which measures no value", "Leave value out")
    takers = [other for other, record in MEASURES.items() if record.needs_within_days]
    yield Rule(
        (definition.within_days is not None) == measure.needs_within_days,
        f"is a {name} {'without' if measure.needs_within_days else 'with'} within_days",
        f"Give within_days for {join_words(takers)} and for nothing else",
    )


def _list_anchor_rules(definition: DefinitionLike) -> Iterator[Rule]:
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
    cure = f"Known are {join_words(known)}" if known else "There are none; leave it out"
    return Rule(word in known, f"has the unknown {what} {word!r}", cure)
