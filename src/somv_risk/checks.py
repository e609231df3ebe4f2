"""Checks: delivered tables in, typed tables and a quarantine out; nothing is dropped or guessed.

This is the one place of its floor that looks at every row, so it works on collected frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from somv_risk import schema as s
from somv_risk.conversion import convert
from somv_risk.errors import IdentityError, InputError
from somv_risk.histories import Histories, Quarantine
from somv_risk.identity import looks_like_cpr, sign_person

FAILED_PREFIX = "failed:"


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One delivered table: as it came, numbered, and as it reads when typed."""

    table: str
    delivered: pl.DataFrame
    typed: pl.DataFrame
    failures: pl.DataFrame


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
        If person ids look like civil registration numbers.
    """
    Histories(tables)  # fails on unknown and missing tables before any work starts
    for table, frame in tables.items():
        _check_columns(table, frame)
    deliveries = [_convert_table(table, frame, timezone) for table, frame in tables.items()]
    if pseudonymise_key is not None:
        deliveries = [_hide_ids(delivery, sign_person(pseudonymise_key)) for delivery in deliveries]
    _check_persons(deliveries)
    _check_identity(deliveries)
    screened = [_screen(delivery, latest) for delivery in deliveries]
    good, failures = s.HistoriesCollection.filter({d.table: _keep_passed(d) for d in screened})
    members = good.to_dict()
    details = {table: failure.details() for table, failure in failures.items()}
    quarantine = {d.table: _build_quarantine(d, details.get(d.table)) for d in screened}
    return Histories(
        tables={table: members[table].lazy().drop(s.ROW) for table in s.SCHEMAS if table in members},
        data_end=data_end,
        quarantine=Quarantine({table: frame for table, frame in quarantine.items() if frame.height}),
    )


def _check_columns(table: str, frame: pl.LazyFrame) -> None:
    present = frame.collect_schema().names()
    missing = [name for name in s.get_required_columns(table) if name not in present]
    if missing:
        raise InputError(
            f"Table {table} has no column {missing}, only {len(present)} others. "
            f"Deliver {list(s.get_required_columns(table))} under these names, in a file with a header."
        )


def _convert_table(table: str, frame: pl.LazyFrame, timezone: str) -> _Delivery:
    delivered = frame.drop(s.ROW, strict=False).collect().with_row_index(s.ROW)
    columns = {
        name: convert(table, name, delivered.schema.get(name, pl.Null()), target, timezone)
        for name, target in s.get_columns(table).items()
    }
    wide = delivered.select(
        s.ROW,
        *(column.value.alias(name) for name, column in columns.items()),
        *(column.failed.alias(f"{FAILED_PREFIX}{name}|{column.rule}") for name, column in columns.items()),
    )
    flags = [name for name in wide.columns if name.startswith(FAILED_PREFIX)]
    return _Delivery(table, delivered, wide.drop(flags), _list_failures(wide, flags))


def _hide_ids(delivery: _Delivery, signed: pl.Expr) -> _Delivery:
    delivered, typed = delivery.delivered.with_columns(signed), delivery.typed.with_columns(signed)
    return replace(delivery, delivered=delivered, typed=typed)


def _list_failures(wide: pl.DataFrame, flags: list[str]) -> pl.DataFrame:
    """List which row broke which rule, one row each, from one Boolean column per rule."""
    broken = wide.filter(pl.any_horizontal(flags)) if flags else wide.clear()
    return (
        broken.unpivot(on=flags, index=s.ROW, variable_name=s.RULE, value_name="is_broken")
        .filter(pl.col("is_broken"))
        .select(s.ROW, pl.col(s.RULE).str.strip_prefix(FAILED_PREFIX))
    )


def _check_persons(deliveries: list[_Delivery]) -> None:
    if any(delivery.table == s.PERSONS and delivery.delivered.is_empty() for delivery in deliveries):
        raise InputError("Table persons has no rows. Deliver one row per person.")


def _check_identity(deliveries: list[_Delivery]) -> None:
    for delivery in deliveries:
        suspicious = delivery.typed.select(looks_like_cpr(pl.col(s.PERSON_ID)).sum()).item()
        if suspicious:
            raise IdentityError(
                f"In table {delivery.table}, {suspicious} person ids look like CPR numbers. "
                "Give pseudonymise_key (a secret of at least 16 bytes) to replace all ids by keyed hashes."
            )


def _screen(delivery: _Delivery, latest: datetime) -> _Delivery:
    """Add the rules that need more than one row or a moment: repeats and the future."""
    passed = _keep_passed(delivery)
    wide = passed.select(
        s.ROW,
        _is_repeat(delivery.table).alias(f"{FAILED_PREFIX}duplicate"),
        _starts_after(delivery.table, latest).alias(f"{FAILED_PREFIX}starts_in_the_future"),
    )
    found = _list_failures(wide, wide.columns[1:])
    return _Delivery(
        delivery.table, delivery.delivered, delivery.typed, pl.concat([delivery.failures, found])
    )


def _is_repeat(table: str) -> pl.Expr:
    key = s.UNIQUE_BY[table]
    if not key:
        return pl.lit(value=False)
    required = [name for name in key if name in s.get_required_columns(table)]
    is_complete = pl.all_horizontal(pl.col(name).is_not_null() for name in required)
    return is_complete & ~pl.struct(key).is_first_distinct()


def _starts_after(table: str, latest: datetime) -> pl.Expr:
    moment = pl.col(s.BIRTH_DATE) if table == s.PERSONS else pl.col(s.STARTED_AT)
    return (moment > latest).fill_null(value=False)


def _keep_passed(delivery: _Delivery) -> pl.DataFrame:
    return delivery.typed.join(delivery.failures, on=s.ROW, how="anti", maintain_order="left")


def _build_quarantine(delivery: _Delivery, details: pl.DataFrame | None) -> pl.DataFrame:
    """Return the delivered rows that broke a rule, with the rule, one row per row and rule."""
    failures = pl.concat([delivery.failures, _list_schema_failures(details)])
    return failures.sort(s.ROW, s.RULE).join(delivery.delivered, on=s.ROW, how="left", maintain_order="left")


def _list_schema_failures(details: pl.DataFrame | None) -> pl.DataFrame:
    """List rule breaks that dataframely found; rules follow the schema's own columns there."""
    if details is None:
        return pl.DataFrame(schema={s.ROW: pl.UInt32, s.RULE: pl.String})
    verdict = pl.Enum(["valid", "invalid", "unknown"])
    rules = [name for name, dtype in details.schema.items() if dtype == verdict]
    return (
        details.unpivot(on=rules, index=s.ROW, variable_name=s.RULE, value_name="verdict")
        .filter(pl.col("verdict") == "invalid")
        .select(s.ROW, s.RULE)
    )
