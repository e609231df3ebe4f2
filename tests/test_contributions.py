"""Contributions: Shapley values as their definition says, by trying every coalition on a plain tree."""

import gc
import weakref

import lightgbm
import numpy as np
import pytest
from hypothesis import given

import somv_risk as sr
from small_models import FEATURES, boosters, draw_matrix, grow
from somv_risk.errors import ModelError
from somv_risk.features import load_catalogue
from somv_risk.scoring.reasons import sum_themes
from somv_risk.trees import scores
from somv_risk.trees.brute_force import explain_slowly
from somv_risk.trees.contributions import compute_contributions, explain_trees
from somv_risk.trees.forest import read_forest

# --- The definition, slowly


def test_values_of_two_features_are_those_worked_out_by_hand():
    """Rows of four kinds, equally many: 8 if both are 1, 2 if only the first is, else 0."""
    rows = np.array([[a, b] for a in (0, 1) for b in (0, 1)] * 25, dtype=np.float32)
    outcome = np.where(rows[:, 0] == 1, np.where(rows[:, 1] == 1, 8.0, 2.0), 0.0)
    settings = {"objective": "regression", "learning_rate": 1.0, "num_leaves": 4, "min_data_in_leaf": 1}
    settings |= {"boost_from_average": False, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, outcome), 1)
    # Nothing known 2.5; only the first 5; only the second 4; both 8.
    np.testing.assert_allclose(explain_slowly(booster, [1.0, 1.0]), [3.25, 2.25, 2.5], atol=1e-6)
    # Nothing known 2.5; only the first 0; only the second 4; both 0.
    np.testing.assert_allclose(explain_slowly(booster, [0.0, 1.0]), [-3.25, 0.75, 2.5], atol=1e-6)


def list_splits(booster):
    """The features each tree splits on, once per path from its root to a leaf."""

    def walk(node, path):
        if "leaf_value" in node:
            return [path]
        on = [*path, node["split_feature"]]
        return walk(node["left_child"], on) + walk(node["right_child"], on)

    return [path for tree in booster.dump_model()["tree_info"] for path in walk(tree["tree_structure"], [])]


def assert_exact(booster, rows):
    fast = compute_contributions(booster, rows)
    slow = np.array([explain_slowly(booster, row) for row in rows.tolist()])
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_contributions_are_shapley_values(seed):
    matrix = draw_matrix(300, seed)
    assert_exact(grow(matrix, seed=seed), matrix[:6])


@pytest.mark.parametrize("seed", range(4))
def test_contributions_are_shapley_values_where_values_are_missing(seed):
    matrix = draw_matrix(300, seed, missing=0.3)
    booster = grow(matrix, seed=seed)
    rows = np.vstack([matrix[:5], np.full((1, FEATURES), np.nan, dtype=np.float32)])
    assert np.isnan(rows).any()
    assert_exact(booster, rows)


def test_contributions_are_shapley_values_where_a_feature_is_split_on_again_and_again():
    matrix = draw_matrix(400, seed=5)
    booster = grow(matrix[:, :2], columns=(0, 1), rounds=3)
    assert max(path.count(0) for path in list_splits(booster)) >= 3
    assert_exact(booster, matrix[:20, :2])


def test_contributions_are_shapley_values_of_ten_features():
    matrix = np.hstack([draw_matrix(400, seed=20, missing=0.2), draw_matrix(400, seed=21)[:, :2]])
    booster = grow(matrix, columns=(8, 9), rounds=5, feature_fraction=0.6, num_leaves=20)
    assert set(range(10)) == {feature for path in list_splits(booster) for feature in path}
    assert_exact(booster, matrix[:4])


def test_contributions_are_shapley_values_with_categories():
    matrix = draw_matrix(400, seed=6, missing=0.1, categories=(1,))
    booster = grow(matrix, categories=[1], min_data_per_group=5, cat_smooth=1.0)
    kinds = {
        node["decision_type"]
        for tree in booster.dump_model()["tree_info"]
        for node in list_nodes(tree["tree_structure"])
    }
    assert kinds == {"==", "<="}
    assert_exact(booster, matrix[:6])


def list_nodes(node):
    if "leaf_value" in node:
        return []
    return [node, *list_nodes(node["left_child"]), *list_nodes(node["right_child"])]


def test_a_feature_no_tree_splits_on_contributes_nothing():
    matrix = draw_matrix(300, seed=7)
    matrix[:, 4] = 1.0
    assert (compute_contributions(grow(matrix), matrix)[:, 4] == 0).all()


