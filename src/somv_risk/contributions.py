"""Contributions: exact Shapley values of each feature, in log-odds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.errors import ModelError
from somv_risk.forest import Forest, read_forest
from somv_risk.matrix import Matrix
from somv_risk.shapley import code_rows, explain_forest, list_nodes

if TYPE_CHECKING:
    from lightgbm import Booster

ADDITIVITY_TOLERANCE = 1e-6
# So many rows share most of their masks, and what is worked at still fits into the processor's cache.
ROWS_PER_CHUNK: Final = 16_384

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contributions:
    """Shapley values of shape (rows, features), and the base value that all rows have."""

    values: Floats
    base: float


def explain_trees(
    booster: "Booster", matrix: npt.NDArray[Any], *, threads: int | None = None
) -> Contributions:
    """Compute the exact path-dependent Shapley values of a LightGBM model, for any number of rows.

    Parameters
    ----------
    matrix
        Rows to explain, of shape (rows, features); NaN is missing.
    threads
        How many threads work; by default as many as Polars has. The result is the same, to the bit.

    Returns
    -------
    Values in units of the raw score (log-odds for a binary objective). With the base, a row sums to its raw
    score within 1e-6; they equal LightGBM's `pred_contrib` within 1e-9 of the largest of them.

    Raises
    ------
    ModelError
        If the model has several scores per row or linear leaves, or the matrix another number of features.
    """
    forest = _read_once(booster)
    if matrix.shape[1] != forest.width:
        raise ModelError(
            f"The rows have {matrix.shape[1]} features, the model {forest.width}. Give those it names."
        )
    values = np.zeros((len(matrix), forest.width))

    def explain(first: int) -> None:
        rows = slice(first, first + ROWS_PER_CHUNK)
        _explain_rows(forest, matrix[rows], values[rows])

    _work(explain, range(0, len(matrix), ROWS_PER_CHUNK), threads or pl.thread_pool_size())
    return Contributions(values, forest.base)


def _read_once(booster: "Booster") -> Forest:
    """Read the forest of a booster, again only if it has other trees."""
    known = _FORESTS.get(booster)
    if known is None or known[0] != booster.num_trees():
        known = (booster.num_trees(), read_forest(booster.model_to_string()))
        _FORESTS[booster] = known
    return known[1]


_FORESTS: "Final[WeakKeyDictionary[Booster, tuple[int, Forest]]]" = WeakKeyDictionary()


def _work(task: Callable[[int], None], places: range, threads: int) -> None:
    if threads == 1 or len(places) == 1:
        for place in places:
            task(place)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, places))


def _explain_rows(forest: Forest, matrix: npt.NDArray[Any], total: Floats) -> None:
    """Add to `total` what each tree gives to the features of each row."""
    codes = np.empty((forest.width, len(matrix)), dtype=np.uint16)
    others = forest.trees.sets.shape[1] - 1
    code_rows(np.asfortranarray(matrix), forest.bounds, forest.thresholds, forest.by_category, others, codes)
    nodes, weights = list_nodes((forest.longest_path + 1) // 2)
    explain_forest(codes, np.diff(forest.bounds) + 1, forest.trees, nodes, weights, total)


def compute_contributions(booster: "Booster", matrix: Matrix) -> npt.NDArray[np.float64]:
    """Compute path-dependent Shapley values of the raw score.

    Parameters
    ----------
    matrix
        Rows to explain, shape (n, features).

    Returns
    -------
    Shape (n, features + 1), in log-odds; the last column is the same base value in every row. A row
    sums to the row's raw score within 1e-6.

    Raises
    ------
    ModelError
        If a row does not add up, as happens with trees whose explanation is not exact.

    References
    ----------
    Lundberg et al., From local explanations to global understanding with explainable AI for trees,
    Nature Machine Intelligence 2020, doi:10.1038/s42256-019-0138-9.
    """
    if not len(matrix):
        return np.empty((0, matrix.shape[1] + 1))
    told = explain_trees(booster, matrix)
    values = np.column_stack([told.values, np.full(len(matrix), told.base)])
    _check_additive(values, np.asarray(booster.predict(matrix, raw_score=True), dtype=np.float64))
    return values


def _check_additive(values: npt.NDArray[np.float64], raw: npt.NDArray[np.float64]) -> None:
    off = float(np.abs(values.sum(axis=1) - raw).max())
    if off > ADDITIVITY_TOLERANCE:
        raise ModelError(f"Contributions miss the raw score by {off:.1e}. Use a model without linear trees.")
