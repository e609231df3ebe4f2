"""Checks: delivered tables in, typed tables and a quarantine out; nothing is dropped or guessed.

This is the one place of its floor that looks at every row, so it works on collected frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from somv_risk.errors import InputError
from somv_risk.registers import schema as s
from somv_risk.registers.conversion import (
    ENDS_FIRST,
    Converted,
    clean_text,
    compare_in_utc,
    convert,
    keep_for_quarantine,
)
from somv_risk.registers.headers import Header, read_header, warn_of_others
from somv_risk.registers.histories import Histories, Quarantine
from somv_risk.registers.identity import describe_pseudonyms, sign_person
from somv_risk.registers.identity_checks import check_identity, find_numbers

FAILED_PREFIX = "failed:"
NO_FAILURES = pl.DataFrame(schema={s.ROW: pl.UInt32, s.RULE: pl.String})


@dataclass(frozen=True, slots=True)
class Delivered:
    """Rows of one delivered table: as they came, numbered, and as they read when typed.

    `delivered` has only columns that the table has, under its names for them. `failures` has one row per row
    and rule that it broke.
    """

    table: str
    delivered: pl.DataFrame
    typed: pl.DataFrame
    failures: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of a delivery beyond the rows at hand, where these are not all of it.

    `persons` are persons (columns of the table) whose events are welcome beside those delivered. `repeats`
    has, for each table in it, the numbers of the rows that repeat an id.
    """

    persons: pl.DataFrame
    repeats: Mapping[str, pl.Series]


def check_tables(
    tables: Mapping[str, pl.LazyFrame],
    *,
    latest: datetime,
    data_end: datetime | None = None,
    timezone: str = "Europe/Copenhagen",
    pseudonymise_key: str | bytes | None = None,
) -> Histories:
    """Convert and check delivered tables.

    Parameters
    ----------
    tables
        Delivered frames by canonical table name, with canonical column names.
    latest
        Events that start after this moment are set aside (rule `starts_in_the_future`).
    data_end
        Passed on to `Histories`.
    timezone
        Zoned moments are converted to this zone and then made naive.
    pseudonymise_key
        Secret of at least 16 bytes; person ids are replaced by keyed hashes, in the quarantine too.

    Raises
    ------
    InputError
        If a required table or column is missing or a column has an unusable type.
    IdentityError
        If a column holds civil registration numbers.
    """
    Histories(tables)  # fails on unknown and missing tables before any work starts
    headers = {table: read_header(table, frame.collect_schema().names()) for table, frame in tables.items()}
    for table, header in headers.items():
        warn_of_others(table, header)
    rows = [
        convert_rows(
            table,
            frame.select(headers[table].names.values()).collect(),
            timezone=timezone,
            pseudonymise_key=pseudonymise_key,
        )
        for table, frame in tables.items()
    ]
    _check_persons(rows)
    for delivery in rows:
        check_identity(delivery.table, find_delivered_numbers(delivery))
    return replace(
        settle(rows, latest=latest),
        data_end=data_end,
        timezone=timezone,
        pseudonyms=describe_pseudonyms(pseudonymise_key),
    )


def convert_rows(
    table: str,
    frame: pl.DataFrame,
    *,
    timezone: str,
    pseudonymise_key: str | bytes | None,
    first_row: int = 0,
) -> Delivered:
    """Number delivered rows from `first_row`, and convert each of their columns to its type.

    Raises
    ------
    InputError
        If a column is missing, stands there twice, is misspelt, or has an unusable type.
    """
    read = _choose_columns(frame, read_header(table, frame.columns))
    columns = _convert_columns(table, clean_text(table, read), timezone)
    rows = pl.int_range(first_row, first_row + frame.height, dtype=pl.UInt32, eager=True).alias(s.ROW)
    kept = [keep_for_quarantine(column) for column in read.get_columns()]
    converted = Delivered(
        table,
        pl.DataFrame([rows, *kept]),
        pl.DataFrame([rows, *(column.value.alias(name) for name, column in columns.items())]),
        _list_broken(table, rows, columns),
    )
    return converted if pseudonymise_key is None else _hide_ids(converted, sign_person(pseudonymise_key))


