"""Rankings: numbers agree with scikit-learn and with drawing lots; intervals come from repeated persons."""

from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from small_world import SELDOM
from somv_risk.errors import ConfigError, InputError
from somv_risk.metrics import (
    LISTED,
    Cases,
    Resampling,
    compute_tables,
    compute_wilson,
    measure_order,
    measure_rankings,
    read_capacities,
)
from somv_risk.metrics.notes import ALL_EQUAL, LONGER

pytestmark = pytest.mark.filterwarnings("error")

LISTS = ("1", "2", "3", "5", "8")


@st.composite
def drawn_cases(draw: st.DrawFn, most: int = 30) -> Cases:
    """Cases with scores that are often equal, risks in tenths, and a few admissions and bed days."""
    size = draw(st.integers(1, most))

    def column(values: st.SearchStrategy) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=size, max_size=size)))

    return Cases(
        outcome=column(st.booleans()),
        rankings={
            "model": column(st.integers(0, 4)) / 10,
            "other": column(st.integers(-2, 2)).astype(float),
        },
        risks=("model",),
        admissions=column(st.integers(0, 2)).astype(float),
        bed_days=column(st.sampled_from((0.0, 0.5, 7.0))),
    )


def draw_weights(data: st.DataObject, cases: Cases) -> np.ndarray:
    numbers = data.draw(st.lists(st.integers(0, 3), min_size=len(cases), max_size=len(cases)))
    return np.array(numbers, dtype=float)


def compute(cases: Cases, weights: np.ndarray | None = None, capacities=LISTS, is_kept=None) -> dict:
    """What is computed, by ranking, capacity and metric."""
    measure = measure_order(cases, "all", read_capacities(capacities), is_kept=is_kept)
    numbers = measure.compute(np.ones(len(cases)) if weights is None else weights)
    keys = measure.keys.select("ranking", "capacity", "metric").rows()
    return dict(zip(keys, numbers, strict=True))


def tabulate(cases: Cases, capacities=LISTS, is_kept=None, draws=0, seed=0) -> pl.DataFrame:
    measure = measure_order(cases, "some", read_capacities(capacities), is_kept=is_kept)
    return compute_tables({"order": measure}, len(cases), Resampling(draws, seed))["order"]


def has_both(outcome: np.ndarray) -> bool:
    return outcome.any() and not outcome.all()


# The whole ranking


@given(drawn_cases(), st.data())
def test_the_area_under_the_curve_is_that_of_scikit_learn_with_ties_and_weights(cases, data):
    weights = draw_weights(data, cases)
    assume(has_both(cases.outcome[weights > 0]))
    found = compute(cases, weights)
    assert list(cases.rankings) == ["model", "other"]
    for name, score in cases.rankings.items():
        expected = roc_auc_score(cases.outcome, score, sample_weight=weights)
        assert found[name, None, "auroc"] == pytest.approx(expected, abs=1e-12)


@given(drawn_cases(), st.data())
def test_average_precision_is_that_of_scikit_learn_with_ties_and_weights(cases, data):
    weights = draw_weights(data, cases)
    assume(cases.outcome[weights > 0].any())
    found = compute(cases, weights)
    assert list(cases.rankings) == ["model", "other"]
    for name, score in cases.rankings.items():
        expected = average_precision_score(cases.outcome, score, sample_weight=weights)
        assert found[name, None, "average_precision"] == pytest.approx(expected, abs=1e-12)


@given(drawn_cases(), st.data())
def test_the_brier_score_is_that_of_scikit_learn_and_only_of_risks(cases, data):
    weights = draw_weights(data, cases)
    assume(weights.any())
    found = compute(cases, weights)
    expected = brier_score_loss(
        cases.outcome, cases.rankings["model"], sample_weight=weights, labels=[False, True]
    )
    assert found["model", None, "brier"] == pytest.approx(expected, abs=1e-12)
    assert ("other", None, "brier") not in found


@given(drawn_cases())
def test_the_lead_is_that_of_the_first_ranking_over_each_other(cases):
    assume(has_both(cases.outcome))
    found, model, other = compute(cases), cases.rankings["model"], cases.rankings["other"]
    for metric, measure in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        lead = measure(cases.outcome, model) - measure(cases.outcome, other)
        assert found["other", None, f"{metric}_difference"] == pytest.approx(lead, abs=1e-12)
        assert ("model", None, f"{metric}_difference") not in found


