"""Tables: which were delivered, how full they are, and how full their columns, beside the training."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import polars as pl

from somv_risk.cohort.weeks import YEAR, Seen, SourceWeeks, measure_columns
from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.metrics.drift import is_small
from somv_risk.model.model import RiskModel
from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import TableLimits
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.training.reference import Reference, find_weekly, share_set_aside

NO_LEVEL: Final = f"A week has fewer than {SMALLEST} rows, now or at training, so levels are not compared."
TABLES: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "table": pl.String,
    "status": pl.String,
    "rows": pl.Int64,
    "weekly": pl.Float64,
    "reference_weekly": pl.Float64,
    "ratio": pl.Float64,
    "set_aside": pl.Float64,
    "reference_set_aside": pl.Float64,
    "note": pl.String,
}
COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "table": pl.String,
    "column": pl.String,
    "rows": pl.Int64,
    "null_share": pl.Float64,
    "reference_null_share": pl.Float64,
    "note": pl.String,
}
# A source with a delay has not told of its last weeks yet; they are left out of its level.
UNSETTLED: Final = 13


def tabulate_tables(
    model: RiskModel,
    histories: Histories,
    reference: Reference,
    weeks: Mapping[str, SourceWeeks],
    eligible: int,
) -> pl.DataFrame:
    """Tabulate tables: `status` (delivered, missing, empty, new, absent), and how much each gives.

    `weekly` is the median of rows per week and 1,000 persons, in a year that ends 13 weeks ago; `ratio` that
    over the one at training.
    """
    rows = []
    for table in s.TABLES:
        row = {"table": table, "status": _find_status(model, histories, table, weeks.get(table))}
        if table in histories.tables:
            row |= _measure(histories, reference, table, weeks.get(table), eligible)
        rows.append(row)
    return pl.DataFrame(rows, schema=TABLES)


def _find_status(model: RiskModel, histories: Histories, table: str, weeks: SourceWeeks | None) -> str:
    if table not in histories.tables:
        return "missing" if table in model.tables else "absent"
    if weeks is not None and not weeks.rows[-YEAR:].any():
        return "empty"
    return "delivered" if table in model.tables else "new"


def _measure(
    histories: Histories, reference: Reference, table: str, weeks: SourceWeeks | None, eligible: int
) -> dict[str, Any]:
    count = int(histories.table(table).select(pl.len()).collect().item())
    row: dict[str, Any] = {
        "rows": None if is_small(count) else count,
        "set_aside": share_set_aside(histories, table),
        "note": FEW if is_small(count) else None,
    }
    known = reference.tables.get(table)
    row["reference_set_aside"] = None if known is None else known.set_aside
    if weeks is None or known is None:
        return row
    level = find_weekly(weeks.rows[:-UNSETTLED][-YEAR:], eligible)
    is_known = level is not None and known.weekly is not None
    return row | {
        "weekly": level,
        "reference_weekly": known.weekly,
        "ratio": level / known.weekly if level is not None and known.weekly is not None else None,
        "note": row["note"] if is_known else NO_LEVEL,
    }


def tabulate_columns(histories: Histories, reference: Reference, seen: Seen) -> pl.DataFrame:
    """Tabulate the share of rows of the last year without a value, of every column of every event table."""
    rows = []
    for table in (name for name in s.EVENT_TABLES if name in histories.tables):
        known = reference.tables[table].nulls if table in reference.tables else {}
        for name, of, nulls in measure_columns(histories, table, seen):
            few = is_small(of) or is_small(nulls)
            rows.append(
                {
                    "table": table,
                    "column": name,
                    "rows": None if is_small(of) else of,
                    "null_share": None if few or not of else nulls / of,
                    "reference_null_share": known.get(name),
                    "note": FEW if few else None,
                }
            )
    return pl.DataFrame(rows, schema=COLUMNS)


def find_table_alarms(
    tables: pl.DataFrame, columns: pl.DataFrame, reference: Reference, eligible: int, limits: TableLimits
) -> Iterator[Alarm]:
    """Find alarms of tables, their columns, and the number of persons."""
    for row in tables.iter_rows(named=True):
        if row["status"] in ("missing", "empty"):
            yield Alarm(f"{row['status']}_table", row["table"])
        yield from _judge_level(row, limits)
        rise = (row["set_aside"] or 0.0) - (row["reference_set_aside"] or 0.0)
        if rise > limits.set_aside:
            edge = (row["reference_set_aside"] or 0.0) + limits.set_aside
            yield Alarm("set_aside", row["table"], row["set_aside"], edge)
    change = eligible / reference.eligible - 1
    if abs(change) > limits.persons:
        yield Alarm("persons", s.PERSONS, change, limits.persons)
    for row in columns.drop_nulls(["null_share", "reference_null_share"]).iter_rows(named=True):
        move = row["null_share"] - row["reference_null_share"]
        if abs(move) > limits.null_share:
            edge = row["reference_null_share"] + (limits.null_share if move > 0 else -limits.null_share)
            yield Alarm(
                "column_nulls",
                f"{row['table']}.{row['column']}",
                row["null_share"],
                edge,
                {"before": row["reference_null_share"]},
            )


def _judge_level(row: dict[str, Any], limits: TableLimits) -> Iterator[Alarm]:
    if row["ratio"] is None:
        return
    if row["ratio"] > limits.rows_most:
        yield Alarm("rows_rose", row["table"], row["ratio"], limits.rows_most)
    if row["ratio"] < limits.rows_least:
        yield Alarm("rows_fell", row["table"], row["ratio"], limits.rows_least)


def find_stale(seen: Seen, limits: TableLimits) -> Iterator[Alarm]:
    """Find out whether the delivery ended long before the index time."""
    days = (seen.index_time - seen.end) / timedelta(days=1)
    if days > limits.stale_days:
        yield Alarm("stale", "", days, limits.stale_days)
