"""Arguments: the numbers and ids of a call, of whatever type they come, in one place."""

from numbers import Integral
from typing import Any

import polars as pl

from somv_risk.errors import ConfigError


def read_count(name: str, value: Any, *, least: int, most: int | None = None) -> int:  # noqa: ANN401 - whatever a caller takes for a number
    """Read a whole number of Python or numpy; True is none, nor is 1.0 or "1".

    Raises
    ------
    ConfigError
        If it is none, or out of its range.

    Examples
    --------
    >>> read_count("capacity", 100, least=0)
    100
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        range_ = f"from {least}" if most is None else f"from {least} to {most:,}"
        raise ConfigError(f"{name} is {show(value)}. Give a whole number {range_}.")
    return int(value)


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


def show(value: object) -> str:
    """Show an argument that is a number, a name or the like, cut to a length that can be read."""
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:40]}..."