def test_a_tree_of_one_leaf_puts_everything_into_the_base():
    matrix = draw_matrix(100, seed=8)
    booster = grow(matrix, rounds=1, min_data_in_leaf=1000)
    assert booster.dump_model()["tree_info"][0]["num_leaves"] == 1
    values = compute_contributions(booster, matrix[:3])
    assert (values[:, :-1] == 0).all()
    np.testing.assert_allclose(values[:, -1], booster.predict(matrix[:3], raw_score=True), atol=1e-12)


def test_no_rows_have_no_contributions():
    matrix = draw_matrix(100, seed=9)
    assert compute_contributions(grow(matrix), matrix[:0]).shape == (0, FEATURES + 1)


def test_contributions_that_do_not_add_up_to_the_raw_score_are_refused():
    matrix = draw_matrix(300, seed=10)

    class Crooked:
        """A booster whose raw scores are a little off what its trees say."""

        def __init__(self, booster, off):
            self.booster, self.off = booster, off

        def predict(self, rows, **options):
            return self.booster.predict(rows, **options) + self.off * ("raw_score" in options)

        def __getattr__(self, name):
            return getattr(self.booster, name)

    booster = grow(matrix)
    compute_contributions(Crooked(booster, 1e-8), matrix)
    with pytest.raises(ModelError, match="miss the raw score"):
        compute_contributions(Crooked(booster, 1e-5), matrix)


# --- LightGBM's own contributions, of any model


@given(boosters())
def test_contributions_are_those_of_lightgbm(drawn):
    booster, rows = drawn
    told = explain_trees(booster, rows)
    expected = booster.predict(rows, pred_contrib=True)
    largest = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(told.values, expected[:, :-1], rtol=0, atol=1e-9 * largest)
    np.testing.assert_allclose(told.base, expected[:, -1], rtol=0, atol=1e-9 * largest)


def test_categories_are_whole_numbers_cut_towards_zero():
    matrix = draw_matrix(400, seed=6, categories=(1,))
    booster = grow(matrix, categories=[1], min_data_per_group=5, cat_smooth=1.0)
    rows = np.repeat(matrix[:1], 6, axis=0)
    rows[:, 1] = [-0.5, 0.5, 2.9, 3.999, -1.0, 70_000.0]
    expected = booster.predict(rows, pred_contrib=True)
    assert len(np.unique(expected[:, 1])) > 2
    np.testing.assert_allclose(explain_trees(booster, rows).values, expected[:, :-1], atol=1e-9)


def test_trees_of_more_splits_than_a_word_has_bits():
    rng = np.random.default_rng(11)
    matrix = rng.normal(size=(3_000, FEATURES))
    settings = {"num_leaves": 300, "min_data_in_leaf": 1, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, rng.normal(size=3_000)), 3)
    assert max(tree["num_leaves"] for tree in booster.dump_model()["tree_info"]) > 200
    expected = booster.predict(matrix[:200], pred_contrib=True)
    np.testing.assert_allclose(explain_trees(booster, matrix[:200]).values, expected[:, :-1], atol=1e-9)


def test_neither_threads_nor_chunks_nor_company_change_a_bit(monkeypatch):
    matrix = draw_matrix(500, seed=12, missing=0.1)
    booster = grow(matrix, rounds=8, num_leaves=40, min_data_in_leaf=2)
    at_once = explain_trees(booster, matrix).values
    monkeypatch.setattr(scores, "ROWS_PER_CHUNK", 37)
    np.testing.assert_array_equal(explain_trees(booster, matrix, threads=2).values, at_once)
    for row in (0, 123, 499):
        alone = explain_trees(booster, matrix[row : row + 1]).values
        np.testing.assert_array_equal(alone[0], at_once[row])


def test_a_model_read_from_its_text_is_explained_alike():
    matrix = draw_matrix(300, seed=13)
    booster = grow(matrix)
    read = lightgbm.Booster(model_str=booster.model_to_string())
    np.testing.assert_array_equal(explain_trees(read, matrix).values, explain_trees(booster, matrix).values)


def test_a_booster_whose_last_tree_is_another_is_read_again():
    matrix = draw_matrix(300, seed=19)
    booster = lightgbm.Booster(
        {"objective": "none", "verbosity": -1}, lightgbm.Dataset(matrix, matrix[:, 0] > 5)
    )
    for column in (0, 1, 0):
        booster.update(fobj=lambda raw, _, column=column: (raw - matrix[:, column], np.ones(len(raw))))
    assert_additive(booster, matrix)
    booster.rollback_one_iter()
    booster.update(fobj=lambda raw, _: (raw - matrix[:, 2], np.ones(len(raw))))
    assert_additive(booster, matrix)


def test_a_booster_is_let_go_of(monkeypatch):
    matrix = draw_matrix(100, seed=22)
    for has_numba in (True, False):
        monkeypatch.setattr(scores, "can_compile", lambda has_numba=has_numba: has_numba)
        booster = grow(matrix)
        explain_trees(booster, matrix)
        held = weakref.ref(booster)
        del booster
        gc.collect()
        assert held() is None


