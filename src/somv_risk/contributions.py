"""Contributions: exact Shapley values of each feature, in log-odds."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from somv_risk.errors import ModelError
from somv_risk.matrix import Matrix

if TYPE_CHECKING:
    from lightgbm import Booster

ADDITIVITY_TOLERANCE = 1e-6


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
    values = np.asarray(booster.predict(matrix, pred_contrib=True), dtype=np.float64)
    _check_additive(values, np.asarray(booster.predict(matrix, raw_score=True), dtype=np.float64))
    return values


def _check_additive(values: npt.NDArray[np.float64], raw: npt.NDArray[np.float64]) -> None:
    off = float(np.abs(values.sum(axis=1) - raw).max())
    if off > ADDITIVITY_TOLERANCE:
        raise ModelError(f"Contributions miss the raw score by {off:.1e}. Use a model without linear trees.")
