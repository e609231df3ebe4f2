"""Order: cases in blocks of equal score, the highest first, and what follows from their order alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Order:
    """Cases in blocks of equal score, the highest first.

    `block` is the number of each case's block, shape (n,). Within a block the order is by lot, so what is
    counted to a place inside it is counted in proportion.
    """

    block: IntArray
    blocks: int

    def add_up(self, amounts: FloatArray) -> FloatArray:
        """Add up amounts, one for each case, by block."""
        return np.asarray(np.bincount(self.block, amounts, self.blocks), dtype=np.float64)

    def add_up_some(self, places: IntArray, amounts: FloatArray) -> FloatArray:
        """Add up the amounts of the cases at some places by block; the others have none."""
        return np.asarray(np.bincount(self.block[places], amounts, self.blocks), dtype=np.float64)


def put_in_order(score: FloatArray) -> Order:
    """Put cases in order by a score, the highest first."""
    values, inverse = np.unique(-score, return_inverse=True)
    return Order(inverse.astype(np.int64), len(values))


@dataclass(frozen=True, slots=True)
class Concentration:
    """By block, the highest first: how many cases weigh there, and how many of them had the outcome."""

    cases: FloatArray
    events: FloatArray

    def compute_auroc(self) -> float:
        """Compute the area under the ROC curve; ties count one half. NaN without events or non-events.

        Source: Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747.
        """
        others = self.cases - self.events
        positives, negatives = self.events.sum(), others.sum()
        if positives <= 0 or negatives <= 0:
            return float("nan")
        below = negatives - np.cumsum(others) + 0.5 * others
        return float(self.events @ below / (positives * negatives))

    def compute_average_precision(self) -> float:
        """Compute the average precision: the mean, over events, of the precision down to their block."""
        positives = self.events.sum()
        if positives <= 0:
            return float("nan")
        weighted = np.flatnonzero(self.events)
        precision = np.cumsum(self.events)[weighted] / np.cumsum(self.cases)[weighted]
        return float(self.events[weighted] @ precision / positives)


def take_from_top(cases: FloatArray, amounts: FloatArray, sizes: Sequence[float]) -> FloatArray:
    """Add up the amounts of as many cases from the top as each size says; fewer if there are not so many.

    `cases` and `amounts` are by block; of a block that does not fit whole, the part that fits counts.
    """
    ends, sums = np.cumsum(cases), np.cumsum(amounts)
    taken = np.interp(sizes, np.concatenate([[0.0], ends]), np.concatenate([[0.0], sums]))
    return np.asarray(taken, dtype=np.float64)
