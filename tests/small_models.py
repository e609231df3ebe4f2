"""Small models: LightGBM boosters grown in a moment on drawn rows, for tests of trees."""

import lightgbm
import numpy as np
from hypothesis import strategies as st

FEATURES = 8


def draw_matrix(rows, seed, missing=0.0, categories=()):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 12, (rows, FEATURES)).astype(np.float32)
    for column in categories:
        matrix[:, column] = rng.integers(0, 4, rows)
    matrix[rng.random(matrix.shape) < missing] = np.nan
    return matrix


def grow(matrix, *, columns=range(FEATURES), rounds=4, seed=0, **parameters):
    """A small model; the outcome needs several cuts of its first column, and the first two together."""
    first, second = (np.nan_to_num(matrix[:, column], nan=5) for column in list(columns)[:2])
    rng = np.random.default_rng(seed + 1)
    outcome = ((first > 3) ^ (first > 7)) * (second + 1) + rng.normal(0, 0.5, len(matrix)) > 3
    settings = {
        "objective": "binary",
        "num_leaves": 12,
        "min_data_in_leaf": 5,
        "learning_rate": 0.4,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
    }
    data = lightgbm.Dataset(matrix, outcome, categorical_feature=parameters.pop("categories", []))
    return lightgbm.train(settings | parameters, data, num_boost_round=rounds)


@st.composite
def boosters(draw):
    """Draw a model and rows: of few or many leaves, with missing values, zeros, categories."""
    seed, missing = draw(st.integers(0, 10_000)), draw(st.sampled_from([0.0, 0.2]))
    categories = draw(st.sampled_from([[], [1]]))
    matrix = draw_matrix(400, seed, missing=missing, categories=categories) - draw(st.integers(0, 3))
    booster = grow(
        np.maximum(matrix, 0) if categories else matrix,
        seed=seed,
        rounds=draw(st.integers(1, 6)),
        categories=categories,
        num_leaves=draw(st.sampled_from([2, 8, 31, 100])),
        max_depth=draw(st.sampled_from([-1, 3, 6])),
        min_data_in_leaf=draw(st.sampled_from([1, 5])),
        zero_as_missing=draw(st.booleans()),
        min_data_per_group=3,
        cat_smooth=1.0,
        bagging_fraction=0.7,
        bagging_freq=1,
    )
    return booster, matrix[:50]
