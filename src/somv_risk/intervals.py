"""Intervals: joining those of one owner that overlap or lie close together."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

SPELL = "spell"


def add_spell(
    intervals: pl.LazyFrame, *, by: Sequence[str], start: str, end: str, gap: timedelta = timedelta(0)
) -> pl.LazyFrame:
    """Add the column `spell`, equal for the intervals of one owner that are to be joined.

    Two intervals belong together if they overlap or the later one starts at most `gap` after the
    earlier one ends, directly or through others. `end` must not be null.
    """
    order = [start, end]
    latest_end_before = pl.col(end).cum_max().shift(1).over(by, order_by=order)
    starts_anew = (pl.col(start) > latest_end_before + gap).fill_null(value=True)
    return intervals.with_columns(starts_anew.alias(SPELL)).with_columns(
        pl.col(SPELL).cast(pl.Int32).cum_sum().over(by, order_by=order)
    )
