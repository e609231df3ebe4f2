"""Calibration: ratios, lines and curves agree with scikit-learn, scipy and counting by hand."""

from math import exp, log

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from small_world import SELDOM
from somv_risk.metrics import (
    Cases,
    Resampling,
    compute_index,
    compute_tables,
    compute_wilson,
    fit_line,
    measure_index,
    measure_ratio,
    put_in_cells,
    put_together,
    tabulate_group_errors,
    tabulate_lines,
    tabulate_reliability,
)
from somv_risk.metrics.notes import MOVED, NO_SLOPE, TOO_FEW, TOO_FEW_FOR_CURVE

pytestmark = pytest.mark.filterwarnings("error")


def to_risk(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def simulate(seed: int, size: int = 300, level: float = 0.3, slope: float = 0.7):
    """Log-odds that are foretold, and outcomes that follow other ones."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1, 1.2, size)
    return log_odds, rng.random(size) < to_risk(level + slope * log_odds)


def build_cases(risk, outcome, groups: dict | None = None) -> Cases:
    return Cases(
        outcome=np.array(outcome, dtype=bool),
        rankings={"model": np.array(risk, dtype=float)},
        risks=("model",),
        groups=pl.DataFrame(groups or {}),
    )


def fill(risk_of: dict[float, tuple[int, int]]) -> Cases:
    """Cases with so many events of so many persons at each risk."""
    risk, outcome = [], []
    for one, (events, persons) in risk_of.items():
        risk += [one] * persons
        outcome += [True] * events + [False] * (persons - events)
    return build_cases(risk, outcome)


# Expected over observed


persons = st.tuples(st.integers(0, 10), st.booleans(), st.sampled_from("ab"), st.integers(0, 3))


@given(st.lists(persons, min_size=1))
def test_expected_over_observed_is_the_sum_of_risks_over_the_number_of_events(rows):
    tenths, outcome, towns, _ = zip(*rows, strict=True)
    cases = build_cases(np.array(tenths) / 10, outcome, {"town": towns})
    measure = measure_ratio(cases, put_in_cells(cases))
    told = measure.compute(np.array([float(weight) for *_, weight in rows]))
    assert len(told) == 1 + len(set(towns))
    for (grouping, group), number in zip(measure.keys.select("grouping", "group").rows(), told, strict=True):
        inside = [row for row in rows if grouping == "all" or row[2] == group]
        expected = sum(r / 10 * weight for r, _, _, weight in inside)
        observed = sum(weight for _, y, _, weight in inside if y)
        assert np.isnan(number) if not observed else number == pytest.approx(expected / observed)


def test_a_group_is_counted_beside_its_ratio():
    cases = build_cases([0.2, 0.4, 0.6, 0.8], [False, True, True, False], {"town": ["a", "a", "b", "b"]})
    measures = {"ratio": measure_ratio(cases, put_in_cells(cases))}
    table = compute_tables(measures, len(cases), Resampling(0))["ratio"]
    rows = table.select("grouping", "group", "rows", "events", "value").rows()
    assert rows == [
        ("all", "all", 4, 2, pytest.approx(1.0)),
        ("town", "a", 2, 1, pytest.approx(0.6)),
        ("town", "b", 2, 1, pytest.approx(1.4)),
    ]


# Intercept and slope


def compute_likelihood(log_odds, outcome, level, slope) -> float:
    linear = level + slope * log_odds
    return float(np.sum(outcome * linear - np.logaddexp(0, linear)))


def compute_standard_errors(log_odds, outcome, level, slope) -> tuple[float, float]:
    """From second differences of the log-likelihood: of the level alone, of the slope beside the level."""
    step = 1e-3

    def at(up, tilt):
        return compute_likelihood(log_odds, outcome, level + up * step, slope + tilt * step)

    up_up = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / step**2
    tilt_tilt = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / step**2
    up_tilt = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * step**2)
    covariance = np.linalg.inv(-np.array([[up_up, up_tilt], [up_tilt, tilt_tilt]]))
    return (-1 / up_up) ** 0.5, covariance[1, 1] ** 0.5


@SELDOM
@given(st.integers(0, 10_000), st.floats(-1, 1), st.floats(0.2, 2))
def test_the_slope_is_that_of_scikit_learn_and_its_error_that_of_the_likelihood(seed, level, tilt):
    log_odds, outcome = simulate(seed, level=level, slope=tilt)
    line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(log_odds[:, None], outcome)
    found = fit_line(log_odds, outcome)
    assert found.value == pytest.approx(line.coef_[0, 0], abs=1e-4)
    _, error = compute_standard_errors(log_odds, outcome, line.intercept_[0], line.coef_[0, 0])
    assert found.standard_error == pytest.approx(error, rel=1e-3)


@SELDOM
@given(st.integers(0, 10_000), st.floats(-1, 1), st.floats(0.2, 2))
def test_the_intercept_makes_the_risks_add_up_to_the_events(seed, level, tilt):
    log_odds, outcome = simulate(seed, level=level, slope=tilt)
    root = brentq(lambda up: to_risk(up + log_odds).sum() - outcome.sum(), -20, 20, xtol=1e-12)
    found = fit_line(log_odds, outcome, slope=1.0)
    assert found.value == pytest.approx(root, abs=1e-8)
    error, _ = compute_standard_errors(log_odds, outcome, root, 1.0)
    assert found.standard_error == pytest.approx(error, rel=1e-3)


def test_two_risks_have_a_line_that_can_be_worked_out_by_hand():
    # At risk 0.2 (log-odds -log 4) a third had the outcome (log-odds -log 2), at risk 0.8 two thirds. So the
    # slope is one half, and by symmetry the intercept is 0.
    table = tabulate_lines(cases := fill({0.2: (20, 60), 0.8: (40, 60)}), put_in_cells(cases))
    told = {row["metric"]: row for row in table.iter_rows(named=True)}
    assert told["slope"]["value"] == pytest.approx(0.5)
    assert told["intercept"]["value"] == pytest.approx(0.0, abs=1e-9)
    # The variance of a log-odds of k of n is n / (k (n - k)); the slope is their difference over 2 log 4.
    error = (2 * 60 / (20 * 40)) ** 0.5 / (2 * log(4))
    assert told["slope"]["low"] == pytest.approx(0.5 - 1.959964 * error, abs=1e-6)
    assert told["slope"]["high"] == pytest.approx(0.5 + 1.959964 * error, abs=1e-6)
    # With the risks as they are, each person tells 0.2 * 0.8 of the level.
    reach = 1.959964 / (120 * 0.16) ** 0.5
    assert (told["intercept"]["low"], told["intercept"]["high"]) == pytest.approx((-reach, reach), abs=1e-6)
    assert (told["slope"]["rows"], told["slope"]["events"], told["slope"]["note"]) == (120, 60, None)


def test_each_group_has_its_own_line():
    one, other = simulate(1), simulate(2, level=-0.5, slope=1.5)
    cases = build_cases(
        to_risk(np.concatenate([one[0], other[0]])),
        np.concatenate([one[1], other[1]]),
        {"town": ["a"] * 300 + ["b"] * 300},
    )
    table = tabulate_lines(cases, put_in_cells(cases)).filter(pl.col("metric") == "slope")
    told = dict(table.select("group", "value").rows())
    for name, (log_odds, outcome) in {"a": one, "b": other}.items():
        line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(log_odds[:, None], outcome)
        assert told[name] == pytest.approx(line.coef_[0, 0], abs=1e-4)


# The curve


def bend_by_hand(value: float, knots: list[float]) -> list[float]:
    """Harrell's restricted cubic spline, term by term as the book writes it, without the constant."""

    def cube(number):
        return number**3 if number > 0 else 0.0

    last, before, scale = knots[-1], knots[-2], (knots[-1] - knots[0]) ** 2
    terms = [value]
    for knot in knots[:-2]:
        term = cube(value - knot)
        term -= cube(value - before) * (last - knot) / (last - before)
        term += cube(value - last) * (before - knot) / (last - before)
        terms.append(term / scale)
    return terms


def compute_index_by_hand(log_odds, outcome, weights) -> float:
    """Integrated calibration index from scikit-learn's fit of the spline, one point per case."""
    knots = [float(np.quantile(log_odds, share)) for share in (0.05, 0.275, 0.5, 0.725, 0.95)]
    basis = np.array([bend_by_hand(float(value), knots) for value in log_odds])
    curve = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
    smooth = curve.fit(basis, outcome, sample_weight=weights).predict_proba(basis)[:, 1]
    distances = [abs(a - b) * weight for a, b, weight in zip(smooth, to_risk(log_odds), weights, strict=True)]
    return sum(distances) / sum(weights)


@SELDOM
@given(st.integers(0, 10_000), st.floats(-1, 1), st.floats(0.2, 2), st.booleans())
def test_the_calibration_index_is_that_of_a_spline_fitted_by_scikit_learn(seed, level, tilt, is_weighted):
    log_odds, outcome = simulate(seed, level=level, slope=tilt)
    weights = np.ones(300)
    if is_weighted:
        weights = np.bincount(np.random.default_rng(seed).integers(0, 300, 300), minlength=300).astype(float)
    found = compute_index(put_together(log_odds), outcome, weights)
    assert found == pytest.approx(compute_index_by_hand(log_odds, outcome, weights), abs=1e-5)


def test_many_cases_are_put_together_to_points_that_change_little():
    log_odds, outcome = simulate(5, size=8_000, level=0.6)
    points = put_together(log_odds)
    assert len(points.mean) == 1_000
    found = compute_index(points, outcome, np.ones(8_000))
    assert found == pytest.approx(compute_index_by_hand(log_odds, outcome, np.ones(8_000)), abs=1e-4)


def test_risks_that_are_right_have_a_small_index_and_doubled_ones_a_large_one():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.45, 20_000)
    outcome = rng.random(20_000) < truth
    right, doubled = (
        compute_tables({"index": measure_index(build_cases(risk, outcome))}, 20_000, Resampling(3))["index"]
        for risk in (truth, 2 * truth)
    )
    assert right["value"].item() < 0.01
    assert doubled["value"].item() == pytest.approx(truth.mean(), abs=0.01)
    assert doubled["low"].item() <= doubled["value"].item() <= doubled["high"].item() + 0.01