@pytest.mark.parametrize("outcome", [[True, True], [False, False]])
def test_without_events_or_without_others_there_is_no_area_and_a_note_says_so(outcome):
    table = measure_rankings(np.array(outcome), {"model": np.array([1.0, 2.0])}, draws=5, capacities=[1])
    row = table.row(by_predicate=pl.col("metric") == "auroc", named=True)
    assert (row["value"], row["low"], row["high"]) == (None, None, None)
    assert row["note"] == "There are no cases with the outcome, or none without it."


def test_of_equal_scores_a_note_says_that_the_order_is_by_lot():
    table = measure_rankings(
        np.array([True, False, False, False]), {"model": np.ones(4)}, draws=0, capacities=["1"]
    )
    told = {metric: (value, note) for metric, value, note in table.select("metric", "value", "note").rows()}
    assert told["auroc"] == (0.5, ALL_EQUAL)
    assert told["found"] == (0.25, ALL_EQUAL)


# Lists


def draw_lots(cases: Cases, name: str, size: int) -> dict[str, float]:
    """What a list holds on average over all orders that the scores allow."""
    score = cases.rankings[name]
    orders = [sorted(order, key=lambda case: -score[case]) for order in permutations(range(len(cases)))]
    tops = np.array([order[:size] for order in orders])

    def average(amounts):
        return float(amounts[tops].sum(axis=1).mean())

    return {
        "found": average(cases.outcome.astype(float)),
        "admissions": average(cases.admissions),
        "bed_days": average(cases.bed_days),
    }


def divide(above: float, below: float) -> float | None:
    return above / below if below else None


@given(drawn_cases(most=6), st.sampled_from([1, 2, 3, 5, 8]))
def test_a_list_holds_what_it_holds_on_average_if_lots_decide_among_equals(cases, size):
    found, rows, events = compute(cases), len(cases), cases.events
    length = min(size, rows)
    assert list(cases.rankings) == ["model", "other"]
    for name in cases.rankings:
        lots = draw_lots(cases, name, size)
        expected = {
            "found": lots["found"],
            "precision": lots["found"] / length,
            "sensitivity": divide(lots["found"], events),
            "lift": divide(lots["found"] / length, events / rows),
            "number_needed_to_evaluate": divide(length, lots["found"]),
            "admissions_captured": lots["admissions"],
            "admissions_share": divide(lots["admissions"], cases.admissions.sum()),
            "bed_days_captured": lots["bed_days"],
            "bed_days_share": divide(lots["bed_days"], cases.bed_days.sum()),
        }
        for metric, number in expected.items():
            told = found[name, str(size), metric]
            assert np.isnan(told) if number is None else told == pytest.approx(number, abs=1e-9), metric


def test_a_list_with_a_place_for_half_of_two_equals_counts_half_of_each():
    # Five persons, two places: the best is an event, the next two are equal and one of them is.
    outcome, score = np.array([True, True, False, False, False]), np.array([5.0, 4.0, 4.0, 1.0, 0.0])
    table = measure_rankings(outcome, {"model": score}, draws=0, capacities=[2])
    told = dict(table.filter(pl.col("capacity") == "2").select("metric", "value").rows())
    assert told == pytest.approx(
        {
            "found": 1.5,
            "precision": 0.75,
            "sensitivity": 0.75,
            "lift": 0.75 / 0.4,
            "number_needed_to_evaluate": 2 / 1.5,
        }
    )


def test_a_list_longer_than_the_population_holds_everybody_and_says_so():
    outcome = np.array([True, False, False, False])
    table = measure_rankings(outcome, {"model": np.array([0.1, 0.2, 0.3, 0.4])}, draws=0, capacities=["50"])
    listed = table.filter(pl.col("capacity") == "50")
    assert listed["persons"].unique().to_list() == [4]
    assert listed["note"].unique().to_list() == [LONGER]
    told = dict(listed.select("metric", "value").rows())
    assert (told["found"], told["precision"], told["sensitivity"], told["lift"]) == (1, 0.25, 1, 1)


def test_a_list_that_finds_nobody_has_no_number_needed_and_says_why():
    table = measure_rankings(
        np.array([False, True]), {"model": np.array([2.0, 1.0])}, draws=0, capacities=["1"]
    )
    row = table.row(by_predicate=pl.col("metric") == "number_needed_to_evaluate", named=True)
    assert (row["value"], row["note"]) == (None, "The list holds nobody with the outcome.")


