"""Contributions: exact Shapley values of each feature, in log-odds, for one row or a population."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from somv_risk.errors import ModelError
from somv_risk.machine_code import compiled
from somv_risk.trees.forest import Forest
from somv_risk.trees.masks import Places
from somv_risk.trees.rows import Matrix, take_rows
from somv_risk.trees.scores import (
    AnyMatrix,
    Floats,
    code_matrix,
    read_once,
    score_by_lightgbm,
    score_trees,
    work,
)
from somv_risk.trees.shapley import Columns, Nodes, explain_forest, list_columns, list_nodes

if TYPE_CHECKING:
    from lightgbm import Booster

__all__ = [
    "Contributions",
    "Summary",
    "compute_contributions",
    "explain_trees",
    "score_trees",
    "summarise_trees",
]

ADDITIVITY_TOLERANCE: Final = 1e-6

Method = Literal["quadrature", "lightgbm"]


@dataclass(frozen=True, slots=True)
class Contributions:
    """Shapley values of shape (rows, features), the base value of all rows, and their raw scores.

    `method` says how they were worked out: "lightgbm" where numba is missing, the trees are of a kind that
    the quadrature does not know, or LightGBM scores rows otherwise.
    """

    values: Floats
    base: float
    raw: Floats
    method: Method


@dataclass(frozen=True, slots=True)
class Summary:
    """Shapley values added up by group, of shape (rows, groups), and the weightiest features of each row.

    `top_features` and `top_values` have the shape (rows, top): places of features, and what they contribute,
    the largest first, whatever their sign.
    """

    totals: Floats
    base: float
    raw: Floats
    top_features: Places
    top_values: Floats
    method: Method


def explain_trees(booster: "Booster", matrix: AnyMatrix, *, threads: int | None = None) -> Contributions:
    """Compute the exact path-dependent Shapley values of a LightGBM model, for any number of rows.

    The trees of a booster are read once. Whoever changes a leaf in place (`set_leaf_output`) has to load the
    model anew.

    Parameters
    ----------
    matrix
        Rows to explain, of shape (rows, features); NaN is missing. Floats of 32 bits are as good as of 64:
        they are only compared with thresholds, and all sums have 64. Other numbers become floats of 32
        bits, as in LightGBM. Or a frame (pandas, Polars, Arrow): its columns are found by the model's names,
        and its categories by the model's own.
    threads
        How many threads work; by default as many as Polars has. The result is the same, to the bit.

    Returns
    -------
    Values in units of the raw score (log-odds for a binary objective). With the base, a row sums to its raw
    score within 1e-6; they equal LightGBM's `pred_contrib` within 1e-9 of the largest of them, except where
    paths of some dozen features make `pred_contrib` inexact. The raw scores are LightGBM's, to the bit.

    Raises
    ------
    ModelError
        If the model has no trees, several scores per row or linear leaves, or the matrix other features or
        something other than numbers.
    """
    trees = _find_explainer(booster)
    given = take_rows(matrix, booster)
    values, raw = np.empty((len(given), trees.width), order="F"), np.empty(len(given))
    every = np.arange(trees.width)

    def explain(rows: slice) -> None:
        total, raw[rows] = trees.explain(given[rows], every)
        values[rows] = total.T

    work(explain, len(given), threads)
    return Contributions(values, trees.base, raw, trees.method)


def summarise_trees(
    booster: "Booster",
    matrix: AnyMatrix,
    groups: npt.ArrayLike,
    *,
    top: int = 0,
    threads: int | None = None,
) -> Summary:
    """Add up the Shapley values of groups of features, and find the weightiest features of each row.

    The values of all features are never held for more than some thousand rows at once, so that memory is
    what the result takes.

    Parameters
    ----------
    groups
        The group of each feature, from 0.
    top
        How many features to tell of each row. None are the fastest.

    Raises
    ------
    ModelError
        As `explain_trees`, or if `groups` or `top` do not fit the model.
    """
    trees = _find_explainer(booster)
    given = take_rows(matrix, booster)
    group_of = np.asarray(groups, dtype=np.int64)
    if group_of.shape != (trees.width,) or group_of.min(initial=0) < 0:
        raise ModelError(f"There are {trees.width} features. Give the group of each, from 0.")
    if not 0 <= top <= trees.width:
        raise ModelError(f"top is {top}. Give a number of features from 0 to {trees.width}.")
    totals = np.zeros((len(given), int(group_of.max(initial=-1)) + 1), order="F")
    raw = np.empty(len(given))
    top_features = np.empty((len(given), top), dtype=np.int32)
    top_values = np.empty((len(given), top))

    def summarise(rows: slice) -> None:
        if not top:
            total, raw[rows] = trees.explain(given[rows], group_of)
            totals[rows] = total.T
            return
        total, raw[rows] = trees.explain(given[rows], np.arange(trees.width))
        add_groups(total, group_of, totals[rows])
        find_top(total, top_features[rows], top_values[rows])

    work(summarise, len(given), threads)
    return Summary(totals, trees.base, raw, top_features, top_values, trees.method)


@compiled
def add_groups(total: Floats, group_of: npt.NDArray[np.int64], totals: Floats) -> None:
    """Add the values of features, of the shape (features, rows), to those of groups, (rows, groups)."""
    for feature in range(len(total)):
        for r in range(len(totals)):
            totals[r, group_of[feature]] += total[feature, r]


@compiled
def find_top(total: Floats, features: Places, values: Floats) -> None:
    """Find the features with the largest values of each row, whatever their sign; the first of equals.

    `total` has the shape (features, rows), the others (rows, features told).
    """
    told = features.shape[1]
    features[:] = -1
    values[:] = 0.0
    for feature in range(len(total)):
        for r in range(len(features)):
            value = total[feature, r]
            place = told
            while place > 0 and (features[r, place - 1] < 0 or abs(values[r, place - 1]) < abs(value)):
                place -= 1
            for later in range(told - 1, place, -1):
                features[r, later], values[r, later] = features[r, later - 1], values[r, later - 1]
            if place < told:
                features[r, place], values[r, place] = feature, value


@dataclass(frozen=True, slots=True)
class _ByQuadrature:
    """Trees that were read into a forest."""

    forest: Forest
    nodes: Nodes
    columns: dict[bytes, Columns] = field(default_factory=dict)
    method: Method = "quadrature"

    @property
    def width(self) -> int:
        return self.forest.width

    @property
    def base(self) -> float:
        return self.forest.base

    def explain(self, matrix: AnyMatrix, column_of: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return contributions of the shape (columns, rows), and raw scores."""
        coded = code_matrix(self.forest, matrix)
        rows = coded.codes.shape[1]
        total, raw = np.zeros((int(column_of.max(initial=-1)) + 1, rows)), np.zeros(rows)
        key = column_of.tobytes()
        if key not in self.columns:
            self.columns[key] = list_columns(self.forest.trees, column_of)
        explain_forest(coded.codes, self.forest.trees, self.columns[key], self.nodes, coded.room, total, raw)
        return (total, raw) if coded.which is None else (total[:, coded.which], raw[coded.which])