def test_the_index_of_a_group_is_that_of_its_cases_alone():
    log_odds, outcome = simulate(3)
    twice = build_cases(
        to_risk(np.concatenate([log_odds, log_odds])),
        np.concatenate([outcome, ~outcome]),
        {"town": ["a"] * 300 + ["b"] * 300},
    )
    table = tabulate_group_errors(twice, put_in_cells(twice))
    told = dict(table.select("group", "value").rows())
    for name, had in {"a": outcome, "b": ~outcome}.items():
        assert told[name] == pytest.approx(compute_index_by_hand(log_odds, had, np.ones(300)), abs=1e-5)
    assert table["note"].unique().to_list() == ["No interval: it is drawn for everybody only."]


# Bins


def test_reliability_is_counted_bin_by_bin():
    # Forty persons of one group in twenty bins of two; the third bin has one event, the last two.
    risk = np.arange(40) / 100
    outcome = np.isin(np.arange(40), [4, 38, 39])
    order = np.random.default_rng(1).permutation(40)
    cases = build_cases(risk[order], outcome[order])
    table = tabulate_reliability(cases, put_in_cells(cases))
    assert table["bin"].to_list() == list(range(1, 21))
    assert table["rows"].to_list() == [2] * 20
    assert table["mean_risk"].to_list() == pytest.approx([0.005 + 0.02 * place for place in range(20)])
    assert table["events"].to_list() == [0, 0, 1, *[0] * 16, 2]
    assert table["observed"].to_list() == [0, 0, 0.5, *[0] * 16, 1]
    for row in table.iter_rows(named=True):
        interval = binomtest(row["events"], 2).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_fewer_cases_than_bins_have_a_bin_each():
    cases = build_cases([0.3, 0.1, 0.2], [True, False, False])
    table = tabulate_reliability(cases, put_in_cells(cases))
    assert table.select("bin", "rows", "mean_risk", "observed").rows() == [
        (1, 1, 0.1, 0.0),
        (2, 1, 0.2, 0.0),
        (3, 1, 0.3, 1.0),
    ]


