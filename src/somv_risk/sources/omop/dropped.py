"""Reasons why rows of an OMOP table are not taken over, and their counts."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, TypeAlias

import polars as pl

from somv_risk.toml import load_packaged

SOURCE_TABLE: Final = "source_table"
REASON: Final = "reason"
ROWS: Final = "rows"

NOTHING_LEFT: Final = pl.DataFrame(schema={SOURCE_TABLE: pl.String, REASON: pl.String, ROWS: pl.Int64})

Rule: TypeAlias = tuple[pl.Expr, str | pl.Expr]


def choose_reason(rules: Sequence[Rule]) -> pl.Expr:
    """First reason that holds for a row; null for a row that is taken over."""
    reasons = (pl.when(holds).then(_to_expression(reason)) for holds, reason in rules)
    return pl.coalesce(*reasons).alias(REASON)


def keep_taken(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Rows without a reason to leave them."""
    return frame.filter(pl.col(REASON).is_null())


def count_dropped(sources: Mapping[str, pl.LazyFrame], others: pl.DataFrame) -> pl.DataFrame:
    """One row per source table and reason, the most frequent reason first; `others` are counted already."""
    counts = [_count_reasons(table, frame) for table, frame in sources.items()]
    order = [SOURCE_TABLE, ROWS, REASON]
    return pl.concat([*counts, others.lazy()]).sort(order, descending=[False, True, False]).collect()


def _count_reasons(table: str, frame: pl.LazyFrame) -> pl.LazyFrame:
    dropped = frame.filter(pl.col(REASON).is_not_null()).group_by(REASON)
    return dropped.agg(pl.len().cast(pl.Int64).alias(ROWS)).select(
        pl.lit(table).alias(SOURCE_TABLE), REASON, ROWS
    )


@cache
def load_vocabularies() -> frozenset[str]:
    """Load the ids of the public vocabularies."""
    return frozenset(load_packaged("somv_risk.sources.omop", "vocabularies.toml")["public"])


def show_public(text: pl.Expr, is_public: pl.Expr) -> pl.Expr:
    """Text that is public; of any other, which may be a name or a number of a person, its length."""
    length = text.str.len_chars()
    shape = (
        pl.when(text.str.contains(r"^\d+$"))
        .then(pl.format("of {} digits", length))
        .otherwise(pl.format("of {} characters", length))
    )
    return pl.when(is_public).then(text).otherwise(shape)


def show_concept(concept: pl.Expr) -> pl.Expr:
    """Show a concept id of the public vocabularies; those from 2,000,000,000 on are a site's own."""
    return show_public(concept, concept.str.contains(r"^\d{1,9}$"))


def _to_expression(reason: str | pl.Expr) -> pl.Expr:
    return pl.lit(reason) if isinstance(reason, str) else reason
