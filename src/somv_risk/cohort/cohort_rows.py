"""Cohort rows: the persons and index moments a caller asks about, whatever frame they come in."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from somv_risk.calls.arguments import read_ids
from somv_risk.calls.arrow import ArrowFrame, read_frame
from somv_risk.calls.moments import drop_far, read_moments
from somv_risk.cohort.asof import KEY
from somv_risk.cohort.cohort import Cohort
from somv_risk.errors import InputError
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories, check_histories

COHORT: Final = "cohort"
_TYPES: Final = {s.PERSON_ID: pl.String(), s.INDEX_TIME: pl.Datetime("us")}
_IS_KNOWN: Final = "is_known"
_WANTED: Final = "each row a person's id as text and a moment such as 2026-01-31"


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Cohort rows that were found in the histories at hand, so that nobody need look for them again."""

    rows: pl.LazyFrame | pl.DataFrame


CohortLike = Cohort | KnownRows | pl.LazyFrame | ArrowFrame


def read_cohort(histories: Histories, cohort: CohortLike) -> pl.LazyFrame:
    """Read cohort rows of any kind, in their order; repeated ones stay repeated.

    Moments are text, dates or datetimes; those with a time zone are converted to that of the histories. Ids
    are text or whole numbers.

    Returns
    -------
    One row per cohort row: `person_id` (String), `index_time` (Datetime). When they are collected, ids and
    moments that cannot be read, and persons who are not in the histories, are an `InputError`.

    Raises
    ------
    InputError
        If the cohort is no frame, lacks a column or has one of an unusable type.
    """
    rows = scan_cohort(histories, cohort)
    if isinstance(cohort, KnownRows):
        return rows
    # Histories made by hand may have a person twice, and no row may be answered twice for that.
    known = histories.persons.select(s.PERSON_ID, pl.lit(value=True).alias(_IS_KNOWN)).unique()
    placed = rows.join(known, on=s.PERSON_ID, how="left", maintain_order="left")
    return placed.map_batches(_check_known, schema=_TYPES, projection_pushdown=False)


def scan_cohort(histories: Histories, cohort: CohortLike) -> pl.LazyFrame:
    """Read cohort rows as `read_cohort` does; unless they are known, `check_rows` is to be asked of them."""
    check_histories(histories)
    if isinstance(cohort, KnownRows):
        return cohort.rows.lazy().select(KEY)
    frame = cohort.lazy() if isinstance(cohort, Cohort) else read_frame(COHORT, cohort)
    return _read_rows(frame, _check_columns(frame), histories.timezone)


def check_rows(rows: pl.DataFrame, person_ids: pl.Series) -> pl.DataFrame:
    """Check the rows that `scan_cohort` read against the persons there are, and return them.

    A citizen's row is checked in a tenth of the time of the query that `read_cohort` is.

    Raises
    ------
    InputError
        As `read_cohort`.
    """
    is_known = rows[s.PERSON_ID].is_in(person_ids.implode())
    return _check_known(rows.with_columns(is_known.alias(_IS_KNOWN)))


def _check_columns(frame: pl.LazyFrame) -> pl.Schema:
    try:
        given = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        # The original error may quote a cell.
        raise InputError(
            f"Table {COHORT} cannot be read ({type(error).__name__}). Collect the frame to see why."
        ) from None
    missing = [name for name in KEY if name not in given]
    if missing:
        raise InputError(
            f"Table {COHORT} has no column {missing}, only {len(given)} others. Give {list(KEY)}."
        )
    return given


def _read_rows(frame: pl.LazyFrame, given: pl.Schema, timezone: str) -> pl.LazyFrame:
    if all(given[name] == dtype for name, dtype in _TYPES.items()):
        return frame.select(pl.col(s.PERSON_ID).str.strip_chars(), s.INDEX_TIME)
    read = partial(_convert_rows, timezone)
    return frame.select(KEY).map_batches(read, schema=_TYPES, projection_pushdown=False)


def _convert_rows(timezone: str, given: pl.DataFrame) -> pl.DataFrame:
    moments = read_moments(_read_text(given[s.INDEX_TIME]), timezone)
    read = {
        s.PERSON_ID: read_ids(given[s.PERSON_ID]),
        s.INDEX_TIME: None if moments is None else moments.local,
    }
    return pl.DataFrame([_check_type(given[name], column) for name, column in read.items()])


def _read_text(column: pl.Series) -> pl.Series:
    """Read categories as text, without blanks around it; a column without any value has no type."""
    if column.dtype == pl.String or isinstance(column.dtype, pl.Categorical | pl.Enum | pl.Null):
        return column.cast(pl.String).str.strip_chars()
    return column


def _check_type(given: pl.Series, read: pl.Series | None) -> pl.Series:
    if read is None:
        raise InputError(f"Table {COHORT}, column {given.name} has type {given.dtype}. Give {_WANTED}.")
    return read.alias(given.name)


def _check_known(rows: pl.DataFrame) -> pl.DataFrame:
    """Check that all cells were read and all persons are known; a value is never named."""
    read = rows.select(s.PERSON_ID, drop_far(rows[s.INDEX_TIME]))
    _check_column(read[s.INDEX_TIME])
    if strangers := rows.height - int(rows[_IS_KNOWN].sum()):
        _check_column(read[s.PERSON_ID].replace("", None))
        raise InputError(
            f"{strangers} of {rows.height} rows of table {COHORT} name persons who are not in table "
            f"{s.PERSONS}. Take the persons from the same histories, with the same pseudonyms."
        )
    return read


def _check_column(read: pl.Series) -> None:
    if unread := read.null_count():
        raise InputError(
            f"Table {COHORT}, column {read.name} cannot be read in {unread} of {len(read)} rows. "
            f"Give {_WANTED}."
        )
