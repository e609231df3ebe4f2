"""Entries: the type that each entry of a definition must have, as TOML and JSON may give any."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from somv_risk.languages import LANGUAGES, TITLED
from somv_risk.registers import schema as s
from somv_risk.registers.codes import clean_code

DIRECTIONS: Final = (-1, 0, 1)
_ID: Final = re.compile(r"[a-z][a-z0-9_]*")


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


class _Entry(NamedTuple):
    """What some entries must be; `fact` may name the entry (`name`) and what it is (`value`)."""

    names: tuple[str, ...]
    is_kept: Callable[[object], bool]
    fact: str
    cure: str


def list_entry_rules(definition: object) -> Iterator[Rule]:
    """List the rules of all entries, in their order."""
    for entry in _ENTRIES:
        for name in entry.names:
            value = getattr(definition, name)
            yield Rule(entry.is_kept(value), entry.fact.format(name=name, value=value), entry.cure)


def join_words(words: Iterable[str]) -> str:
    """Join words to a list as a sentence has it."""
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


_ENTRIES: Final = (
    _Entry(
        ("id",),
        _is_id,
        "has an id that cannot be part of a column name",
        "Use lower-case letters, digits and underscores, a letter first",
    ),
    _Entry(("theme", "unit", "measure", "events"), _is_text, "has {name} {value!r}", "Write a text"),
    _Entry(
        ("title",),
        _is_title,
        "has no title in each language",
        f"Give a title in {join_words(TITLED)}, "
        f"and else only in languages of the library ({join_words(LANGUAGES)})",
    ),
    _Entry(
        ("windows",),
        lambda value: isinstance(value, tuple),
        "has windows that are no list",
        "Write [90, 365]",
    ),
    _Entry(("where", "of"), _are_texts, "has a {name} that is no list of texts", 'Write ["acute"]'),
    _Entry(
        ("match",),
        _is_match,
        "matches something other than a list of texts",
        'Give at least one text for each column, like { department = ["Neurologi"] }',
    ),
    _Entry(
        ("value",),
        lambda value: value is None or _is_text(value),
        "measures no text",
        "Name one of the values",
    ),
    _Entry(
        ("within_days",),
        lambda value: value is None or _is_positive(value),
        "counts within {value!r} days",
        "Give a positive whole number of days",
    ),
    _Entry(("monotone",), _is_direction, "has the monotone direction {value!r}", "Give -1, 0 or 1"),
    _Entry(
        ("changeable",),
        lambda value: isinstance(value, bool),
        "is changeable {value!r}",
        "Give true or false",
    ),
    _Entry(("version",), _is_positive, "has the version {value!r}", "Give a whole number from 1"),
)
