"""Tree rows: a frame is read by the model's names and categories, to LightGBM's own answer, or refused."""

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somv_risk.errors import ModelError
from somv_risk.trees.contributions import explain_trees, score_trees, summarise_trees

SETTINGS = {
    "objective": "binary",
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "min_data_per_group": 5,
    "cat_smooth": 1.0,
    "num_threads": 1,
    "verbosity": -1,
}
TOWNS, FORMS = ["north", "south", "east", "west"], ["a", "b", "c"]


def draw_frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "town": pd.Categorical(rng.choice(TOWNS, rows), categories=TOWNS),
            "days": rng.normal(10, 4, rows),
            "form": pd.Categorical(rng.choice(FORMS, rows), categories=FORMS),
            "is_known": rng.random(rows) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return draw_frame()


@pytest.fixture(scope="module")
def booster(frame) -> lightgbm.Booster:
    outcome = (frame["town"].isin(["north", "west"]) & (frame["age"] > 40)) | (
        frame["is_known"] & (frame["form"] == "b")
    )
    trained = lightgbm.train(SETTINGS, lightgbm.Dataset(frame, outcome), 20)
    return lightgbm.Booster(model_str=trained.model_to_string())  # as a model that was stored


def assert_as_lightgbm(booster, rows, expected_of=None):
    expected = booster.predict(rows if expected_of is None else expected_of, pred_contrib=True)
    told = explain_trees(booster, rows)
    np.testing.assert_allclose(told.values, expected[:, :-1], rtol=0, atol=1e-9)
    assert told.base == pytest.approx(expected[0, -1], abs=1e-9)
    scores = booster.predict(rows if expected_of is None else expected_of, raw_score=True)
    np.testing.assert_array_equal(told.raw, scores)
    np.testing.assert_array_equal(score_trees(booster, rows), scores)
    np.testing.assert_array_equal(summarise_trees(booster, rows, range(5)).raw, scores)


def test_a_frame_is_explained_as_lightgbm_does(booster, frame):
    assert np.ptp(booster.predict(frame, raw_score=True)) > 2
    assert_as_lightgbm(booster, frame)


def test_categories_have_the_numbers_of_the_model_and_not_those_of_the_frame(booster, frame):
    """Whoever scores a part of the rows has fewer categories, in another order."""
    few = frame[frame["town"].isin(["west", "south"])].copy()
    few["town"] = pd.Categorical(few["town"].astype(str), categories=["west", "south"])
    few["form"] = few["form"].cat.reorder_categories(["c", "a", "b"])
    assert_as_lightgbm(booster, few)
    np.testing.assert_array_equal(score_trees(booster, few), score_trees(booster, frame.loc[few.index]))


def test_a_category_that_the_model_has_not_met_is_missing(booster, frame):
    other = frame.head(20).copy()
    other["town"] = pd.Categorical(["abroad", None] * 10)
    assert_as_lightgbm(booster, other)


def test_numbers_as_categories_are_matched_by_value():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=300), "code": pd.Categorical(rng.choice([30, 10, 20], 300))})
    outcome = (frame["code"] == 20) ^ (frame["x"] > 0.5)
    trained = lightgbm.train(SETTINGS, lightgbm.Dataset(frame, outcome), 10)
    booster = lightgbm.Booster(model_str=trained.model_to_string())
    few = frame[frame["code"] == 20].copy()
    few["code"] = few["code"].cat.remove_unused_categories()
    expected = booster.predict(few, pred_contrib=True)
    np.testing.assert_allclose(explain_trees(booster, few).values, expected[:, :-1], rtol=0, atol=1e-9)


@given(st.permutations(range(5)))
def test_columns_are_found_by_their_names_in_any_order(booster, frame, order):
    """LightGBM itself takes them by place, and is wrong without a word."""
    rows = frame.head(30)
    assert_as_lightgbm(booster, rows.iloc[:, list(order)], expected_of=rows)


MISREAD = {
    "another name": (lambda frame: frame.rename(columns={"days": "dayz"}), "lacks days, has dayz besides"),
    "a column less": (lambda frame: frame.drop(columns="age"), "lacks age"),
    "a column more": (lambda frame: frame.assign(person_id=1), "has person_id besides"),
    "a column twice": (lambda frame: pd.concat([frame, frame[["age"]]], axis=1), "twice"),
    "texts": (lambda frame: frame.assign(days=frame["days"].astype(str)), "Column days .* Give numbers"),
    "objects": (lambda frame: frame.assign(days=frame["days"].astype(object)), "Column days .* Give numbers"),
    "dates": (lambda frame: frame.assign(days=pd.Timestamp("2026-01-01")), "Column days .* Give numbers"),
    "categories as texts": (lambda frame: frame.assign(town=frame["town"].astype(str)), "has 1 columns of"),
    "categories as codes": (lambda frame: frame.assign(town=frame["town"].cat.codes), "has 1 columns of"),
    "numbers as categories": (lambda frame: frame.assign(age=pd.Categorical(frame["age"])), "has 3 columns"),
}


@pytest.mark.parametrize("name", MISREAD)
def test_a_frame_that_could_be_misread_is_refused(booster, frame, name):
    change, word = MISREAD[name]
    with pytest.raises(ModelError, match=word):
        explain_trees(booster, change(frame))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int8", "float32", "boolean", "bool"])
def test_numbers_of_any_type_are_the_same_numbers(booster, frame, dtype):
    kept = frame.copy()
    kept["is_known"] = kept["is_known"].astype(dtype)
    assert_as_lightgbm(booster, kept, expected_of=frame)


def test_nothing_in_a_nullable_column_is_missing(booster, frame):
    nullable = frame.head(20).copy()
    nullable["age"] = nullable["age"].astype("Int64")
    nullable.loc[nullable.index[::2], "age"] = pd.NA
    plain = nullable.copy()
    plain["age"] = plain["age"].to_numpy(dtype=float, na_value=np.nan)
    assert_as_lightgbm(booster, nullable, expected_of=plain)


def test_a_polars_or_arrow_frame_is_the_same_frame(booster, frame):
    turned = pl.DataFrame(
        {
            "days": frame["days"].to_numpy(),
            "form": pl.Series(frame["form"].astype(str).to_list(), dtype=pl.Enum(["c", "b", "a"])),
            "town": pl.Series(frame["town"].astype(str).to_list(), dtype=pl.Categorical),
            "is_known": frame["is_known"].to_numpy(),
            "age": frame["age"].to_numpy(),
        }
    )
    assert_as_lightgbm(booster, turned, expected_of=frame)
    assert_as_lightgbm(booster, turned.to_arrow(), expected_of=frame)
    with pytest.raises(ModelError, match="columns of categories"):
        explain_trees(booster, turned.with_columns(pl.col("town").cast(pl.String)))


def test_a_model_of_an_array_has_no_names_and_takes_a_frame_by_place():
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(300, 3))
    booster = lightgbm.train(SETTINGS, lightgbm.Dataset(matrix, matrix[:, 0] > matrix[:, 1]), 5)
    for rows in (pd.DataFrame(matrix, columns=["c", "b", "a"]), pl.DataFrame(matrix)):
        np.testing.assert_array_equal(score_trees(booster, rows), booster.predict(matrix, raw_score=True))


@pytest.mark.parametrize("rows", [np.zeros(5), np.zeros((2, 2, 2)), np.float64(1.0)])
def test_what_is_no_table_is_refused(booster, rows):
    with pytest.raises(ModelError, match="dimensions"):
        explain_trees(booster, rows)