def test_lists_of_new_cases_hold_new_cases_only_and_shares_are_of_everybody():
    outcome = np.array([True, True, False, True, False, False, False, False, False, False])
    is_new = np.array([False, False, False, True, True, True, True, True, True, True])
    cases = Cases(
        outcome=outcome,
        rankings={"model": np.linspace(0.9, 0.0, 10)},
        bed_days=np.arange(10.0),
        is_new=is_new,
    )
    table = tabulate(cases, capacities=["20 %"], is_kept=is_new)
    told = dict(table.filter(pl.col("capacity").is_not_null()).select("metric", "value").rows())
    # Two places are 20 % of all ten; the two first of the new ones are the fourth and the fifth of all.
    assert table["persons"].drop_nulls().unique().to_list() == [2]
    assert (told["found"], told["precision"], told["sensitivity"]) == (1, 0.5, 1)
    assert told["lift"] == pytest.approx(0.5 / (1 / 7))
    assert (told["bed_days_captured"], told["bed_days_share"]) == (3 + 4, 7 / (3 + 4 + 5 + 6 + 7 + 8 + 9))
    assert table["population"].unique().to_list() == ["some"]


def test_what_is_not_given_is_not_counted_and_a_note_says_so():
    cases = Cases(outcome=np.array([True, False]), rankings={"model": np.array([0.2, 0.1])})
    table = tabulate(cases, capacities=["1"]).filter(pl.col("metric").str.contains("admissions|bed_days"))
    assert table["value"].null_count() == len(table) == 4
    assert table["note"].unique().to_list() == ["There were none, or they were not given."]


def test_every_list_of_every_ranking_is_told_in_full():
    cases = Cases(outcome=np.array([True, False]), rankings={"a": np.zeros(2), "b": np.ones(2)})
    told = tabulate(cases, capacities=["1", "50 %"]).filter(pl.col("capacity").is_not_null())
    expected = [(name, capacity, metric) for name in "ab" for capacity in ("1", "50 %") for metric in LISTED]
    assert told.select("ranking", "capacity", "metric").rows() == expected


# Intervals


@SELDOM
@given(st.integers(0, 5), st.integers(0, 10_000))
def test_an_interval_is_that_of_persons_drawn_again_and_again(seed, world):
    size, draws = 40, 12
    rng = np.random.default_rng(world)
    outcome = rng.permuted(np.arange(size) < 15)
    rankings = {"model": rng.integers(0, 6, size) / 6, "other": rng.integers(0, 3, size).astype(float)}
    cases = Cases(outcome=outcome, rankings=rankings, risks=("model",))
    table = tabulate(cases, capacities=["10"], draws=draws, seed=seed)
    told = {
        (ranking, metric): (low, high)
        for ranking, metric, low, high in table.select("ranking", "metric", "low", "high").rows()
    }
    expected: dict[tuple[str, str], list[float]] = {}
    for number in range(draws):
        taken = np.random.default_rng([seed, number]).integers(0, size, size, dtype=np.int32)
        had, model, other = outcome[taken], rankings["model"][taken], rankings["other"][taken]
        for metric, measure in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
            one, two = measure(had, model), measure(had, other)
            expected.setdefault(("model", metric), []).append(one)
            expected.setdefault(("other", metric), []).append(two)
            expected.setdefault(("other", f"{metric}_difference"), []).append(one - two)
        expected.setdefault(("model", "brier"), []).append(brier_score_loss(had, model))
        edge = np.sort(model)[-10]
        above, tied = model > edge, model == edge
        found = had[above].sum() + had[tied].mean() * (10 - above.sum())
        expected.setdefault(("model", "precision"), []).append(found / 10)
    assert len(expected) == 8
    for key, numbers in expected.items():
        assert told[key] == pytest.approx(tuple(np.percentile(numbers, [2.5, 97.5])), abs=1e-12), key


def test_the_same_seed_draws_the_same_and_another_seed_otherwise():
    rng = np.random.default_rng(0)
    outcome, rankings = rng.random(60) < 0.4, {"model": rng.random(60)}
    once, again, otherwise = (
        measure_rankings(outcome, rankings, draws=20, seed=seed, capacities=[5]) for seed in (1, 1, 2)
    )
    assert once.equals(again)
    drawn = ("low", "high", "note")  # whether enough draws have a number depends on them too
    assert once.drop(drawn).equals(otherwise.drop(drawn))
    assert not once.equals(otherwise)


def test_without_draws_there_is_no_interval_and_a_note_says_so():
    rankings = {"model": np.array([2.0, 1.0])}
    table = measure_rankings(np.array([True, False]), rankings, draws=0, capacities=[1])
    row = table.row(by_predicate=pl.col("metric") == "auroc", named=True)
    assert (row["value"], row["low"], row["high"]) == (1.0, None, None)
    assert row["note"] == "No interval: no draws were asked for."


