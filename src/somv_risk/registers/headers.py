"""Headers: which delivered column is which column of a table; none is passed over without a word."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from somv_risk.calls.nearest import find_near_name
from somv_risk.calls.notices import give_notice
from somv_risk.errors import ColumnWarning, InputError
from somv_risk.registers import schema as s

# What Polars makes of a name that stands twice in the header of a CSV file.
_REPEATED: Final = re.compile(r"(.+)_duplicated_[0-9]+")
# A header may be a row of values that lost its header; only what looks like a name is shown.
_SHOWN: Final = re.compile(r"[^\W\d_][\w .-]{0,29}")
_DIGITS: Final = re.compile(r"[0-9]{3}")
_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Header:
    """The delivered name of each column that a table has and was delivered with, and the other names."""

    names: Mapping[str, str]
    others: tuple[str, ...]


def read_header(table: str, delivered: Sequence[str]) -> Header:
    """Match delivered names with the columns of a table.

    Blanks and marks that cannot be seen are removed, capitals become small. Columns that the table does not
    have are not read.

    Raises
    ------
    InputError
        If a column stands there twice, a required one is missing, or one is missing and an unknown name is
        nearly its own.
    """
    return _read_header(table, tuple(delivered))


def warn_of_others(table: str, header: Header) -> None:
    """Warn of the columns of a table that are not read."""
    if not header.others:
        return
    shown = [name for name in map(clean_name, header.others) if _can_be_shown(name)][:_MOST_SHOWN]
    hidden = len(header.others) - len(shown)
    parts = [", ".join(shown)] * bool(shown) + [f"{hidden} not named here"] * bool(hidden)
    give_notice(f"Table {table} has columns that are not read: {' and '.join(parts)}.", ColumnWarning)


def clean_name(name: str) -> str:
    r"""Clean a delivered name: no blanks around it, no marks that cannot be seen, no capitals.

    Examples
    --------
    >>> clean_name("\ufeffEnded_At ")
    'ended_at'
    """
    seen = "".join(mark for mark in unicodedata.normalize("NFKC", name) if not _is_invisible(mark))
    return seen.strip().casefold()


def _is_invisible(mark: str) -> bool:
    return unicodedata.category(mark) in ("Cc", "Cf") and not mark.isspace()


@cache
def _read_header(table: str, delivered: tuple[str, ...]) -> Header:
    columns = s.get_columns(table)
    cleaned = [clean_name(name) for name in delivered]
    _check_given_once(table, cleaned)
    names = {clean: name for clean, name in zip(cleaned, delivered, strict=True) if clean in columns}
    others = tuple(name for clean, name in zip(cleaned, delivered, strict=True) if clean not in columns)
    absent = [name for name in columns if name not in names]
    _check_far(table, [name for name in cleaned if name not in columns], absent)
    _check_present(table, names)
    return Header(MappingProxyType({name: names[name] for name in columns if name in names}), others)


def _check_given_once(table: str, cleaned: Collection[str]) -> None:
    counts = Counter(_REPEATED.sub(r"\1", name) for name in cleaned)
    twice = [name for name in s.get_columns(table) if counts[name] > 1]
    if twice:
        raise InputError(
            f"Table {table} has column {twice} more than once. Deliver each column once; "
            "capitals and blanks around a name make no other name of it."
        )


def _check_far(table: str, others: Collection[str], absent: Sequence[str]) -> None:
    """Check that no unknown name is nearly that of a column that is missing."""
    near = [(name, known) for name in others if (known := find_near_name(name, absent))]
    for name, known in near[:1]:
        raise InputError(
            f"Table {table} has no column '{known}', but one named '{name}'. "
            f"Name it '{known}' if it is meant, or leave it out."
        )


def _check_present(table: str, names: Mapping[str, str]) -> None:
    missing = [name for name in s.get_required_columns(table) if name not in names]
    if missing:
        raise InputError(
            f"Table {table} has no column {missing}, only {len(names)} of its columns. "
            f"Deliver {list(s.get_required_columns(table))} under these names, in a file with a header."
        )


def _can_be_shown(name: str) -> bool:
    return bool(_SHOWN.fullmatch(name)) and not _DIGITS.search(name)
