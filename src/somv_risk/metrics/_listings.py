"""Listings: who is on the list of each ranking, if a team has room for so many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from somv_risk.metrics._cases import BoolArray, Cases
from somv_risk.metrics._measures import NOTE, VALUE
from somv_risk.metrics._rankings import RANKING
from somv_risk.metrics.notes import BY_LOT

EVERY_ROW: Final = pl.lit(value=True)


@dataclass(frozen=True, slots=True)
class Listing:
    """The list of one ranking: who is on it, shape (n,), and whether a lot had to choose its last ones."""

    ranking: str
    listed: BoolArray
    is_by_lot: bool = False


def make_listings(cases: Cases, size: int) -> tuple[Listing, ...]:
    """Make the list of each ranking, all of the same size, that of the judged one first.

    Cases of equal score are in the order given under the ranking that is judged, as on its worklist. Under
    the others, which know nothing of that order, a lot chooses among them, the same each time.
    """
    return tuple(make_listing(cases, name, size) for name in cases.rankings)


def make_listing(cases: Cases, ranking: str, size: int) -> Listing:
    """Make the list of one ranking."""
    score, is_judged = cases.rankings[ranking], ranking == cases.judged
    lot = np.arange(len(cases)) if is_judged else np.random.default_rng(0).permutation(len(cases))
    order = np.lexsort((lot, -score))
    listed = np.zeros(len(cases), dtype=np.bool_)
    listed[order[:size]] = True
    is_cut = 0 < size < len(cases) and score[order[size - 1]] == score[order[size]]
    return Listing(ranking, listed, is_by_lot=bool(is_cut) and not is_judged)


def tabulate_lists(
    listings: Sequence[Listing],
    tabulate: Callable[[Listing], pl.DataFrame],
    *,
    is_of_list: pl.Expr = EVERY_ROW,
) -> pl.DataFrame:
    """Tabulate each list by itself, `ranking` first; rows that are of a list say where a lot chose."""
    is_silent = is_of_list & pl.col(NOTE).is_null() & pl.col(VALUE).is_not_null()
    lot = pl.when(is_silent).then(pl.lit(BY_LOT)).otherwise(NOTE).alias(NOTE)
    parts = []
    for listing in listings:
        table = tabulate(listing)
        told = table.with_columns(lot) if listing.is_by_lot else table
        parts.append(told.select(pl.lit(listing.ranking).alias(RANKING), pl.all()))
    return pl.concat(parts)
