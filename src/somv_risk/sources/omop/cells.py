"""Cells of an OMOP table: text that is cleaned, and read as a moment or a date where it is one."""

from typing import Final

import polars as pl

from somv_risk.calls.moments import UNIT, read_moments

# What a float turns an id into; "e" alone would also hit shortened hexadecimal pseudonyms.
FLOAT_ID: Final = r"^[+-]?\d+(\.\d+([eE][+-]?\d+)?|[eE]\+\d+)$"

NUMBER_ENDINGS: Final = ("concept_id", "_of_birth")


def is_key(column: str) -> bool:
    """Whether a column identifies a row or points to one, and must survive digit by digit."""
    return column.endswith("_id") and not column.endswith("concept_id")


def clean_cell(source: str, column: str) -> pl.Expr:
    """Text without outer blanks, named `column`; an empty cell and concept 0 ("none") become null."""
    text = pl.col(source).cast(pl.String).str.strip_chars()
    if not column.endswith(NUMBER_ENDINGS):
        return _drop_values(text, "").alias(column)
    # Data frames write a whole number as 8507.0 as soon as one cell of its column is empty.
    return _drop_values(text.str.replace(r"\.0+$", ""), "", "0").alias(column)


def parse_moment(column: str, time_zone: str) -> pl.Expr:
    """Naive local moment of a cell; null where the cell is empty or cannot be read."""

    def read(cells: pl.Series) -> pl.Series:
        found = read_moments(cells, time_zone)
        return cells.cast(UNIT) if found is None else found.local

    return pl.col(column).map_batches(read, return_dtype=UNIT, is_elementwise=True)


def parse_either(name: str, time_zone: str) -> pl.Expr:
    """Moment of `<name>_datetime`, or midnight of `<name>_date` where the first is empty."""
    return (
        pl.when(pl.col(f"{name}_datetime").is_not_null())
        .then(parse_moment(f"{name}_datetime", time_zone))
        .otherwise(parse_moment(f"{name}_date", time_zone))
    )


def is_unreadable(name: str, time_zone: str) -> pl.Expr:
    """Whether a cell of `<name>_datetime` or `<name>_date` holds something that is no moment."""
    return pl.any_horizontal(
        pl.col(column).is_not_null() & parse_moment(column, time_zone).is_null()
        for column in (f"{name}_datetime", f"{name}_date")
    )


def parse_birth_date(time_zone: str) -> pl.Expr:
    """Date of `birth_datetime`, or of year, month and day: without a day the 15th, without a month 1 July."""
    return pl.coalesce(parse_moment("birth_datetime", time_zone).dt.date(), _parse_birth_parts())


def _parse_birth_parts() -> pl.Expr:
    year, month, day = (pl.col(f"{part}_of_birth") for part in ("year", "month", "day"))
    text = (
        pl.when(month.is_null())
        .then(pl.format("{}-7-1", year))
        .otherwise(pl.format("{}-{}-{}", year, month, day.fill_null("15")))
    )
    return text.str.to_date("%Y-%m-%d", strict=False)


def _drop_values(text: pl.Expr, *values: str) -> pl.Expr:
    return pl.when(~text.is_in(list(values))).then(text)
