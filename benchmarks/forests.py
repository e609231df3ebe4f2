"""The forests to explain, and the rows to explain: real models, and what they are asked about."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import polars as pl

from benchmarks.peers.predictors import BY_ROW, ROWS, SAMPLE
from somv_risk import label_outcomes, make_cohort
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION
from somv_risk.features import THEMES, Feature, load_catalogue
from somv_risk.model.matrix import Encoding, Matrix, Rows, build_matrix
from somv_risk.registers import schema as s
from somv_risk.store import scan_store

Report = dict[str, Any]

SAMPLED = 2_000
TREES = 500
PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "binary",
        "learning_rate": 0.03,
        "min_data_in_leaf": 100,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,  # two models are trained at a time
        "verbosity": -1,
    }
)


@dataclass(frozen=True)
class Growth:
    """How a model's trees grow: how deep, with how many leaves, on every how many-th of the features.

    Its categories are split as such, or as if they were numbers, for a peer that knows of no categories.
    """

    max_depth: int
    num_leaves: int
    every: int = 1
    categories: Literal["as such", "as numbers"] = "as such"


MODELS: Mapping[str, Growth] = MappingProxyType(
    {
        "depth_6": Growth(6, 63),
        "leaves_31": Growth(-1, 31),
        "depth_6_numbers": Growth(6, 63, categories="as numbers"),
        "leaves_31_numbers": Growth(-1, 31, categories="as numbers"),
        "depth_3": Growth(3, 8),
        "half_features": Growth(6, 63, every=2),
    }
)


def choose_features() -> tuple[Feature, ...]:
    """Choose seven tenths of the catalogue, spread evenly: all themes and both categories are among them."""
    return tuple(
        feature
        for place, feature in enumerate(load_catalogue(), start=1)
        if place * 7 // 10 != (place - 1) * 7 // 10
    )


@cache
def list_themes() -> np.ndarray:
    """List the number of each feature's theme."""
    return np.array([THEMES.index(feature.definition.theme) for feature in choose_features()])


def write_rows(folder: Path, stores: Sequence[str], index_time: str, rows: int) -> Report:
    """Write so many rows, those of the first region and then those of the next ones."""
    encoding = _learn_encoding(folder / stores[0])
    built = [_build(folder / store, index_time, encoding).matrix for store in stores]
    matrix = np.concatenate(built)[:rows]
    np.save(folder / BY_ROW, np.ascontiguousarray(matrix))
    np.save(folder / ROWS, np.asfortranarray(matrix))
    np.save(folder / SAMPLE, spread(matrix, SAMPLED))
    return {"rows": matrix.shape[0], "features": matrix.shape[1], "of_first": len(built[0])}


def spread(matrix: Matrix, rows: int) -> Matrix:
    """Take so many rows from all over the matrix, as a matrix stored by row."""
    return np.ascontiguousarray(matrix[:: max(1, len(matrix) // rows)][:rows])


def train_models(folder: Path, store: str, first_store: str, index_time: str) -> Report:
    """Train all models on the same rows, with the categories numbered as in the first region."""
    built = _build(folder / store, index_time, _learn_encoding(folder / first_store))
    labels = label_outcomes(scan_store(folder / store), built.cohort, FREQUENT_ADMISSION).collect()
    outcome = labels["outcome"].cast(pl.Float64).to_numpy()
    is_known = ~np.isnan(outcome)
    matrix, outcome = built.matrix[is_known], outcome[is_known]

    def train(name: str) -> None:
        _train(MODELS[name], matrix, outcome).save_model(folder / f"{name}.txt")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train, MODELS))
    return {"rows": len(matrix), "trees": TREES}


def _train(growth: Growth, matrix: Matrix, outcome: np.ndarray) -> lgb.Booster:
    features = choose_features()[:: growth.every]
    categories = [place for place, feature in enumerate(features) if feature.is_category]
    rows = lgb.Dataset(
        matrix[:, :: growth.every],
        outcome,
        categorical_feature=categories if growth.categories == "as such" else [],
    )
    grown = {"max_depth": growth.max_depth, "num_leaves": growth.num_leaves}
    directions = {"monotone_constraints": [feature.definition.monotone for feature in features]}
    return lgb.train({**PARAMETERS, **grown, **directions}, rows, TREES)


def _build(store: Path, index_time: str, encoding: Encoding) -> Rows:
    histories = scan_store(store)
    cohort = make_cohort(histories, [datetime.fromisoformat(index_time)]).rows.collect()
    return build_matrix(histories, cohort, encoding)


def _learn_encoding(store: Path) -> Encoding:
    """Number the categories of a store."""
    persons = scan_store(store).persons.select(pl.col(s.SEX, s.MUNICIPALITY).cast(pl.String)).collect()
    features = choose_features()
    return Encoding(
        features,
        {
            feature.name: tuple(persons[feature.definition.measured].drop_nulls().unique().sort())
            for feature in features
            if feature.is_category
        },
    )