def _choose_columns(frame: pl.DataFrame, header: Header) -> pl.DataFrame:
    """Choose the columns that the table has, under its names for them."""
    return frame.select(pl.col(delivered).alias(name) for name, delivered in header.names.items())


def _convert_columns(table: str, frame: pl.DataFrame, timezone: str) -> dict[str, Converted]:
    columns = {
        name: convert(
            table,
            frame[name] if name in frame.columns else pl.Series(name, [None] * frame.height, dtype=pl.Null),
            target,
            timezone,
        )
        for name, target in s.get_columns(table).items()
    }
    if table != s.PERSONS:
        columns[s.ENDED_AT] = compare_in_utc(columns[s.STARTED_AT], columns[s.ENDED_AT])
    return columns


def _list_broken(table: str, rows: pl.Series, columns: Mapping[str, Converted]) -> pl.DataFrame:
    """List which row broke which rule when it was converted, one row each."""
    broken = [
        pl.DataFrame({s.ROW: rows.filter(mask)}).with_columns(
            pl.lit(_name_rule(table, name, rule)).alias(s.RULE)
        )
        for name, column in columns.items()
        for rule, mask in column.broken.items()
    ]
    return pl.concat([NO_FAILURES, *broken])


def _name_rule(table: str, column: str, rule: str) -> str:
    """Name a rule after the column that broke it, and say so where the row is kept without it."""
    if rule == ENDS_FIRST:
        return rule
    return f"{s.KEPT_WITHOUT if s.is_attribute(table, column) else ''}{column}|{rule}"


def settle(rows: list[Delivered], *, latest: datetime, around: Surroundings | None = None) -> Histories:
    """Part rows into those that keep every rule and those set aside.

    Parameters
    ----------
    rows
        All rows of the persons in them; `persons` and `admissions` among the tables.
    latest
        As in `check_tables`.
    around
        What is known beyond these rows; None if they are the whole delivery.
    """
    screened = [_screen(delivery, latest, around) for delivery in rows]
    passed = {delivery.table: keep_passed(delivery) for delivery in screened}
    good, failures = s.HistoriesCollection.filter(_welcome(passed, around))
    members = good.to_dict()
    if around is not None:
        members[s.PERSONS] = members[s.PERSONS].join(
            passed[s.PERSONS].lazy().select(s.PERSON_ID), on=s.PERSON_ID, how="semi"
        )
    details = {table: failure.details() for table, failure in failures.items()}
    quarantine = {d.table: _build_quarantine(d, details.get(d.table)) for d in screened}
    return Histories(
        tables={table: members[table].lazy().drop(s.ROW) for table in s.TABLES if table in members},
        quarantine=Quarantine(
            {table: frame for table, frame in quarantine.items() if frame.height},
            {delivery.table: delivery.delivered.height for delivery in rows},
        ),
    )


def _welcome(passed: Mapping[str, pl.DataFrame], around: Surroundings | None) -> Mapping[str, pl.DataFrame]:
    """Add the persons who are known already to those delivered."""
    if around is None:
        return passed
    own = passed[s.PERSONS]
    others = around.persons.join(own, on=s.PERSON_ID, how="anti").with_columns(
        pl.lit(0, dtype=pl.UInt32).alias(s.ROW)
    )
    return {**passed, s.PERSONS: pl.concat([own, others.select(own.columns)])}


def _hide_ids(rows: Delivered, signed: pl.Expr) -> Delivered:
    delivered, typed = rows.delivered.with_columns(signed), rows.typed.with_columns(signed)
    return replace(rows, delivered=delivered, typed=typed)


