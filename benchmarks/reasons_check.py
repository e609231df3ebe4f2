"""The reasons are right: equal to LightGBM's before they are timed. How far off are those of others?"""

from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from benchmarks.forests import list_themes, spread
from benchmarks.peers.predicting import read_rows
from benchmarks.peers.predictors import SAMPLE
from benchmarks.reasons import TOP, read_model
from somv_risk.model.matrix import Matrix
from somv_risk.trees.contributions import explain_trees, score_trees, summarise_trees

Report = dict[str, Any]

TOLERANCE = 1e-9  # of the largest contribution
SUMMARISED_ROWS = 50_000


def check_model(folder: Path, model: str, file: str) -> Report:
    """Check the scores of all rows of a file, the contributions of the sample, and what they add up to.

    LightGBM's numbers for the sample are kept, to compare those of others with.
    """
    booster, matrix, sample = read_model(folder, model), read_rows(folder / file), read_rows(folder / SAMPLE)
    expected = booster.predict(sample, pred_contrib=True)[:, :-1]
    np.save(folder / f"{model}-score.npy", booster.predict(sample, raw_score=True))
    np.save(folder / f"{model}-explain.npy", expected)
    largest = float(np.abs(expected).max())
    difference = _find_largest(explain_trees(booster, sample).values - expected, largest)
    gap = _check_all_rows(booster, matrix, largest)
    summed = _check_summaries(booster, spread(matrix, SUMMARISED_ROWS), largest)
    return {
        "difference": difference,
        "sentence": f"`{model}`: the raw scores of {len(matrix):,} rows equal those of LightGBM to the bit; "
        f"the contributions of {len(sample):,} of them, spread over all, equal its `pred_contrib` (largest "
        f"difference {difference:.0e}, of contributions up to {largest:.1f}); with the base, those of all "
        f"rows add up to the raw score (to {gap:.0e}); those of {summed:,} rows add up to the sums by theme "
        f"of `summarise_trees`, which finds their {TOP} largest.",
    }


def _check_all_rows(booster: lgb.Booster, matrix: Matrix, largest: float) -> float:
    """Check scores, to the bit, and that contributions add up to them; return by how much they do not."""
    told, expected = explain_trees(booster, matrix), booster.predict(matrix, raw_score=True)
    for raw in (told.raw, score_trees(booster, matrix)):
        if not np.array_equal(raw, expected):
            raise AssertionError("Scores differ from those of LightGBM.")
    return _find_largest(told.values.sum(axis=1) + told.base - expected, largest)


def _check_summaries(booster: lgb.Booster, matrix: Matrix, largest: float) -> int:
    """Check the sums by theme, without and with the top features, and these; return of how many rows."""
    values, themes = explain_trees(booster, matrix).values, list_themes()
    totals = np.stack([values[:, themes == theme].sum(axis=1) for theme in range(themes.max() + 1)], axis=1)
    for top in (0, TOP):
        told = summarise_trees(booster, matrix, themes, top=top)
        _find_largest(told.totals - totals, largest)
        sizes = -np.sort(-np.abs(values), axis=1)[:, :top]
        at_top = np.take_along_axis(values, told.top_features.astype(np.int64), axis=1)
        if not (np.array_equal(at_top, told.top_values) and np.array_equal(np.abs(at_top), sizes)):
            raise AssertionError("The top features are not those with the largest contributions.")
    return len(matrix)


def _find_largest(differences: np.ndarray, largest: float) -> float:
    """Find the largest difference, which must not be more than is tolerated."""
    found = float(np.abs(differences).max())
    if not found <= TOLERANCE * largest:  # a NaN is no match either
        raise AssertionError(f"Contributions differ by {found:.1e}, where the largest is {largest:.1f}.")
    return found


def compare_with_lightgbm(folder: Path, model: str, what: str, found: str) -> Report:
    """Tell how far a peer's numbers for the sample are from LightGBM's."""
    expected, others = np.load(folder / f"{model}-{what}.npy"), np.load(folder / found)
    largest = float(np.abs(expected).max())
    return {"difference": float(np.abs(others.reshape(expected.shape) - expected).max()), "largest": largest}