def test_where_many_draws_have_no_number_there_is_no_interval_and_a_note_says_so():
    # One event among three persons: (2/3)^3 = 30 % of the draws have none.
    table = measure_rankings(
        np.array([True, False, False]), {"model": np.array([3.0, 2.0, 1.0])}, draws=200, capacities=[1]
    )
    row = table.row(by_predicate=pl.col("metric") == "average_precision", named=True)
    assert (row["value"], row["low"], row["high"]) == (1.0, None, None)
    assert row["note"] == "No interval: in more than a tenth of the draws the number cannot be computed."


@example([False, False], 1)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 9))
def test_every_missing_number_has_a_note(outcome, size):
    rankings = {"model": np.zeros(len(outcome)), "other": np.arange(len(outcome), dtype=float)}
    table = measure_rankings(np.array(outcome), rankings, draws=8, capacities=[size, "30 %"])
    numbers = pl.col("value", "low", "high")
    assert table.filter(pl.any_horizontal(numbers.is_null()) & pl.col("note").is_null()).is_empty()
    assert not table.select(pl.any_horizontal(numbers.is_nan()).any()).item()


def test_a_population_that_some_draws_miss_altogether_gives_no_warning():
    is_new = np.array([True, *[False] * 5])
    cases = Cases(outcome=np.ones(6, bool), rankings={"model": np.full(6, 0.5)}, risks=("model",))
    table = tabulate(cases, capacities=["2"], is_kept=is_new, draws=50)
    row = table.row(by_predicate=pl.col("metric") == "brier", named=True)
    assert (row["value"], row["low"]) == (0.25, None)  # (5/6)^6 = a third of the draws hold nobody


# What is refused


@pytest.mark.parametrize(
    ("label", "population", "places"),
    [
        ("50", 1000, 50),
        ("1 %", 1000, 10),
        ("0.5 %", 10_000, 50),
        ("2%", 150, 3),
        ("0.1 %", 100, 1),
        ("100 %", 7, 7),
        (200, 10, 200),
    ],
)
def test_a_capacity_is_persons_or_a_share_of_at_least_one(label, population, places):
    (capacity,) = read_capacities([label])
    assert capacity.count(population) == places


@pytest.mark.parametrize(
    "label", ["0", "-5", "2.5", "0 %", "101 %", "-1 %", "many", "", "%", "nan", "inf", "nan %", "inf %", 0.5]
)
def test_a_capacity_that_is_no_length_of_a_list_is_refused(label):
    with pytest.raises(ConfigError, match="Give persons, like '100', or a share"):
        read_capacities([label])


def test_a_capacity_named_twice_is_read_once():
    assert [one.label for one in read_capacities(["50", 50, "1 %", "50"])] == ["50", "1 %"]


def test_draws_are_not_negative():
    with pytest.raises(ConfigError, match="Give 0 or more"):
        measure_rankings(np.array([True]), {"model": np.array([1.0])}, draws=-1)


@pytest.mark.parametrize(
    ("outcome", "given", "error"),
    [
        ([], {"rankings": {"model": []}}, InputError),
        ([True], {"rankings": {}}, InputError),
        ([True], {"rankings": {"model": [0.1, 0.2]}}, InputError),
        ([True], {"rankings": {"model": [float("nan")]}}, InputError),
        ([True], {"rankings": {"model": [1.5]}, "risks": ("model",)}, InputError),
        ([True], {"rankings": {"model": [-0.1]}, "risks": ("model",)}, InputError),
        ([True], {"rankings": {"model": [0.5]}, "risks": ("other",)}, ConfigError),
        ([True], {"rankings": {"model": [0.5]}, "bed_days": np.ones(2)}, InputError),
        ([True], {"rankings": {"model": [0.5]}, "groups": pl.DataFrame({"sex": ["f", "m"]})}, InputError),
    ],
)
def test_cases_that_do_not_fit_together_are_refused(outcome, given, error):
    rankings = {name: np.array(values) for name, values in given.pop("rankings").items()}
    with pytest.raises(error):
        Cases(outcome=np.array(outcome, dtype=bool), rankings=rankings, **given)


def test_the_interval_of_no_share_is_no_number():
    low, high = compute_wilson(np.array([0.0]), np.array([0.0]))
    assert np.isnan([low, high]).all()
