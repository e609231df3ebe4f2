"""Cells: cases that are alike in every grouping, added up once and then put together to groups."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.metrics._cases import Cases

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GROUPING: Final = "grouping"
GROUP: Final = "group"
EVERYBODY: Final = "all"


@dataclass(frozen=True, slots=True)
class Cells:
    """The cell of each case, shape (n,), and which cells make up which group, shape (cells, groups).

    `names` has the columns `grouping` and `group`, a row per group; the first is everybody ("all").
    """

    cell: IntArray
    members: FloatArray
    names: pl.DataFrame

    def add_up(self, amounts: FloatArray) -> FloatArray:
        """Add up amounts, one for each case, by group."""
        cells = np.bincount(self.cell, amounts, len(self.members))
        return np.asarray(cells @ self.members, dtype=np.float64)

    def add_up_where(self, is_counted: npt.NDArray[np.bool_], amounts: FloatArray) -> FloatArray:
        """Add up the amounts of some cases by group."""
        places = np.flatnonzero(is_counted)
        cells = np.bincount(self.cell[places], amounts[places], len(self.members))
        return np.asarray(cells @ self.members, dtype=np.float64)

    def find_group(self, number: int) -> npt.NDArray[np.bool_]:
        """Find the cases of a group by its number."""
        return np.asarray(self.members[self.cell, number] > 0)


def put_in_cells(cases: Cases) -> Cells:
    """Put cases in cells by all of their groupings."""
    groups = cases.groups
    if not groups.width:
        names = pl.DataFrame({GROUPING: [EVERYBODY], GROUP: [EVERYBODY]})
        return Cells(np.zeros(len(cases), dtype=np.int64), np.ones((1, 1)), names)
    kinds = groups.unique().sort(groups.columns)
    placed = groups.join(kinds.with_row_index("cell"), on=groups.columns, how="left", maintain_order="left")
    named = [(EVERYBODY, EVERYBODY), *((g.name, name) for g in kinds for name in g.unique().sort().to_list())]
    columns = [np.ones(kinds.height), *((kinds[grouping] == name).to_numpy() for grouping, name in named[1:])]
    names = pl.DataFrame(named, schema=[GROUPING, GROUP], orient="row")
    cell = placed["cell"].to_numpy().astype(np.int64)
    return Cells(cell, np.stack(columns, axis=1).astype(np.float64), names)