def test_groups_have_five_bins_of_which_small_ones_tell_nothing():
    # Group a: five bins of twenty, with 2, 5, 6, 10 and 15 events; the first is small, and hides the second.
    events = (2, 5, 6, 10, 15)
    outcome = np.concatenate([np.arange(20) < number for number in events] * 2)
    risk = np.tile(np.arange(100) / 200, 2)
    cases = build_cases(risk, outcome, {"town": ["a"] * 100 + ["b"] * 100})
    table = tabulate_reliability(cases, put_in_cells(cases)).filter(pl.col("group") == "a")
    assert table["bin"].to_list() == [1, 2, 3, 4, 5]
    assert table["events"].to_list() == [None, None, 6, 10, 15]
    assert table["observed"].to_list() == [None, None, 0.3, 0.5, 0.75]
    assert [note is None for note in table["note"]] == [False, False, True, True, True]


def test_no_bin_is_told_of_a_group_whose_events_are_hidden():
    # Group a has 4 events; b, the next smallest, is hidden with it, and its bins would add up to its events.
    sizes = {"a": 4, "b": 30, "c": 50}
    outcome = np.concatenate([np.arange(100) % 100 < number for number in sizes.values()])
    risk = np.tile(np.random.default_rng(0).permutation(100) / 200, 3)
    cases = build_cases(risk, outcome, {"town": [name for name in sizes for _ in range(100)]})
    table = tabulate_reliability(cases, put_in_cells(cases)).filter(pl.col("grouping") == "town")
    told = table.filter(pl.col("rows").is_not_null() | pl.col("events").is_not_null())
    assert told["group"].unique().to_list() == ["c"]
    assert table.filter(pl.col("group") == "b")["mean_risk"].null_count() == 5


