"""The reasons: scores and contributions of many rows and of one, by this library, LightGBM and shap."""

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightgbm as lgb
import numpy as np

from benchmarks.forests import MODELS, list_themes
from benchmarks.measuring import measure, time_calls
from benchmarks.peers.predicting import measure_call, read_rows
from benchmarks.peers.predictors import ROWS, SAMPLE
from somv_risk.model.matrix import Matrix
from somv_risk.trees.contributions import explain_trees, score_trees, summarise_trees

Report = dict[str, Any]
Way = Callable[[lgb.Booster, Matrix], Any]

TOP = 5
CALLS = 1_000


def summarise(booster: lgb.Booster, matrix: Matrix, top: int = 0) -> object:
    return summarise_trees(booster, matrix, list_themes(), top=top)


def score_by_lightgbm(booster: lgb.Booster, matrix: Matrix) -> np.ndarray:
    return booster.predict(matrix, raw_score=True)


def explain_by_lightgbm(booster: lgb.Booster, matrix: Matrix) -> np.ndarray:
    return booster.predict(matrix, pred_contrib=True)


def explain_by_shap(booster: lgb.Booster, matrix: Matrix) -> np.ndarray:
    import shap  # noqa: PLC0415 - it imports numba, which must not be there before its cache is chosen

    explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return explainer.shap_values(matrix)


OURS: Mapping[str, Way] = MappingProxyType(
    {
        "score": score_trees,
        "explain": explain_trees,
        "themes": summarise,
        "reasons": partial(summarise, top=TOP),
    }
)
THEIRS: Mapping[str, Way] = MappingProxyType(
    {"lightgbm_score": score_by_lightgbm, "lightgbm_explain": explain_by_lightgbm}
)
WAYS: Mapping[str, Way] = MappingProxyType({**OURS, **THEIRS, "shap_explain": explain_by_shap})


def measure_rows(
    folder: Path,
    way: str,
    model: str,
    file: str = ROWS,
    part: int = 1,
    as_rows: int = 0,
    trees: int | None = None,
) -> Report:
    """Measure one part of so many of the rows, the first one, as if there were `as_rows`, if asked."""
    booster, matrix = read_model(folder, model, trees), read_rows(folder / file)
    matrix = matrix[: len(matrix) // part, :: MODELS[model].every]
    return measure_call(partial(WAYS[way], booster), matrix, as_rows)


def compile_loops(folder: Path) -> Report:
    """Call everything as after an installation, when nothing has been compiled.

    What the first calls take longer than the second ones is the compiling.
    """
    booster, matrix = read_model(folder, "depth_6"), read_rows(folder / SAMPLE)

    def call_all() -> None:
        for way in OURS.values():
            way(booster, matrix)

    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        _, first = measure(call_all)
        if not any(Path(cache).rglob("*.nbc")):
            raise AssertionError("The loops were not compiled into the empty folder.")
    _, second = measure(call_all)
    return first | {"compile_seconds": first["seconds"] - second["seconds"]}


def time_one_row(folder: Path, model: str) -> Report:
    """Call with one row at a time, another one each time."""
    booster, matrix = read_model(folder, model), np.load(folder / SAMPLE)
    rows = [matrix[row : row + 1] for row in range(min(CALLS, len(matrix)))]
    return {name: time_calls(partial(way, booster), rows) for name, way in {**OURS, **THEIRS}.items()}


def write_sample(folder: Path, way: str, model: str, out: str) -> Report:
    """Write what a way says of the sample."""
    np.save(folder / out, WAYS[way](read_model(folder, model), read_rows(folder / SAMPLE)))
    return {}


def read_model(folder: Path, model: str, trees: int | None = None) -> lgb.Booster:
    """Read a model, or its first trees."""
    booster = lgb.Booster(model_file=folder / f"{model}.txt")
    return lgb.Booster(model_str=booster.model_to_string(num_iteration=trees)) if trees else booster
