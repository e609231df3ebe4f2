"""Calibration: three curves that keep the order of the scores, and a choice among them made on data."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from somv_risk.errors import CohortError
from somv_risk.model.calibration import Calibration, compute_log_losses, fit_calibration, read_calibration
from somv_risk.model.calibration_curves import (
    FITS,
    Beta,
    Isotonic,
    Platt,
    fit_beta,
    fit_isotonic,
    fit_logistic_line,
    fit_platt,
)

ROWS = 20_000


def squash(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def on_a_line(raw):
    return squash(0.3 + 1.2 * raw)


def bent(raw):
    """A beta curve with a = 2.5, b = 0.2."""
    p = squash(raw)
    return squash(2.5 * np.log(p) - 0.2 * np.log(1 - p) + 2)


def stepped(raw):
    return np.select([raw < -2, raw < 0, raw < 2], [0.02, 0.3, 0.4], default=0.95)


def draw(risk_of, rows=ROWS, seed=1):
    rng = np.random.default_rng(seed)
    raw = rng.normal(-0.5, 1.8, rows)
    return raw, rng.random(rows) < risk_of(raw)


# --- The curves by hand


def test_platt_is_the_logistic_line():
    risk = Platt(intercept=-1.0, slope=0.5).predict_risk(np.array([-2.0, 2.0, 10.0]))
    expected = [1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-4))]
    np.testing.assert_allclose(risk, expected, rtol=1e-15)


def test_beta_is_the_formula_of_its_paper():
    # Kull 2017: 1 / (1 + 1 / (e^c * p^a / (1 - p)^b)); raw 0 is p = 1/2, raw log 3 is p = 3/4.
    a, b, c = 2.0, 0.5, 0.25
    risk = Beta(a=a, b=b, intercept=c).predict_risk(np.array([0.0, math.log(3)]))
    expected = [1 / (1 + 1 / (math.exp(c) * p**a / (1 - p) ** b)) for p in (0.5, 0.75)]
    np.testing.assert_allclose(risk, expected, rtol=1e-14)


def test_beta_with_equal_weights_is_a_logistic_line():
    raw = np.linspace(-8, 8, 50)
    line = Platt(intercept=0.4, slope=1.3).predict_risk(raw)
    np.testing.assert_allclose(Beta(a=1.3, b=1.3, intercept=0.4).predict_risk(raw), line, rtol=1e-12)


def test_isotonic_draws_lines_between_its_points_and_is_flat_beyond_them():
    steps = Isotonic(raw=(-1.0, 1.0, 2.0), risk=(0.1, 0.1, 0.5))
    risk = steps.predict_risk(np.array([-50.0, -1.0, 0.0, 1.5, 2.0, 50.0]))
    np.testing.assert_allclose(risk, [0.1, 0.1, 0.1, 0.3, 0.5, 0.5], rtol=1e-15)


def test_isotonic_pools_what_falls():
    # Rates by raw score: 0, then 1 before 0 (pooled to 1/2), then 1.
    steps = fit_isotonic(np.array([0.0, 1, 2, 3]), np.array([False, True, False, True]))
    least = 0.5 / 5
    assert steps == Isotonic(raw=(0.0, 1.0, 2.0, 3.0), risk=(least, 0.5, 0.5, 1 - least))


def test_the_log_loss_by_hand():
    losses = compute_log_losses(np.array([True, False, True]), np.array([0.25, 0.25, 0.0]))
    np.testing.assert_allclose(losses, [math.log(4), math.log(4 / 3), math.log(1e15)])


# --- The fits against others


class Scores(ClassifierMixin, BaseEstimator):
    """What scikit-learn takes for a fitted classifier: one column, which is the score."""

    def fit(self, *_):
        self.classes_ = np.array([False, True])
        return self

    def decision_function(self, column):
        return column[:, 0]

    def predict(self, column):
        return column[:, 0] > 0


@pytest.mark.parametrize("risk_of", [on_a_line, bent, stepped])
def test_platt_is_scikit_learns_but_for_its_pretended_counts(risk_of):
    raw, outcome = draw(risk_of)
    line = LogisticRegression(C=np.inf, tol=1e-10).fit(raw[:, None], outcome)
    fitted = fit_platt(raw, outcome)
    assert fitted.slope == pytest.approx(line.coef_[0, 0], rel=1e-4)
    assert fitted.intercept == pytest.approx(line.intercept_[0], abs=1e-4)
    # Platt pretends one event and one non-event more, which hardly moves 20,000 rows.
    theirs = CalibratedClassifierCV(FrozenEstimator(Scores().fit()), method="sigmoid", ensemble=False)
    expected = theirs.fit(raw[:, None], outcome).predict_proba(raw[:, None])[:, 1]
    np.testing.assert_allclose(fitted.predict_risk(raw), expected, atol=2e-3)


@pytest.mark.parametrize("risk_of", [on_a_line, bent, stepped])
def test_isotonic_is_scikit_learns_within_0_and_1(risk_of):
    raw, outcome = draw(risk_of)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(raw, outcome)
    asked = np.append(raw, [-20, 20])
    least = 0.5 / (ROWS + 1)
    expected = np.clip(theirs.predict(asked), least, 1 - least)
    np.testing.assert_allclose(fit_isotonic(raw, outcome).predict_risk(asked), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("risk_of", [on_a_line, bent])
def test_beta_has_the_least_loss_that_its_weights_can_have(risk_of):
    raw, outcome = draw(risk_of, rows=3_000)

    def loss(weights):
        a, b, c = weights
        p = squash(raw)
        risk = squash(c + a * np.log(p) - b * np.log(1 - p))
        return -np.log(np.where(outcome, risk, 1 - risk)).mean()

    best = minimize(loss, [1, 1, 0], bounds=[(0, None), (0, None), (None, None)], tol=1e-12)
    fitted = fit_beta(raw, outcome)
    assert loss([fitted.a, fitted.b, fitted.intercept]) == pytest.approx(best.fun, abs=1e-8)
    np.testing.assert_allclose([fitted.a, fitted.b, fitted.intercept], best.x, atol=5e-3)


@pytest.mark.parametrize(("sign", "zero", "other"), [(1, "a", "b"), (-1, "b", "a")])
def test_a_weight_of_beta_that_would_be_negative_is_0(sign, zero, other):
    # The log-odds bend more than one weight alone can bend them: upwards, or (turned round) downwards.
    rng = np.random.default_rng(2)
    raw = rng.normal(0, 1.5, ROWS)
    outcome = rng.random(ROWS) < squash(sign * (np.exp(sign * raw / 1.5) - 3))
    fitted = fit_beta(raw, outcome)
    assert getattr(fitted, zero) == 0
    assert getattr(fitted, other) > 0
    p = squash(raw)
    column = {"a": np.log(p), "b": -np.log(1 - p)}[other][:, None]
    alone = LogisticRegression(C=np.inf, tol=1e-10).fit(column, outcome)
    assert getattr(fitted, other) == pytest.approx(alone.coef_[0, 0], rel=1e-3)
    assert fitted.intercept == pytest.approx(alone.intercept_[0], abs=1e-3)


def test_platt_meets_the_rates_it_has_seen():
    # 2 of 10 at raw score 0, 5 of 10 at raw score 1: log-odds of -log 4 and 0.
    raw = np.repeat([0.0, 1.0], 10)
    line = fit_platt(raw, np.tile(np.arange(10), 2) < np.repeat([2, 5], 10))
    assert line.intercept == pytest.approx(-math.log(4), abs=1e-4)
    assert line.slope == pytest.approx(math.log(4), abs=1e-4)


@pytest.mark.parametrize("kind", FITS)
def test_as_many_are_expected_as_were_observed(kind):
    raw, outcome = draw(bent)
    expected = FITS[kind](raw, outcome).predict_risk(raw).sum()
    assert expected == pytest.approx(outcome.sum(), rel=1e-3)


# --- Laws of every curve

SCORES = st.lists(st.floats(-30, 30), min_size=1, max_size=30)


@pytest.mark.parametrize("kind", FITS)
@given(scores=SCORES)
def test_no_curve_changes_who_ranks_before_whom(kind, scores):
    risk = CURVES_FITTED[kind].predict_risk(np.sort(np.array(scores)))
    assert (np.diff(risk) >= 0).all()


@pytest.mark.parametrize("kind", ["platt", "beta"])
def test_lines_and_beta_curves_tie_nobody_who_differs(kind):
    raw = np.linspace(-8, 8, 1001)
    assert (np.diff(CURVES_FITTED[kind].predict_risk(raw)) > 0).all()


@pytest.mark.parametrize("kind", FITS)
def test_no_risk_is_0_or_1(kind):
    risk = CURVES_FITTED[kind].predict_risk(np.array([-25.0, 25.0]))
    assert 0 < risk[0] < risk[1] < 1


def test_isotonic_is_never_sure_even_where_nobody_or_everybody_had_the_outcome():
    raw = np.arange(-100.0, 100.0)
    risk = fit_isotonic(raw, raw > 0).predict_risk(np.array([-1e6, -100.0, 99.0, 1e6]))
    assert risk.tolist() == pytest.approx([0.5 / 201, 0.5 / 201, 200.5 / 201, 200.5 / 201])


@pytest.mark.parametrize("kind", FITS)
def test_one_row_and_a_million_have_the_same_bits(kind):
    raw = np.random.default_rng(3).normal(-3, 3, 1_000_000)
    calibration = Calibration(CURVES_FITTED[kind])
    together = calibration.predict_risk(raw)
    for place in (*range(0, 1_000_000, 9_973), 999_999):
        assert calibration.predict_risk(raw[place : place + 1])[0] == together[place]
    assert np.array_equal(calibration.predict_risk(raw[::3]), together[::3])


CURVES_FITTED = {kind: fit(*draw(bent, rows=2_000)) for kind, fit in FITS.items()}


# --- The choice


@pytest.mark.parametrize(("risk_of", "kind"), [(on_a_line, "platt"), (bent, "beta"), (stepped, "isotonic")])
def test_each_kind_is_chosen_on_data_made_for_it(risk_of, kind):
    raw, outcome = draw(risk_of)
    chosen = fit_calibration(raw, outcome)
    assert chosen.kind == kind
    assert chosen.curve == FITS[kind](raw, outcome)


def test_the_losses_of_all_kinds_are_those_of_rows_that_did_not_fit_them():
    raw, outcome = draw(stepped)
    losses = fit_calibration(raw, outcome).losses
    assert list(losses) == ["platt", "beta", "isotonic"]
    fresh_raw, fresh = draw(stepped, seed=2)
    for kind, loss in losses.items():
        again = compute_log_losses(fresh, FITS[kind](raw, outcome).predict_risk(fresh_raw)).mean()
        assert loss == pytest.approx(again, abs=0.015)


def test_few_rows_do_not_get_more_than_a_line():
    kinds = [fit_calibration(*draw(on_a_line, rows=400, seed=seed)).kind for seed in range(10)]
    assert kinds.count("platt") >= 9


def test_a_person_in_several_rows_is_never_on_both_sides(monkeypatch):
    raw, outcome = draw(on_a_line, rows=600)
    persons = np.array([f"person-{number}" for number in np.arange(600) % 200])
    held = []

    def fit(raw_left, outcome_left):
        held.append(set(raw) - set(raw_left))
        return fit_platt(raw_left, outcome_left)

    monkeypatch.setattr("somv_risk.model.calibration.FITS", {"platt": fit})
    fit_calibration(raw, outcome, persons)
    *folds, whole = held
    of = dict(zip(raw.tolist(), persons, strict=True))
    people = [{of[score] for score in fold} for fold in folds]
    assert [len(group) for group in people] == [40] * 5
    assert len(set.union(*people)) == 200
    assert whole == set()


def test_repeated_rows_of_the_same_persons_do_not_count_as_proof():
    """Ten copies of each person prove no more than one: the same kind is chosen."""
    for seed in range(5):
        raw, outcome = draw(on_a_line, rows=1_000, seed=seed)
        persons = np.arange(1_000)
        copied = fit_calibration(np.tile(raw, 10), np.tile(outcome, 10), np.tile(persons, 10))
        assert copied.kind == fit_calibration(raw, outcome, persons).kind == "platt"


def test_the_order_of_rows_does_not_matter():
    raw, outcome = draw(stepped, rows=3_000)
    persons = np.array([f"person-{number}" for number in np.arange(3_000) % 1_000])
    order = np.random.default_rng(4).permutation(3_000)
    one, other = (
        fit_calibration(raw[rows], outcome[rows], persons[rows]) for rows in (np.arange(3_000), order)
    )
    assert one.kind == other.kind == "isotonic"
    np.testing.assert_allclose(one.curve.risk, other.curve.risk, rtol=1e-12)


def test_the_number_of_threads_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    raw = rng.normal(-4, 1, 200_000)
    outcome = rng.random(len(raw)) < 1 / (1 + np.exp(-raw))
    columns = np.column_stack([raw, rng.normal(size=(len(raw), 5))])
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append((fit_calibration(raw, outcome).describe(), fit_logistic_line(columns, outcome)))
    assert found[0] == found[1]


def test_with_a_single_event_a_line_is_all_there_is():
    raw = np.arange(20.0) % 7
    chosen = fit_calibration(raw, np.arange(20) == 6)
    assert chosen.kind == "platt"
    assert chosen.losses == {"platt": None, "beta": None, "isotonic": None}


# --- Refused


@pytest.mark.parametrize("outcome", [[True, True, False, False], [True] * 4, [False] * 4])
def test_raw_scores_that_do_not_rise_with_the_outcome_cannot_be_calibrated(outcome):
    with pytest.raises(CohortError):
        fit_calibration(np.arange(4.0), np.array(outcome))


@pytest.mark.parametrize("kind", FITS)
@pytest.mark.parametrize("outcome", [[True] * 6, [False] * 6])
def test_a_curve_needs_rows_with_and_without_the_outcome(kind, outcome):
    with pytest.raises(CohortError, match="with and without the outcome"):
        FITS[kind](np.arange(6.0), np.array(outcome))


@pytest.mark.parametrize("kind", FITS)
def test_a_curve_that_would_not_rise_is_refused(kind):
    raw, outcome = draw(lambda raw: squash(-3 * raw), rows=500)
    with pytest.raises(CohortError, match="do not rise with the outcome"):
        FITS[kind](raw, outcome)


@pytest.mark.parametrize(
    ("curve", "values"),
    [
        (Platt, (0.0, 0.0)),
        (Platt, (float("nan"), 1.0)),
        (Beta, (-0.1, 1.0, 0.0)),
        (Beta, (0.0, 0.0, 0.0)),
        (Beta, (1.0, float("inf"), 0.0)),
        (Isotonic, ((0.0,), (0.5,))),
        (Isotonic, ((0.0, 1.0), (0.5, 0.5))),
        (Isotonic, ((0.0, 1.0), (0.5, 0.4))),
        (Isotonic, ((1.0, 0.0), (0.4, 0.5))),
        (Isotonic, ((0.0, 1.0), (0.0, 0.5))),
        (Isotonic, ((0.0, 1.0), (0.5, 1.0))),
        (Isotonic, ((0.0, 1.0, 2.0), (0.5, 0.6))),
    ],
)
def test_a_curve_that_exists_rises_within_0_and_1(curve, values):
    with pytest.raises(CohortError):
        curve(*values)


# --- Stored


@pytest.mark.parametrize("kind", FITS)
def test_a_calibration_comes_back_from_plain_data_as_it_was(kind):
    raw, outcome = draw(bent, rows=2_000)
    calibration = Calibration(FITS[kind](raw, outcome), {"platt": 0.5, "beta": None, "isotonic": 0.25})
    again = read_calibration(json.loads(json.dumps(calibration.describe())))
    assert again == calibration
    assert np.array_equal(again.predict_risk(raw), calibration.predict_risk(raw))