@given(st.integers(0, 60), st.integers(1, 60))
def test_the_interval_of_a_share_is_that_of_wilson(events, more):
    total = events + more - 1 or 1
    low, high = compute_wilson(np.array([float(events)]), np.array([float(max(total, events))]))
    interval = binomtest(events, max(total, events)).proportion_ci(method="wilson")
    assert (low.item(), high.item()) == pytest.approx((interval.low, interval.high), abs=1e-9)


# Where nothing can be said

ODD = {
    "no events": fill({0.1: (0, 40), 0.3: (0, 40)}),
    "nothing but events": fill({0.1: (40, 40), 0.3: (40, 40)}),
    "nine events": fill({0.1: (4, 40), 0.3: (5, 40)}),
    "all risks equal": fill({0.1: (30, 80)}),
    "all risks a third": fill({1 / 3: (30, 80)}),
    "all risks 0": fill({0.0: (30, 80)}),
    "all risks 1": fill({1.0: (30, 80)}),
    "set wholly apart": build_cases(np.arange(80) / 100, np.arange(80) >= 40),
    "set apart the wrong way": build_cases(np.arange(80) / 100, np.arange(80) < 40),
    "set apart by 0 and 1": fill({0.0: (0, 40), 1.0: (40, 40)}),
    "nobody at the higher risk": build_cases(
        np.repeat([0.1, 0.5, 0.1], (12, 12, 12)), np.repeat([True, False, False], (12, 12, 12))
    ),
    "nobody of some at the higher risk": build_cases(
        np.repeat([0.1, 0.5, 0.1], (20, 12, 20)), np.repeat([True, False, False], (20, 12, 20))
    ),
    "set apart at one end": fill({0.1: (0, 40), 0.5: (20, 40)}),
    "set apart at the other end": fill({0.1: (30, 80), 0.5: (40, 40), 0.9: (60, 60)}),
    "two risks": fill({0.0: (20, 40), 1.0: (25, 40)}),
    "one person": fill({0.5: (1, 1)}),
}


