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

    def hold(self, amounts: FloatArray) -> "Holdings":
        """Note who has how much of something, in the order of the blocks; most may have nothing."""
        places = np.flatnonzero(amounts)
        places = places[np.argsort(self.block[places], kind="stable")]
        blocks, starts = np.unique(self.block[places], return_index=True)
        return Holdings(places, amounts[places], starts, blocks)

    def weigh(self, weights: FloatArray) -> "Ladder":
        """Weigh the cases of each block."""
        cases = np.asarray(np.bincount(self.block, weights, self.blocks), dtype=np.float64)
        return Ladder(cases, np.cumsum(cases))


def put_in_order(score: FloatArray) -> Order:
    """Put cases in order by a score, the highest first."""
    values, inverse = np.unique(-score, return_inverse=True)
    return Order(inverse.astype(np.int64), len(values))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What cases have of something: their places and amounts, and where each block of them starts."""

    places: npt.NDArray[np.intp]
    amounts: FloatArray
    starts: npt.NDArray[np.intp]
    blocks: IntArray

    def weigh(self, weights: FloatArray) -> FloatArray:
        """Add up the weighted amounts of each block that has any."""
        weighed = weights[self.places] * self.amounts
        return np.add.reduceat(weighed, self.starts) if len(self.starts) else weighed


@dataclass(frozen=True, slots=True)
class Ladder:
    """How many cases weigh in each block, the highest first, and how many down to its end."""

    cases: FloatArray
    ends: FloatArray

    def compute_auroc(self, held: Holdings, events: FloatArray) -> float:
        """Compute the area under the ROC curve; ties count one half. NaN without events or non-events.

        Source: Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747.
        """
        positives = events.sum()
        negatives = self.ends[-1] - positives
        if positives <= 0 or negatives <= 0:
            return float("nan")
        tied = self.cases[held.blocks] - events
        above = self.ends[held.blocks] - np.cumsum(events) - tied
        return float(events @ (negatives - above - 0.5 * tied) / (positives * negatives))

    def compute_average_precision(self, held: Holdings, events: FloatArray) -> float:
        """Compute the average precision: the mean, over events, of the precision down to their block."""
        positives = events.sum()
        if positives <= 0:
            return float("nan")
        there = events > 0
        precision = np.cumsum(events)[there] / self.ends[held.blocks][there]
        return float(events[there] @ precision / positives)

    def take_from_top(self, held: Holdings, amounts: FloatArray, sizes: Sequence[float]) -> FloatArray:
        """Add up what as many cases as each size says have; of the last block the part that fits counts."""
        last = np.minimum(np.searchsorted(self.ends, sizes), len(self.ends) - 1)
        inside = np.array(sizes) - (self.ends[last] - self.cases[last])
        part = np.clip(inside / np.maximum(self.cases[last], 1e-300), 0, 1)
        sums = np.concatenate([[0.0], np.cumsum(amounts)])
        first, behind = np.searchsorted(held.blocks, last), np.searchsorted(held.blocks, last, side="right")
        return np.asarray(sums[first] + part * (sums[behind] - sums[first]), dtype=np.float64)
