"""Reasons why rows of an OMOP table are not taken over, and their counts."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import polars as pl

SOURCE_TABLE: Final = "source_table"
REASON: Final = "reason"
ROWS: Final = "rows"

Rule: TypeAlias = tuple[pl.Expr, str | pl.Expr]


def choose_reason(rules: Sequence[Rule]) -> pl.Expr:
    """First reason that holds for a row; null for a row that is taken over."""
    reasons = (pl.when(holds).then(_to_expression(reason)) for holds, reason in rules)
    return pl.coalesce(*reasons).alias(REASON)


def keep_taken(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Rows without a reason to leave them."""
    return frame.filter(pl.col(REASON).is_null())


def count_dropped(sources: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """One row per source table and reason, the most frequent reason first."""
    counts = [_count_reasons(table, frame) for table, frame in sources.items()]
    order = [SOURCE_TABLE, ROWS, REASON]
    return pl.concat(counts).sort(order, descending=[False, True, False]).collect()


def _count_reasons(table: str, frame: pl.LazyFrame) -> pl.LazyFrame:
    dropped = frame.filter(pl.col(REASON).is_not_null()).group_by(REASON)
    return dropped.agg(pl.len().cast(pl.Int64).alias(ROWS)).select(
        pl.lit(table).alias(SOURCE_TABLE), REASON, ROWS
    )


def _to_expression(reason: str | pl.Expr) -> pl.Expr:
    return pl.lit(reason) if isinstance(reason, str) else reason
