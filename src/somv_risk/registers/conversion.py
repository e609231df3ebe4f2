"""Conversion of one delivered column to its declared type, without guessing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.calls.moments import drop_far, read_moments
from somv_risk.errors import InputError
from somv_risk.registers import schema as s
from somv_risk.registers.codes import clean_codes, load_sentinels

EXPECTATIONS: Final = {
    pl.String: "text (ids as text; a float would lose digits)",
    pl.Datetime: "a date and time (or text such as 2026-01-31T08:15:00)",
    pl.Date: "a date (or text such as 2026-01-31)",
    pl.Enum: "text from a closed set of values",
    pl.Float64: "a number (or text such as 37.5)",
}
TYPE, UNKNOWN_VALUE, NO_ICD10 = "type", "unknown_value", "no_icd10"
OUT_OF_RANGE, SENTINEL = "out_of_range", "sentinel"
ENDS_FIRST = "ends_after_it_starts"

_WIDE: Final = (pl.Int128, pl.UInt128)


@dataclass(frozen=True, slots=True)
class Converted:
    """A typed column, and which rows broke which rule on the way.

    `utc` has the moments that came with a zone, by which they can be compared where local clocks are put
    back; None if none did, or the column has no moments.
    """

    value: pl.Series
    broken: Mapping[str, pl.Series] = field(default_factory=lambda: MappingProxyType({}))
    utc: pl.Series | None = None


def clean_text(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Make text of all that is text: without blanks around it, and null where nothing is left."""
    codes = s.TABLES[table].codes
    names = [name for name, dtype in frame.schema.items() if _is_text(dtype) and name not in codes]
    text = (pl.col(name).cast(pl.String).str.strip_chars() for name in names)
    return frame.with_columns(
        pl.when(one != "").then(one).alias(name) for name, one in zip(names, text, strict=True)
    )


def convert(table: str, column: pl.Series, target: pl.DataType, timezone: str) -> Converted:
    """Convert a column, named as in the schema and with clean text, to its declared type.

    Codes lose their dots, marks and the Danish D, and become upper case. Moments become local ones. A day
    that stands for no date is null, and breaks a rule where there must be one. A column without any value
    may have any type.

    Raises
    ------
    InputError
        If no value of the delivered type can be meant for the declared one.
    """
    if not has_values(column):
        return Converted(pl.Series(column.name, [None], dtype=target).new_from_index(0, len(column)))
    converted = _convert(table, column, target, timezone)
    if converted is None:
        raise InputError(
            f"Table {table}, column {column.name} has type {column.dtype}; "
            f"expected {EXPECTATIONS[type(target)]}. Convert the column before delivering it."
        )
    return converted


def has_values(column: pl.Series) -> bool:
    """Whether any cell has a value; to pandas, a column without any is one of numbers that are none."""
    if column.dtype.is_float() and column.is_nan().any():
        column = column.fill_nan(None)
    return column.null_count() < len(column)


def keep_for_quarantine(column: pl.Series) -> pl.Series:
    """Give a delivered column a type that files and screens can hold, the same for every batch of it."""
    if isinstance(column.dtype, pl.Datetime | pl.Date):
        return drop_far(column)
    if column.dtype in _WIDE:
        return column.cast(pl.String)
    is_odd = column.dtype.is_nested() or column.dtype in (pl.Object, pl.Null)
    return pl.Series(column.name, [None] * len(column), dtype=pl.String) if is_odd else column


def compare_in_utc(start: Converted, end: Converted) -> Converted:
    """Compare starts and ends that both came with a zone by real time, and not by the local clock.

    Returns
    -------
    The ends: at the local start where the clock was put back between the two, and noted as broken where
    they lie before their start.
    """
    if start.utc is None or end.utc is None:
        return end
    is_before = (end.utc < start.utc).fill_null(value=False)
    is_put_back = (~is_before & (end.value < start.value)).fill_null(value=False)
    is_zoned = start.utc.is_not_null() & end.utc.is_not_null()
    broken = {**end.broken, ENDS_FIRST: is_before} if is_before.any() else end.broken
    return replace(end, value=start.value.zip_with(is_put_back & is_zoned, end.value), broken=broken)


