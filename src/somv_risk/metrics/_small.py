"""Small counts: which groups have too few persons to be told of, and how their numbers are made blank."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from somv_risk.disclosure import FEW, SMALLEST, find_hidden
from somv_risk.metrics._cases import BoolArray, FloatArray
from somv_risk.metrics._cells import GROUPING, Cells
from somv_risk.metrics._measures import NOTE

_IS_HIDDEN = "is_hidden"


def find_small(cells: Cells, *counts: FloatArray, hidden: BoolArray | None = None) -> BoolArray:
    """Find the groups to hide, each grouping by itself, given their counts; some are hidden already."""
    found = np.zeros(cells.names.height, dtype=np.bool_) if hidden is None else hidden.copy()
    for part in _list_groupings(cells):
        found[part] = find_hidden(*(count[part] for count in counts), hidden=found[part])
    return found


def find_tight(cells: Cells, hidden: BoolArray, *counts: FloatArray) -> BoolArray:
    """Find the groups of each grouping that is hidden as a whole and adds up to few all the same."""
    tight = np.zeros(cells.names.height, dtype=np.bool_)
    for part in _list_groupings(cells):
        tight[part] = hidden[part].all() and min(count[part].sum() for count in counts) < SMALLEST
    return tight


def _list_groupings(cells: Cells) -> Iterator[BoolArray]:
    """List the groupings, each by which of all groups are its own."""
    for name in cells.names[GROUPING].unique(maintain_order=True):
        yield (cells.names[GROUPING] == name).to_numpy()


def find_few_outcomes(cells: Cells, rows: FloatArray, events: FloatArray) -> BoolArray:
    """Find the groups with few persons, few with the outcome or few without it.

    Whoever has few persons is hidden first, so that the same groups hide their number in every table.
    """
    return find_small(cells, events, rows - events, hidden=find_small(cells, rows))


def blank(table: pl.DataFrame, is_hidden: BoolArray, columns: Sequence[str]) -> pl.DataFrame:
    """Make columns null where they are hidden, with a note."""
    marked = table.with_columns(pl.Series(_IS_HIDDEN, is_hidden))
    return marked.with_columns(
        pl.when(~pl.col(_IS_HIDDEN)).then(pl.col(columns)),
        pl.when(_IS_HIDDEN).then(pl.lit(FEW)).otherwise(pl.col(NOTE)).alias(NOTE),
    ).drop(_IS_HIDDEN)
