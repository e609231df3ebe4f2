"""Scores and summaries of trees: LightGBM's own to the bit, and sums of what every feature contributes."""

from fractions import Fraction

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from small_models import FEATURES, boosters, draw_matrix, grow
from somv_risk.errors import ModelError
from somv_risk.features import THEMES
from somv_risk.trees import contributions, scores
from somv_risk.trees.contributions import explain_trees, score_trees, summarise_trees
from somv_risk.trees.forest import draw_probes, read_forest


def predict(booster, rows):
    return booster.predict(rows, raw_score=True)


def assert_same_scores(booster, rows):
    expected = predict(booster, rows)
    np.testing.assert_array_equal(score_trees(booster, rows), expected)
    np.testing.assert_array_equal(explain_trees(booster, rows).raw, expected)


# --- Scores


@given(boosters())
def test_scores_are_those_of_lightgbm_to_the_bit(drawn):
    booster, rows = drawn
    assert explain_trees(booster, rows).method == "quadrature"
    assert_same_scores(booster, rows)
    assert_same_scores(booster, draw_probes(read_forest(booster.model_to_string())))


def test_what_lies_very_near_to_zero_is_zero_as_lightgbm_has_it():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(500, 2)) * (rng.random((500, 2)) < 0.5)
    for zero_as_missing in (False, True):
        settings = {"verbosity": -1, "min_data_in_leaf": 5, "zero_as_missing": zero_as_missing}
        booster = lightgbm.train(settings, lightgbm.Dataset(matrix, (matrix > 0.1).sum(axis=1)), 5)
        tiny = [0.0, -0.0, 1e-36, -1e-36, 1e-35, -1.0000000180025095e-35, 2e-35, -2e-35, np.nan, 1e-300]
        assert_same_scores(booster, np.array([[value, other] for value in tiny for other in tiny]))


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.float16, np.bool_])
def test_other_numbers_become_floats_of_32_bits_as_in_lightgbm(kind):
    matrix = draw_matrix(200, seed=13)
    assert_same_scores(grow(matrix), matrix.astype(kind))
    large = (2**24 + np.arange(400)).reshape(200, 2)
    settings = {"verbosity": -1, "min_data_in_leaf": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(large.astype(np.float64), large[:, 0] % 7), 5)
    assert_same_scores(booster, large)
    with pytest.raises(ModelError, match="Give numbers"):
        score_trees(booster, large.astype(str))


def test_thousands_of_trees_and_trees_of_one_leaf():
    matrix = draw_matrix(200, seed=2, missing=0.1)
    many = grow(matrix, rounds=3_000, num_leaves=3, learning_rate=0.01)
    assert many.num_trees() == 3_000
    assert_same_scores(many, matrix)
    expected = many.predict(matrix[:20], pred_contrib=True)
    np.testing.assert_allclose(explain_trees(many, matrix[:20]).values, expected[:, :-1], rtol=0, atol=1e-9)
    one = grow(matrix, rounds=3, min_data_in_leaf=1_000)
    assert_same_scores(one, matrix)


def explain_exactly(booster, row):
    """Shapley values in fractions: of each leaf, the integral over z of the product of all other features."""
    values = [Fraction(0)] * booster.num_feature()
    for tree in booster.dump_model()["tree_info"]:
        waiting = [(tree["tree_structure"], {})]
        while waiting:
            node, path = waiting.pop()
            if "leaf_value" in node:
                for feature, (ratio, taken) in path.items():
                    others = [own for other, own in path.items() if other != feature]
                    weight = Fraction(node["leaf_value"]) * (taken - ratio)
                    values[feature] += weight * integrate(others)
                continue
            feature, goes_left = node["split_feature"], row[node["split_feature"]] <= node["threshold"]
            for child, goes in ((node["left_child"], goes_left), (node["right_child"], not goes_left)):
                rows = child.get("leaf_count", child.get("internal_count"))
                ratio, taken = path.get(feature, (Fraction(1), 1))
                step = (ratio * Fraction(rows, node["internal_count"]), taken * goes)
                waiting.append((child, {**path, feature: step}))
    return np.array([float(value) for value in values])


def integrate(factors):
    """Integrate the product of ratio (1 - z) + taken z over z from 0 to 1."""
    product = [Fraction(1)]
    for ratio, taken in factors:
        longer = [*product, Fraction(0)]
        product = [
            ratio * longer[k] + ((taken - ratio) * product[k - 1] if k else 0) for k in range(len(longer))
        ]
    return sum(coefficient / (power + 1) for power, coefficient in enumerate(product))


def grow_path(features):
    """A tree that splits off one row after the other, each by a feature of its own."""
    matrix = np.eye(features)
    settings = {"num_leaves": features, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0, "verbosity": -1}
    return lightgbm.train(settings, lightgbm.Dataset(matrix, 1.5 ** np.arange(features)), 2), matrix