def _is_text(source: pl.DataType) -> bool:
    return source == pl.String or isinstance(source, pl.Categorical | pl.Enum)


def _convert(table: str, column: pl.Series, target: pl.DataType, timezone: str) -> Converted | None:
    if isinstance(target, pl.Datetime | pl.Date):
        return _convert_moments(table, column, target, timezone)
    if target == pl.Float64:
        return _convert_numbers(table, column)
    if column.name in s.TABLES[table].codes and _is_text(column.dtype):
        return _convert_codes(column.cast(pl.String))
    if _is_text(column.dtype):
        return _note_unread(column, column.cast(target, strict=False), UNKNOWN_VALUE)
    is_whole = column.dtype.is_integer() or (isinstance(column.dtype, pl.Decimal) and not column.dtype.scale)
    return Converted(column.cast(pl.String)) if target == pl.String and is_whole else None


def _note_unread(column: pl.Series, value: pl.Series, rule: str) -> Converted:
    """Note the rows whose cell had a value and has none now."""
    if value.null_count() == column.null_count():
        return Converted(value)
    return Converted(value, {rule: column.is_not_null() & value.is_null()})


def _convert_codes(column: pl.Series) -> Converted:
    """Convert codes; there are few different ones, so each is read once."""
    delivered = column.unique().drop_nulls()
    codes = clean_codes(delivered)
    fits = codes.str.contains(s.ICD10_PATTERN)
    value = column.replace_strict(
        delivered, codes.zip_with(fits, codes.clear(len(codes))), default=None, return_dtype=pl.String
    )
    others = delivered.filter(~fits & (codes != ""))
    return Converted(value, {NO_ICD10: column.is_in(others.implode())} if len(others) else {})


def _convert_numbers(table: str, column: pl.Series) -> Converted | None:
    """Convert numbers; a comma may divide thousands or decimals, so that text with one is not read."""
    if not (_is_text(column.dtype) or column.dtype.is_numeric()):
        return None
    given = column.fill_nan(None) if column.dtype.is_float() else column
    noted = _note_unread(given, given.cast(pl.Float64, strict=False).fill_nan(None), TYPE)
    least, most = s.get_bounds(table, column.name)
    is_outside = ~noted.value.is_finite() | (noted.value < least) | (noted.value > most)
    if not is_outside.any():
        return noted
    found = is_outside.fill_null(value=False)
    return Converted(noted.value.set(found, None), {**noted.broken, OUT_OF_RANGE: found})


def _convert_moments(table: str, column: pl.Series, target: pl.DataType, timezone: str) -> Converted | None:
    read = read_moments(column, timezone)
    if read is None:
        return None
    noted = _note_unread(column, read.local, TYPE if column.dtype == pl.String else OUT_OF_RANGE)
    value, broken = noted.value.alias(column.name), dict(noted.broken)
    is_none = _find_sentinels(value)
    if is_none is not None:
        value = value.set(is_none, None)
        broken |= {} if s.may_be_open(table, column.name) else {SENTINEL: is_none}
    utc = read.utc if read.utc.null_count() < len(column) else None
    return Converted(value.cast(target), broken, utc)


def _find_sentinels(moments: pl.Series) -> pl.Series | None:
    """Find days that stand for no date; None if there are none, which the extremes mostly say at once."""
    days = moments.dt.date()
    least: Any = days.min()
    most: Any = days.max()
    if least is None or not any(least <= day <= most for day in load_sentinels()):
        return None
    found = days.is_in(pl.Series(sorted(load_sentinels())).implode()).fill_null(value=False)
    return found if found.any() else None
