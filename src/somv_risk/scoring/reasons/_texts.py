"""Reason texts of one language, read from data and checked."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from string import Formatter
from types import MappingProxyType
from typing import Any, Final

from somv_risk.calls.arguments import check_choice
from somv_risk.errors import ConfigError
from somv_risk.features import MEASURES, THEMES, Definition, list_event_views, load_definitions
from somv_risk.languages import LANGUAGES
from somv_risk.scoring.reasons._dates import DateWords
from somv_risk.scoring.reasons._numbers import NumberWords
from somv_risk.scoring.reasons._shapes import SHAPES, Shape
from somv_risk.toml import load_packaged

_NO_PLACEHOLDER: Final[frozenset[str]] = frozenset()
_NUMBER: Final = frozenset({"n"})
_NUMBERED_WORDS: Final = ("percent", "days", "months", "years")
_HALVES: Final = frozenset({"recent", "earlier"})
_WINDOW_SECTIONS: Final = ("windows", "windows_before")
_FALLBACK_PLACEHOLDERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"windowed": frozenset({"title", "value", "window"}), "plain": frozenset({"title", "value"})}
)
_DAY: Final = frozenset({"day", "month", "year"})
_WORDS_PLACEHOLDERS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = MappingProxyType(
    {
        "marks": {},
        "evidence": {"span": frozenset({"start", "end"}), "since": frozenset({"start"}), "more": _NUMBER},
        "events": {},
    }
)


@dataclass(frozen=True, slots=True)
class Template:
    """One text, where it stands, and the placeholders it may use."""

    place: str
    text: str
    placeholders: frozenset[str]
    is_sentence: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """The reviewed texts of one language.

    Parameters
    ----------
    language
        Key of the language, such as ``da``.
    version, review
        Which texts these are, and who has reviewed them.
    themes, directions, windows
        Words of the themes, of the direction of a contribution, and of windows by their days.
    windows_before
        Words of the equally long time before a window, by its days.
    numbers
        How the language writes numbers.
    dates
        How it writes days and moments.
    marks
        What is said of a reason that can be worked with, and of one that is given.
    evidence, events
        How the events behind a reason are listed, and what each kind of them is called.
    bands
        By measure, the value from which each verbal band holds, ascending from its least value.
    fallback
        What is written for features without texts of their own.
    features
        By feature id, one template per form.

    Raises
    ------
    ConfigError
        If a section, form or placeholder is unknown or missing.
    """

    language: str
    version: str
    review: str
    themes: Mapping[str, str]
    directions: Mapping[str, str]
    windows: Mapping[str, str]
    windows_before: Mapping[str, str]
    numbers: NumberWords
    dates: DateWords
    marks: Mapping[str, str]
    evidence: Mapping[str, str]
    events: Mapping[str, str]
    bands: Mapping[str, Mapping[str, float]]
    fallback: Mapping[str, str]
    features: Mapping[str, Mapping[str, str]]

    def __post_init__(self) -> None:
        for section, keys in _list_sections().items():
            _check_keys(f"{self.language}: {section}", set(getattr(self, section)), set(keys))
        for section in _WINDOW_SECTIONS:
            _check_keys(f"{self.language}: {section}", {"other"} & set(getattr(self, section)), {"other"})
        for measure, bands in self.bands.items():
            _check_bands(f"{self.language}: bands.{measure}", SHAPES[MEASURES[measure].shape], bands)
        for template in list_templates(self):
            _check_template(self.language, template)

    def theme(self, name: str) -> str:
        """Return what a theme is called.

        Examples
        --------
        >>> load_texts("en").theme("bursts")
        'Admissions close together'
        """
        if name not in self.themes:
            raise ConfigError(f"There is no theme {name!r}. Known themes are {', '.join(self.themes)}.")
        return self.themes[name]

    def window(self, days: int) -> str:
        """Return what a look-back window is called."""
        return self.windows.get(str(days), self.windows["other"]).format(n=days)

    def window_before(self, days: int) -> str:
        """Return what the equally long time before a look-back window is called.

        Examples
        --------
        >>> load_texts("en").window(180), load_texts("en").window_before(180)
        ('in the past 6 months', 'in the 6 months before')
        """
        return self.windows_before.get(str(days), self.windows_before["other"]).format(n=days)

    def direction(self, contribution: float) -> str:
        """Return the sentence that says which way a contribution pulls."""
        if contribution > 0:
            return self.directions["raises"]
        return self.directions["lowers"] if contribution < 0 else self.directions["neither"]


def _list_sections() -> Mapping[str, Iterable[str]]:
    """List the words that a section must have."""
    return {
        "themes": THEMES,
        "directions": ("raises", "lowers", "neither"),
        "bands": [name for name, record in MEASURES.items() if SHAPES[record.shape].least is not None],
        "fallback": ("windowed", "plain", "yes", "no", "null"),
        "marks": ("changeable", "given"),
        "evidence": ("span", "since", "more"),
        "events": list_event_views(),
    }


def load_texts(language: str) -> Texts:
    """Load the packaged texts of a language.

    Raises
    ------
    ConfigError
        If there are no texts in that language.
    """
    check_choice("language", language, LANGUAGES)
    return _load_texts(language)


@cache
def _load_texts(language: str) -> Texts:
    return read_texts(language, load_packaged("somv_risk.scoring.reasons", f"{language}.toml"))


def read_texts(language: str, content: Mapping[str, Any]) -> Texts:
    """Read texts as TOML gives them.

    Raises
    ------
    ConfigError
        If a section, form or placeholder is unknown or missing.
    """
    try:
        words = {
            "numbers": NumberWords(**content.get("numbers", {})),
            "dates": DateWords(**content.get("dates", {})),
        }
        return Texts(language=language, **_freeze({**content, **words}))
    except TypeError as error:
        sections = ", ".join(name for name in Texts.__slots__ if name != "language")
        raise ConfigError(
            f"Reason texts {language!r} have unknown or missing keys ({error}). Sections are {sections}."
        ) from None


def list_templates(texts: Texts) -> Iterator[Template]:
    """List every text with its place and its placeholders."""
    for form, text in texts.directions.items():
        yield Template(f"directions.{form}", text, _NO_PLACEHOLDER, is_sentence=True)
    for section in _WINDOW_SECTIONS:
        for days, text in getattr(texts, section).items():
            yield Template(f"{section}.{days}", text, _NUMBER if days == "other" else _NO_PLACEHOLDER)
    for word in NumberWords.__slots__:
        allowed = _NUMBER if word in _NUMBERED_WORDS else _NO_PLACEHOLDER
        yield Template(f"numbers.{word}", getattr(texts.numbers, word), allowed)
    yield Template("dates.date", texts.dates.date, _DAY)
    yield Template("dates.moment", texts.dates.moment, frozenset({"date", "hour", "minute"}))
    for section, placeholders in _WORDS_PLACEHOLDERS.items():
        for word, text in getattr(texts, section).items():
            yield Template(f"{section}.{word}", text, placeholders.get(word, _NO_PLACEHOLDER))
    for form, text in texts.fallback.items():
        allowed = _FALLBACK_PLACEHOLDERS.get(form, _NO_PLACEHOLDER)
        yield Template(f"fallback.{form}", text, allowed, is_sentence=bool(allowed))
    yield from _list_feature_templates(texts)


def _list_feature_templates(texts: Texts) -> Iterator[Template]:
    definitions = {definition.id: definition for definition in load_definitions()}
    for identity, forms in texts.features.items():
        place = f"features.{identity}"
        if identity not in definitions:
            raise ConfigError(f"{texts.language}: {place} is for no feature of the catalogue. Remove it.")
        definition = definitions[identity]
        _check_forms(f"{texts.language}: {place}", definition, set(forms))
        allowed = _list_placeholders(definition)
        for form, text in forms.items():
            yield Template(f"{place}.{form}", text, allowed, is_sentence=True)


def _list_placeholders(definition: Definition) -> frozenset[str]:
    shape = SHAPES[MEASURES[definition.measure].shape]
    return frozenset(
        ({shape.placeholder} if shape.placeholder else set())
        | ({"window"} if definition.windows else set())
        | (_HALVES if shape.compares_halves else set())
    )


def _check_forms(place: str, definition: Definition, given: set[str]) -> None:
    shape = SHAPES[MEASURES[definition.measure].shape]
    _check_keys(place, given & set(shape.forms) if shape.is_open else given, set(shape.forms))


def _check_keys(place: str, given: set[str], expected: set[str]) -> None:
    if given != expected:
        raise ConfigError(f"{place} has the keys {sorted(given)}. It needs exactly {sorted(expected)}.")


def _check_bands(place: str, shape: Shape, bands: Mapping[str, float]) -> None:
    _check_keys(place, {*bands, "null"}, set(shape.forms))
    starts = list(bands.values())
    if starts[0] != shape.least or any(later <= earlier for earlier, later in pairwise(starts)):
        raise ConfigError(f"{place} starts its bands at {starts}. Let them ascend from {shape.least}.")


def _check_template(language: str, template: Template) -> None:
    place = f"{language}: {template.place}"
    if unknown := _list_fields(place, template.text) - template.placeholders:
        raise ConfigError(
            f"{place} uses the placeholders {sorted(unknown)}. It may use {sorted(template.placeholders)}."
        )
    if template.is_sentence and not template.text.endswith("."):
        raise ConfigError(f"{place} does not end like a sentence. End it with a period.")


def _list_fields(place: str, text: str) -> set[str]:
    try:
        return {field for _, field, _, _ in Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise ConfigError(f"{place} is no template ({error}). Write placeholders like {{n}}.") from None


def _freeze(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(
        {key: _freeze(value) if isinstance(value, dict) else value for key, value in content.items()}
    )