def test_a_long_path_is_explained_exactly_where_lightgbm_is_not():
    booster, matrix = grow_path(24)
    expected = explain_exactly(booster, matrix[1])
    largest = np.abs(expected).max()
    off = np.abs(explain_trees(booster, matrix[1:2]).values[0] - expected).max() / largest
    off_in_lightgbm = (
        np.abs(booster.predict(matrix[1:2], pred_contrib=True)[0, :-1] - expected).max() / largest
    )
    assert off < 1e-13 < off_in_lightgbm


def test_a_path_of_more_features_than_a_word_has_bits_adds_up():
    booster, matrix = grow_path(70)
    assert read_forest(booster.model_to_string()).trees.nodes.max() > 30
    assert_same_scores(booster, matrix)
    told = explain_trees(booster, matrix)
    assert told.method == "quadrature"
    np.testing.assert_allclose(told.values.sum(axis=1) + told.base, told.raw, rtol=1e-12)


def test_more_places_than_a_byte_tells_apart():
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(4_000, 2))
    settings = {"num_leaves": 500, "min_data_in_leaf": 1, "max_bin": 2_000, "verbosity": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, np.sin(20 * matrix[:, 0])), 3)
    assert read_forest(booster.model_to_string()).codes == np.uint16
    repeated = np.repeat(matrix[:300], 3, axis=0)
    assert_same_scores(booster, repeated)
    expected = booster.predict(repeated, pred_contrib=True)
    np.testing.assert_allclose(explain_trees(booster, repeated).values, expected[:, :-1], atol=1e-9)


def test_only_the_best_iterations_count_as_in_lightgbm():
    matrix, outcome = draw_matrix(300, seed=4), np.random.default_rng(4).random(300)
    data, later = lightgbm.Dataset(matrix[:200], outcome[:200]), lightgbm.Dataset(matrix[200:], outcome[200:])
    stop = lightgbm.early_stopping(3, verbose=False)
    booster = lightgbm.train(
        {"verbosity": -1}, data, 50, valid_sets=[later], callbacks=[stop], keep_training_booster=True
    )
    assert booster.best_iteration < booster.num_trees()
    assert_same_scores(booster, matrix)
    booster.best_iteration += 1
    assert_same_scores(booster, matrix)


def test_rows_that_are_the_same_are_worked_out_once(monkeypatch):
    matrix = draw_matrix(50, seed=5, missing=0.1)
    booster = grow(matrix)
    repeated = matrix[np.random.default_rng(5).integers(0, 50, 400)]
    told, alone = explain_trees(booster, repeated), explain_trees(booster, matrix)
    worked_out = []

    def watch(codes, *others):
        worked_out.append(codes.shape[1])
        return unwatched(codes, *others)

    unwatched = contributions.explain_forest
    monkeypatch.setattr(contributions, "explain_forest", watch)
    again = explain_trees(booster, repeated)
    assert worked_out[0] <= 50
    np.testing.assert_array_equal(again.values, told.values)
    for row, values, raw in zip(matrix, alone.values, alone.raw, strict=True):
        same = (np.nan_to_num(repeated, nan=-1) == np.nan_to_num(row, nan=-1)).all(axis=1)
        np.testing.assert_array_equal(told.values[same], np.tile(values, (same.sum(), 1)))
        np.testing.assert_array_equal(told.raw[same], np.full(same.sum(), raw))


def test_no_rows_have_no_scores():
    matrix = draw_matrix(100, seed=6)
    booster = grow(matrix)
    assert score_trees(booster, matrix[:0]).shape == (0,)
    told = summarise_trees(booster, matrix[:0], [0] * FEATURES, top=2)
    assert (told.totals.shape, told.top_features.shape) == ((0, 1), (0, 2))


# --- Summaries