def test_a_booster_that_grows_is_read_again():
    matrix = draw_matrix(300, seed=14)
    booster = lightgbm.Booster(
        {"objective": "binary", "verbosity": -1}, lightgbm.Dataset(matrix, matrix[:, 0] > 5)
    )
    for _ in range(2):
        booster.update()
        assert_additive(booster, matrix)


def assert_additive(booster, rows):
    told = explain_trees(booster, rows)
    raw = booster.predict(rows, raw_score=True)
    assert raw.std() > 0
    np.testing.assert_allclose(told.values.sum(axis=1) + told.base, raw, rtol=0, atol=1e-9)


def test_a_random_forest_adds_up_to_its_raw_score():
    matrix = draw_matrix(300, seed=15)
    assert_additive(grow(matrix, boosting="rf", bagging_fraction=0.5, bagging_freq=1), matrix)


@pytest.mark.parametrize("has_numba", [True, False])
def test_models_of_several_scores_or_linear_leaves_or_no_trees_are_refused(monkeypatch, has_numba):
    monkeypatch.setattr(scores, "can_compile", lambda: has_numba)
    matrix = draw_matrix(300, seed=16)
    data = lightgbm.Dataset(matrix, matrix[:, 0] // 4)
    booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbosity": -1}, data, 2)
    with pytest.raises(ModelError, match="several scores"):
        explain_trees(booster, matrix)
    with pytest.raises(ModelError, match="linear"):
        explain_trees(grow(np.nan_to_num(matrix), linear_tree=True), matrix)
    nothing = lightgbm.Booster({"verbosity": -1}, lightgbm.Dataset(matrix, matrix[:, 0]))
    with pytest.raises(ModelError, match="no trees"):
        explain_trees(nothing, matrix)


@pytest.mark.parametrize("categories", [[], [0]])
def test_more_places_than_a_code_can_tell_apart_are_refused(monkeypatch, categories):
    matrix = draw_matrix(300, seed=18)[:, :1]
    settings = {"num_leaves": 4, "min_data_per_group": 5, "cat_smooth": 1.0, "verbosity": -1}
    data = lightgbm.Dataset(matrix, matrix[:, 0] % 4, categorical_feature=categories)
    text = lightgbm.train(settings, data, 1).model_to_string()
    assert read_forest(text).by_category.tolist() == [bool(categories)]
    monkeypatch.setattr("somv_risk.trees.forest.MOST_PLACES", 2)
    with pytest.raises(ModelError, match="more than 2 thresholds, or a higher category"):
        read_forest(text)


def test_rows_of_another_width_are_refused():
    matrix = draw_matrix(100, seed=17)
    with pytest.raises(ModelError, match="7 features, the model 8"):
        explain_trees(grow(matrix), matrix[:, :7])


# --- The trained model


@pytest.fixture(scope="module")
def matrix(model, region):
    cohort = sr.make_cohort(region, [region.data_end])
    few = cohort.rows.head(1000).collect()
    return model.encoding.to_matrix(sr.build_features(region, few, model.features).collect())


@pytest.mark.parametrize("target", ["frequent_admission", "unfinished_treatment"])
def test_contributions_of_the_trained_model_add_up_to_its_raw_score(model, matrix, target):
    booster = model.heads[target].booster
    values = compute_contributions(booster, matrix)
    assert values.shape == (len(matrix), len(model.features) + 1)
    assert (values[:, -1] == values[0, -1]).all()
    raw = booster.predict(matrix, raw_score=True)
    assert raw.std() > 0.1
    np.testing.assert_allclose(values.sum(axis=1), raw, rtol=0, atol=1e-6)


def test_a_theme_weighs_what_its_features_weigh_together(model, matrix):
    values = compute_contributions(model.main.booster, matrix[:50])
    themes, totals = sum_themes(model.features, values)
    assert len(set(themes)) == len(themes)
    assert set(themes) == {feature.definition.theme for feature in model.features}
    for place, theme in enumerate(themes):
        own = [n for n, feature in enumerate(model.features) if feature.definition.theme == theme]
        np.testing.assert_allclose(totals[:, place], values[:, own].sum(axis=1), rtol=0, atol=1e-12)


def test_themes_are_summed_whatever_the_order_of_their_features():
    features = {feature.name: feature for feature in load_catalogue()}
    chosen = tuple(features[name] for name in ("age", "acute_admissions_30d", "sex", "bed_days_365d"))
    themes, totals = sum_themes(chosen, np.array([[1.0, 20.0, 300.0, 4000.0, 50000.0]]))
    assert dict(zip(themes, totals[0].tolist(), strict=True)) == {"background": 301.0, "hospital_use": 4020.0}
