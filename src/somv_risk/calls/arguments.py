"""Arguments: the numbers, ids, paths and moments of a call, of whatever type they come, in one place.

An error names the argument and what was expected. It shows numbers and names, and never an id.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.calls.moments import parse_moment
from somv_risk.calls.shown import MOST, is_text, show, show_type
from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import ConfigError

INDEX_YEARS: Final = (1850, 9000)  # windows and horizons around them stay within what Python can count


def read_count(name: str, value: object, *, least: int = 0, most: int = MOST) -> int:
    """Read a whole number of Python or numpy; True is none, nor is 1.0 or "1".

    Raises
    ------
    ConfigError
        If it is none, or out of its range.

    Examples
    --------
    >>> read_count("capacity", 100)
    100
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    limits = f"from {least}" if most == MOST else f"from {least} to {most}"
    raise ConfigError(f"{name} is {show(value)}. Give a whole number {limits}.")


def read_share(name: str, value: Any) -> float:  # noqa: ANN401 - whatever a caller takes for a number
    """Read a number from 0 to 1 of Python or numpy.

    Raises
    ------
    ConfigError
        If it is none.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and 0 <= value <= 1:  # NaN is not
        return float(value)
    raise ConfigError(f"{name} is {show(value)}. Give a number from 0 to 1.")


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Check that an argument is one of some words.

    Raises
    ------
    ConfigError
        If it is none of them.
    """
    if not (isinstance(value, str) and value in choices):
        raise ConfigError(f"{name} is {show(value)}. Give one of {list(choices)}.")


def check_choices(name: str, values: object, choices: Collection[str]) -> None:
    """Check that an argument is a collection of some words, and no word itself.

    Raises
    ------
    ConfigError
        If it is none, or one of its words is another.
    """
    listed = None if isinstance(values, str) else list_values(values)
    if listed is None or not all(isinstance(value, str) and value in choices for value in listed):
        raise ConfigError(f"{name} is {show(values)}. Give some of {list(choices)} in a list.")


def read_path(name: str, value: object) -> Path:
    """Read a path.

    Raises
    ------
    ConfigError
        If it is no text or `Path`, or has a character that no path has.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and "\0" not in path and is_text(path):
            return Path(path)
    raise ConfigError(f"{name} is {show(value)}. Give the path of a file or folder.")


def read_index_time(value: object, timezone: str = TIMEZONE, name: str = "index_time") -> datetime:
    """Read an index moment; one with a time zone is converted.

    Raises
    ------
    ConfigError
        If it is none, or so far away that no horizon or window around it can be counted.
    """
    moment = parse_moment(value, timezone)
    first, last = INDEX_YEARS
    if not first <= moment.year < last:
        raise ConfigError(f"{name} lies in the year {moment.year}. Give a moment from {first} on.")
    return moment


def read_index_times(values: object, timezone: str = TIMEZONE, name: str = "index_times") -> list[datetime]:
    """Read index moments, a single one too, each once and in order.

    Raises
    ------
    ConfigError
        If there is none, or one cannot be read.
    """
    listed = [values] if isinstance(values, str | date) else list_values(values)
    if not listed:
        what = f"is {show(values)}" if listed is None else "has no index moment in it"
        raise ConfigError(f"{name} {what}. Give at least one, such as ['2026-01-31'].")
    return sorted({read_index_time(value, timezone, name) for value in listed})


def list_ids(name: str, values: object) -> list[str]:
    """List ids, a single one too, each once: text, or whole numbers as text.

    Raises
    ------
    ConfigError
        If something else is among them.
    """
    listed = [values] if isinstance(values, str | Integral) else list_values(values)
    if listed is None:
        raise ConfigError(f"{name} is {show_type(values)}. Give ids in a list, such as frame['person_id'].")
    return list(dict.fromkeys(read_id(name, value) for value in listed))


def read_id(name: str, value: object) -> str:
    """Read an id: text, or a whole number as text.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    if isinstance(value, str) and is_text(value):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    raise ConfigError(f"{name} is or has a value {show_type(value)}. Give ids as text.")


def list_values(values: Any) -> Sequence[object] | None:  # noqa: ANN401 - whatever a caller takes for a list
    """List what stands in a collection, array or column; None if it is none, or a frame or a mapping."""
    if isinstance(values, bytes | dict | pl.DataFrame) or hasattr(values, "columns"):
        return None
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | type) else None


def read_ids(column: pl.Series) -> pl.Series | None:
    """Read a column of ids: text without blanks around it, or whole numbers; an empty text is null.

    Returns
    -------
    None if the type of the column is none for ids.
    """
    if column.dtype.is_integer() or column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype == pl.String or isinstance(column.dtype, pl.Categorical | pl.Enum):
        text = column.cast(pl.String).str.strip_chars()
        return text.set(text == "", None)
    return None