@given(
    boosters(), st.lists(st.integers(0, 3), min_size=FEATURES, max_size=FEATURES), st.integers(0, FEATURES)
)
def test_summaries_are_sums_and_the_largest_of_all_values(drawn, groups, top):
    booster, rows = drawn
    told, whole = summarise_trees(booster, rows, groups, top=top), explain_trees(booster, rows)
    sums = np.stack(
        [whole.values[:, np.array(groups) == group].sum(axis=1) for group in range(max(groups) + 1)]
    )
    np.testing.assert_allclose(told.totals, sums.T, rtol=0, atol=1e-9 * max(1, np.abs(whole.values).max()))
    assert told.base == whole.base
    np.testing.assert_array_equal(told.raw, whole.raw)
    largest = np.argsort(-np.abs(whole.values), axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(told.top_features, largest)
    np.testing.assert_array_equal(told.top_values, np.take_along_axis(whole.values, largest, axis=1))


@pytest.mark.parametrize("top", [0, 3])
def test_neither_threads_nor_chunks_change_a_bit_of_a_summary(monkeypatch, top):
    matrix = draw_matrix(500, seed=7, missing=0.1)
    booster, groups = grow(matrix, rounds=8), [0, 1, 2, 0, 1, 2, 0, 1]
    at_once = summarise_trees(booster, matrix, groups, top=top)
    monkeypatch.setattr(scores, "ROWS_PER_CHUNK", 37)
    in_chunks = summarise_trees(booster, matrix, groups, top=top, threads=2)
    for name in ("totals", "raw", "top_features", "top_values"):
        np.testing.assert_array_equal(getattr(in_chunks, name), getattr(at_once, name))
    np.testing.assert_array_equal(score_trees(booster, matrix, threads=2), predict(booster, matrix))


def test_a_summary_holds_the_values_of_one_chunk_only(monkeypatch):
    matrix = draw_matrix(500, seed=8)
    booster, held = grow(matrix), []
    monkeypatch.setattr(scores, "ROWS_PER_CHUNK", 50)
    unwatched = contributions.explain_forest

    def watch(codes, trees, columns, nodes, room, total, raw):
        held.append(total.shape)
        return unwatched(codes, trees, columns, nodes, room, total, raw)

    monkeypatch.setattr(contributions, "explain_forest", watch)
    summarise_trees(booster, matrix, [0] * FEATURES)
    summarise_trees(booster, matrix, [0] * FEATURES, top=1)
    assert {columns for columns, _ in held} == {1, FEATURES}
    assert max(rows for _, rows in held) <= 50


@pytest.mark.parametrize(
    ("groups", "top", "fault"),
    [
        ([0] * 7, 0, "There are 8 features"),
        ([0] * 7 + [-1], 0, "There are 8 features"),
        ([0] * 8, 9, "top is 9"),
        ([0] * 8, -1, "top is -1"),
    ],
)
def test_groups_and_numbers_that_do_not_fit_are_refused(groups, top, fault):
    matrix = draw_matrix(100, seed=9)
    with pytest.raises(ModelError, match=fault):
        summarise_trees(grow(matrix), matrix, groups, top=top)


# --- What only LightGBM can explain


def assert_explained_by_lightgbm(booster, rows):
    expected = booster.predict(rows, pred_contrib=True)
    told = explain_trees(booster, rows)
    assert told.method == "lightgbm"
    np.testing.assert_array_equal(told.values, expected[:, :-1])
    assert told.base == expected[0, -1]
    np.testing.assert_array_equal(told.raw, predict(booster, rows))
    np.testing.assert_array_equal(score_trees(booster, rows), told.raw)
    summary = summarise_trees(booster, rows, [0] * 4 + [1] * 4, top=1)
    assert summary.method == "lightgbm"
    np.testing.assert_allclose(summary.totals[:, 1], expected[:, 4:8].sum(axis=1), atol=1e-12)
    assert explain_trees(booster, rows[:0]).values.shape == (0, FEATURES)


def test_without_numba_lightgbm_explains(monkeypatch):
    matrix = draw_matrix(300, seed=10)
    monkeypatch.setattr(scores, "can_compile", lambda: False)
    assert_explained_by_lightgbm(grow(matrix), matrix[:20])


def test_of_too_many_places_lightgbm_explains(monkeypatch):
    matrix = draw_matrix(300, seed=11)
    monkeypatch.setattr("somv_risk.trees.forest.MOST_PLACES", 2)
    assert_explained_by_lightgbm(grow(matrix), matrix[:20])


def test_where_lightgbm_scores_otherwise_it_explains():
    """A format of trees that is read wrongly would be found out by trying some rows."""
    matrix = draw_matrix(300, seed=12)

    class Otherwise:
        def __init__(self, booster):
            self.booster = booster

        def predict(self, rows, **options):
            return self.booster.predict(rows, **options) + 1e-12 * ("raw_score" in options)

        def __getattr__(self, name):
            return getattr(self.booster, name)

    assert_explained_by_lightgbm(Otherwise(grow(matrix)), matrix[:20])


# --- A region


def test_a_region_is_explained_by_theme(model, region):
    import somv_risk as sr  # noqa: PLC0415

    few = region.keep_persons(region.persons.select("person_id").head(300))
    told = sr.explain_region(model, few, region.data_end, top=2)
    scores = sr.score(model, few, index_time=region.data_end, explain="none").sort("person_id")
    assert told["person_id"].to_list() == scores["person_id"].to_list()
    assert told["risk"].to_list() == scores["risk"].to_list()
    themes = [theme for theme in THEMES if theme in told.columns]
    assert set(themes) == {feature.definition.theme for feature in model.features}
    sums = told.select(themes).sum_horizontal() + told["base"]
    np.testing.assert_allclose(sums, told["raw"], rtol=0, atol=1e-9)
    person = told["person_id"][5]
    alone = sr.explain_person(model, few, person, region.data_end)
    top = [(row["feature"], row["contribution"]) for row in alone.contributions.head(2).to_dicts()]
    assert [(row["feature"], row["contribution"]) for row in told["top"][5]] == top
    assert sr.explain_region(model, few, region.data_end, top=0)["top"].list.len().to_list() == [0] * len(
        told
    )
