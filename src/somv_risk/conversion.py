"""Conversion of one delivered column to its declared type, without guessing."""

from dataclasses import dataclass

import polars as pl

from somv_risk import schema as s
from somv_risk.errors import InputError

MOMENT_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z")
CODE_COLUMNS = (s.DIAGNOSIS, s.CODE)

EXPECTATIONS = {
    pl.String: "text (ids as text; a float would lose digits)",
    pl.Datetime: "a date and time (or text such as 2026-01-31T08:15:00)",
    pl.Date: "a date (or text such as 2026-01-31)",
    pl.Enum: "text from a closed set of values",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """The typed column, and where a delivered value could not become one."""

    value: pl.Expr
    failed: pl.Expr
    rule: str


def convert(table: str, name: str, source: pl.DataType, target: pl.DataType, timezone: str) -> Converted:
    """Convert the column `name` from the delivered type `source` to the declared type `target`.

    Blanks around text are removed, empty text is null, codes lose their dots and become upper case.
    An absent column (type Null) becomes null.

    Raises
    ------
    InputError
        If no value of the delivered type can be meant for the declared one.
    """
    if source == pl.Null:
        return Converted(pl.lit(None, dtype=target), pl.lit(value=False), "type")
    value = (
        _convert_text(name, target, timezone)
        if _is_text(source)
        else _convert_typed(name, source, target, timezone)
    )
    if value is None:
        raise InputError(
            f"Table {table}, column {name} has type {source}; expected {EXPECTATIONS[type(target)]}. "
            "Convert the column before delivering it."
        )
    is_delivered = _text(name).is_not_null() if _is_text(source) else pl.col(name).is_not_null()
    rule = "unknown_value" if isinstance(target, pl.Enum) else "type"
    return Converted(value, is_delivered & value.is_null(), rule)


def _is_text(source: pl.DataType) -> bool:
    return source == pl.String or isinstance(source, pl.Categorical | pl.Enum)


def _text(name: str) -> pl.Expr:
    """Text without blanks around it; nothing left is null."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def _convert_text(name: str, target: pl.DataType, timezone: str) -> pl.Expr | None:
    text = _text(name)
    if isinstance(target, pl.Datetime):
        return _parse_moment(text, timezone)
    if isinstance(target, pl.Date):
        return _parse_moment(text, timezone).dt.date()
    if name in CODE_COLUMNS:
        return text.str.replace_all(".", "", literal=True).str.to_uppercase()
    return text.cast(target, strict=False)


def _parse_moment(text: pl.Expr, timezone: str) -> pl.Expr:
    naive = [text.str.to_datetime(form, time_unit="us", strict=False) for form in MOMENT_FORMATS]
    zone_as_offset = text.str.replace(r"Z$", "+00:00")
    zoned = [
        _drop_zone(
            zone_as_offset.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC"), timezone
        )
        for form in ZONED_FORMATS
    ]
    return pl.coalesce(*naive, *zoned)


def _drop_zone(moment: pl.Expr, timezone: str) -> pl.Expr:
    return moment.dt.convert_time_zone(timezone).dt.replace_time_zone(None)


def _convert_typed(name: str, source: pl.DataType, target: pl.DataType, timezone: str) -> pl.Expr | None:
    column = pl.col(name)
    if isinstance(target, pl.String) and source.is_integer():
        return column.cast(pl.String)
    if isinstance(source, pl.Datetime) and source.time_zone is not None:
        column = _drop_zone(column, timezone)
    if isinstance(source, pl.Date | pl.Datetime) and isinstance(target, pl.Date | pl.Datetime):
        return column.cast(target)
    return None
