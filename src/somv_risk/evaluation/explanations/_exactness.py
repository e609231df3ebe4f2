"""Exactness: whether contributions add up, and are what shap and the definition itself say."""

import warnings
from typing import Final

import numpy as np
import numpy.typing as npt

from somv_risk.calls.extras import check_installed
from somv_risk.evaluation.explanations._measured import Measured, tell_largest
from somv_risk.model.matrix import Matrix
from somv_risk.model.model import RiskModel
from somv_risk.trees.brute_force import explain_slowly
from somv_risk.trees.contributions import Contributions, explain_trees
from somv_risk.trees.lightgbm import lightgbm

SLOW_FEATURES: Final = 8
SLOW_ROWS: Final = 20
SLOW_TREES: Final = 10
SLOW_DEPTH: Final = 4

Floats = npt.NDArray[np.float64]


def measure_exactness(model: RiskModel, matrix: Matrix, told: Contributions, seed: int) -> list[Measured]:
    """Measure how far the contributions of some rows are from what they should be."""
    return [
        _measure_additivity(model, matrix, told),
        _measure_shap(model, matrix, told),
        _measure_brute_force(matrix, told, seed),
    ]


def _measure_additivity(model: RiskModel, matrix: Matrix, told: Contributions) -> Measured:
    raw = np.asarray(model.main.booster.predict(matrix, raw_score=True), dtype=np.float64)
    error = np.abs(told.values.sum(axis=1) + told.base - raw).max()
    return tell_largest("additivity_error", error, f"The largest of {len(matrix)} persons.")


def _measure_shap(model: RiskModel, matrix: Matrix, told: Contributions) -> Measured:
    check_installed("shap", "a comparison of contributions")
    from shap import TreeExplainer  # noqa: PLC0415 - slow to import

    with warnings.catch_warnings():
        # It warns of a list of arrays, and returns one array.
        warnings.filterwarnings("ignore", message="LightGBM binary classifier", category=UserWarning)
        expected = np.asarray(TreeExplainer(model.main.booster).shap_values(matrix), dtype=np.float64)
    rows, features = matrix.shape
    note = f"The largest of {rows} persons and {features} features; shap asks LightGBM's own code."
    return tell_largest("difference_to_shap", _compare(told.values, expected), note)


def _measure_brute_force(matrix: Matrix, told: Contributions, seed: int) -> Measured:
    """Hold a small forest to the definition; a model's has too many features for that."""
    weightiest = np.sort(np.argsort(-np.abs(told.values).mean(axis=0), kind="stable")[:SLOW_FEATURES])
    few = np.ascontiguousarray(matrix[:, weightiest])
    booster = _grow_small(few, told.raw, seed)
    rows = few[np.linspace(0, len(few) - 1, min(SLOW_ROWS, len(few))).astype(np.int64)]
    expected = np.array([explain_slowly(booster, row)[:-1] for row in rows.tolist()])
    note = (
        f"Not of the model, whose {matrix.shape[1]} features are too many to try every coalition, but of "
        f"{booster.num_trees()} trees of depth {SLOW_DEPTH} grown to repeat its raw scores from the "
        f"{few.shape[1]} weightiest. The largest of {len(rows)} persons."
    )
    difference = _compare(explain_trees(booster, rows).values, expected)
    return tell_largest("difference_to_brute_force", difference, note)


def _grow_small(matrix: Matrix, raw: Floats, seed: int) -> "lightgbm.Booster":
    settings = {
        "objective": "regression",
        "max_depth": SLOW_DEPTH,
        "num_leaves": 2**SLOW_DEPTH,
        "min_data_in_leaf": max(1, len(matrix) // 40),
        "learning_rate": 0.3,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(matrix, raw), num_boost_round=SLOW_TREES)


def _compare(values: Floats, expected: Floats) -> float:
    """Return the largest difference, relative to the largest expected value."""
    largest = np.abs(expected).max()
    return float(np.abs(values - expected).max() / largest) if largest else float(np.abs(values).max())