def _list_failures(wide: pl.DataFrame, flags: list[str]) -> pl.DataFrame:
    """List which row broke which rule, one row each, from one Boolean column per rule."""
    broken = wide.filter(pl.any_horizontal(flags)) if flags else wide.clear()
    return (
        broken.unpivot(on=flags, index=s.ROW, variable_name=s.RULE, value_name="is_broken")
        .filter(pl.col("is_broken"))
        .select(s.ROW, pl.col(s.RULE).str.strip_prefix(FAILED_PREFIX))
    )


def _check_persons(rows: list[Delivered]) -> None:
    for delivery in rows:
        if delivery.table == s.PERSONS:
            check_persons(delivery.delivered.height)


def check_persons(rows: int) -> None:
    """Check that there are persons at all.

    Raises
    ------
    InputError
        If there are none.
    """
    if not rows:
        raise InputError("Table persons has no rows. Deliver one row per person.")


def find_delivered_numbers(rows: Delivered) -> pl.DataFrame:
    """Find what looks like a civil registration number in the rows of a table, as `find_numbers`."""
    return find_numbers(rows.table, rows.delivered, rows.typed[s.PERSON_ID])


def _screen(rows: Delivered, latest: datetime, around: Surroundings | None) -> Delivered:
    """Add the rules that need more than one row or a moment: repeats and the future."""
    wide = keep_passed(rows).select(
        s.ROW,
        _is_repeat(rows.table, around).alias(f"{FAILED_PREFIX}duplicate"),
        _starts_after(rows.table, latest).alias(f"{FAILED_PREFIX}starts_in_the_future"),
    )
    return replace(rows, failures=pl.concat([rows.failures, _list_failures(wide, wide.columns[1:])]))


def _is_repeat(table: str, around: Surroundings | None) -> pl.Expr:
    if around is not None and table in around.repeats:
        return pl.col(s.ROW).is_in(around.repeats[table].implode())
    key = s.TABLES[table].unique_by
    if not key:
        return pl.lit(value=False)
    required = [name for name in key if name in s.get_required_columns(table)]
    is_complete = pl.all_horizontal(pl.col(name).is_not_null() for name in required)
    return is_complete & ~pl.struct(key).is_first_distinct()


def _starts_after(table: str, latest: datetime) -> pl.Expr:
    moment = pl.col(s.BIRTH_DATE) if table == s.PERSONS else pl.col(s.STARTED_AT)
    return (moment > latest).fill_null(value=False)


def keep_passed(delivery: Delivered) -> pl.DataFrame:
    """Keep the typed rows that have broken no rule so far that sets them aside."""
    aside = delivery.failures.filter(~s.keeps_row(pl.col(s.RULE)))
    return delivery.typed.join(aside, on=s.ROW, how="anti", maintain_order="left")


def _build_quarantine(delivery: Delivered, details: pl.DataFrame | None) -> pl.DataFrame:
    """Return the delivered rows that broke a rule, with the rule, one row per row and rule.

    A row that is set aside is not kept without anything.
    """
    found = pl.concat([delivery.failures, _list_schema_failures(details)])
    is_kept = s.keeps_row(pl.col(s.RULE))
    failures = found.filter(~is_kept | is_kept.all().over(s.ROW))
    return failures.sort(s.ROW, s.RULE).join(delivery.delivered, on=s.ROW, how="left", maintain_order="left")


def _list_schema_failures(details: pl.DataFrame | None) -> pl.DataFrame:
    """List rule breaks that dataframely found; rules follow the schema's own columns there."""
    if details is None:
        return NO_FAILURES
    verdict = pl.Enum(["valid", "invalid", "unknown"])
    rules = [name for name, dtype in details.schema.items() if dtype == verdict]
    return (
        details.unpivot(on=rules, index=s.ROW, variable_name=s.RULE, value_name="verdict")
        .filter(pl.col("verdict") == "invalid")
        .select(s.ROW, s.RULE)
    )
