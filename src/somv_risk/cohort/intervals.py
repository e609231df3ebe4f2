"""Intervals: joining those of one owner that overlap or lie close together."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Final

import polars as pl

SPELL: Final = "spell"
_OWNER_STEP: Final = 2**64  # more than any moment in microseconds


def add_spell(
    intervals: pl.LazyFrame, *, by: Sequence[str], start: str, end: str, gap: timedelta = timedelta(0)
) -> pl.LazyFrame:
    """Add the column `spell`: the row number of the first of the intervals that are to be joined.

    Two intervals of one owner belong together if they overlap or the later one starts at most `gap` after
    the earlier one ends, directly or through others. The rows lie in order of `by` and `start`. `end`
    must not be null.
    """
    return intervals.with_columns(_find_first(tuple(by), start, end, gap))


@cache  # the expression takes longer to write than a citizen's intervals to join
def _find_first(by: tuple[str, ...], start: str, end: str, gap: timedelta) -> pl.Expr:
    latest_end = _above_its_owner(by, end).cum_max()
    starts_anew = _above_its_owner(by, start) > latest_end.shift(1) + gap // timedelta(microseconds=1)
    first = pl.when(starts_anew.fill_null(value=True)).then(pl.int_range(pl.len()))
    return first.forward_fill().alias(SPELL)


def is_last_of_spell() -> pl.Expr:
    """Whether a row is the last of its spell; what was found so far then holds for all of it."""
    return (pl.col(SPELL) != pl.col(SPELL).shift(-1)).fill_null(value=True)


def is_any_so_far(held: pl.Expr) -> pl.Expr:
    """Whether something held for any interval of the spell up to this row."""
    return (pl.when(held).then(pl.int_range(pl.len())).forward_fill() >= pl.col(SPELL)).fill_null(value=False)


def find_latest_ending(by: Sequence[str], end: str) -> pl.Expr:
    """Return the row number of the interval that ended latest so far; of several, the one that comes last.

    The rows lie in order of `by`.
    """
    ends = _above_its_owner(by, end)
    return pl.when(ends >= ends.cum_max()).then(pl.int_range(pl.len())).forward_fill()


def _above_its_owner(by: Sequence[str], moment: str) -> pl.Expr:
    """Return the moment with the owner's number before it.

    So a maximum over the whole column stays within each owner, for a hundredth of the cost of one per owner.
    """
    is_other_owner = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in by)
    owner = is_other_owner.cum_sum().cast(pl.Int128) * pl.lit(_OWNER_STEP, dtype=pl.Int128)
    return owner + pl.col(moment).cast(pl.Int64).cast(pl.Int128)