@dataclass(frozen=True, slots=True)
class _ByLightGBM:
    """Trees that only LightGBM knows how to explain."""

    booster: "Booster"
    method: Method = "lightgbm"

    @property
    def width(self) -> int:
        return int(self.booster.num_feature())

    @property
    def base(self) -> float:
        return float(self._explain(np.full((1, self.width), np.nan))[0, -1])

    def explain(self, matrix: AnyMatrix, column_of: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return contributions of the shape (columns, rows), and raw scores."""
        told = self._explain(matrix)
        total = np.zeros((int(column_of.max(initial=-1)) + 1, len(matrix)))
        np.add.at(total, column_of, told[:, :-1].T)
        return total, score_by_lightgbm(self.booster, matrix)

    def _explain(self, matrix: AnyMatrix) -> Floats:
        return np.asarray(self.booster.predict(matrix, pred_contrib=True), dtype=np.float64)


def _find_explainer(booster: "Booster") -> _ByQuadrature | _ByLightGBM:
    """Find what explains the trees of a booster; what is worked out of the trees alone is kept with them."""
    forest = read_once(booster)
    if forest is None:
        return _ByLightGBM(booster)
    known = _KNOWN.get(booster)
    if known is None or known.forest is not forest:
        known = _ByQuadrature(forest, list_nodes(int(forest.trees.nodes.max(initial=1))))
        _KNOWN[booster] = known
    return known


_KNOWN: "Final[WeakKeyDictionary[Booster, _ByQuadrature]]" = WeakKeyDictionary()


def compute_contributions(
    booster: "Booster", matrix: Matrix, *, threads: int | None = None
) -> npt.NDArray[np.float64]:
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
    told = explain_trees(booster, matrix, threads=threads)
    values = np.column_stack([told.values, np.full(len(matrix), told.base)])
    _check_additive(values, told.raw)
    return values


def _check_additive(values: npt.NDArray[np.float64], raw: npt.NDArray[np.float64]) -> None:
    off = float(np.abs(values.sum(axis=1) - raw).max(initial=0.0))
    if not off <= ADDITIVITY_TOLERANCE:
        raise ModelError(f"Contributions miss the raw score by {off:.1e}. Use a model without linear trees.")