def tabulate_all(cases: Cases) -> pl.DataFrame:
    cells = put_in_cells(cases)
    lines = tabulate_lines(cases, cells)
    measures = {"ratio": measure_ratio(cases, cells), "index": measure_index(cases)}
    drawn = compute_tables(measures, len(cases), Resampling(12))
    parts = [lines, tabulate_group_errors(cases, cells), *drawn.values()]
    return pl.concat([part.select(lines.columns) for part in parts])


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_said_is_null_with_a_note_and_never_nan(name):
    table = tabulate_all(ODD[name])
    numbers = pl.col("value", "low", "high")
    assert not table.select(pl.any_horizontal(numbers.is_nan() | numbers.is_infinite()).any()).item()
    assert table.filter(pl.any_horizontal(numbers.is_null()) & pl.col("note").is_null()).is_empty()
    reliability = tabulate_reliability(ODD[name], put_in_cells(ODD[name]))
    assert not reliability.select(pl.col("observed", "low", "high").is_nan().any()).row(0).count(True)


@pytest.mark.parametrize(
    ("name", "metric", "note"),
    [
        ("no events", "expected_over_observed", "No case has the outcome."),
        ("no events", "slope", TOO_FEW),
        ("nine events", "intercept", TOO_FEW),
        ("nine events", "ici", TOO_FEW_FOR_CURVE),
        ("nothing but events", "slope", TOO_FEW),
        ("all risks equal", "slope", NO_SLOPE),
        ("all risks a third", "slope", NO_SLOPE),
        ("all risks 0", "slope", NO_SLOPE),
        ("all risks 1", "slope", NO_SLOPE),
        ("all risks equal", "ici", TOO_FEW_FOR_CURVE),
        ("set wholly apart", "slope", NO_SLOPE),
        ("set wholly apart", "ici", TOO_FEW_FOR_CURVE),
        ("set apart the wrong way", "slope", NO_SLOPE),
        ("set apart by 0 and 1", "slope", NO_SLOPE),
        ("nobody at the higher risk", "slope", NO_SLOPE),
        ("nobody of some at the higher risk", "slope", NO_SLOPE),
        ("set apart at one end", "slope", NO_SLOPE),
        ("set apart at the other end", "slope", NO_SLOPE),
        ("two risks", "ici", TOO_FEW_FOR_CURVE),
    ],
)
def test_each_missing_number_is_told_why(name, metric, note):
    row = tabulate_all(ODD[name]).row(by_predicate=pl.col("metric") == metric, named=True)
    assert (row["value"], row["note"]) == (None, note)


@given(st.floats(0.001, 0.999), st.integers(20, 60))
def test_equal_risks_have_an_intercept_and_no_slope(risk, events):
    table = tabulate_all(fill({risk: (events, 80)}))
    told = {metric: (value, note) for metric, value, note in table.select("metric", "value", "note").rows()}
    expected = log(events / (80 - events)) - log(risk / (1 - risk))
    assert told["intercept"] == (pytest.approx(expected, abs=1e-7), None)
    assert told["slope"] == (None, NO_SLOPE)
    assert exp(log(told["expected_over_observed"][0])) == pytest.approx(80 * risk / events)


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_risks_of_0_and_1_are_told_of_beside_what_they_move(extreme):
    cases = fill({extreme: (20, 40), 0.5: (20, 40), 0.6: (25, 40)})
    table = tabulate_lines(cases, put_in_cells(cases))
    assert table["value"].is_not_null().all()
    assert table["note"].to_list() == [MOVED, MOVED]
    near = fill({abs(extreme - 1e-6): (20, 40), 0.5: (20, 40), 0.6: (25, 40)})
    assert tabulate_lines(near, put_in_cells(near))["note"].to_list() == [None, None]


def test_far_too_low_risks_still_have_their_intercept():
    table = tabulate_all(fill({1e-6: (20, 60), 2e-6: (30, 60)}))
    row = table.row(by_predicate=pl.col("metric") == "intercept", named=True)
    root = brentq(
        lambda up: 60 * to_risk(up + log(1e-6)) + 60 * to_risk(up + log(2e-6)) - 50, 0, 40, xtol=1e-12
    )
    assert row["value"] == pytest.approx(root, abs=1e-3)
