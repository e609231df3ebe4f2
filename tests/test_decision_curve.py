"""Decision curve: net benefit as a loop over persons and the formula have it."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somv_risk.metrics import THRESHOLDS, Cases, Resampling, compute_tables, measure_net_benefit

pytestmark = pytest.mark.filterwarnings("error")

# Risks that lie on a threshold, just beside one, and between two.
RISKS = (0.0, 0.005, 0.0049, 0.1, 0.1 - 1e-12, 0.1 + 1e-12, 0.22, 0.4, 0.7, 1.0)


def compute_net_benefit(rows: list[tuple[bool, bool, float]], threshold: float) -> float:
    """Over persons that are acted on or not, had the outcome or not, and weigh so much."""
    net = 0.0
    for is_acted_on, had_it, weight in rows:
        if is_acted_on:
            net += weight if had_it else -weight * threshold / (1 - threshold)
    return net / sum(weight for *_, weight in rows)


@st.composite
def rows_of_persons(draw: st.DrawFn):
    person = st.tuples(st.booleans(), st.sampled_from(RISKS), st.booleans(), st.integers(0, 3))
    return draw(st.lists(person, min_size=1, max_size=12).filter(lambda rows: any(row[3] for row in rows)))


@given(rows_of_persons())
def test_net_benefit_is_what_a_loop_over_persons_finds(persons):
    outcome = np.array([had for had, *_ in persons])
    weights = np.array([float(weight) for *_, weight in persons])
    cases = Cases(
        outcome=outcome,
        rankings={"model": np.array([risk for _, risk, *_ in persons]), "count": np.ones(len(persons))},
        risks=("model",),
        rules={"rule": np.array([chosen for _, _, chosen, _ in persons])},
    )
    measure = measure_net_benefit(cases)
    told = zip(measure.keys.rows(), measure.compute(weights), strict=True)
    strategies = []
    for (strategy, threshold), number in told:
        strategies.append(strategy)
        acts = {
            "model": lambda risk, _, threshold=threshold: risk >= threshold,
            "rule": lambda _, chosen: chosen,
            "treat_all": lambda *_: True,
            "treat_none": lambda *_: False,
        }[strategy]
        rows = [(acts(risk, chosen), had, float(weight)) for had, risk, chosen, weight in persons]
        assert number == pytest.approx(compute_net_benefit(rows, threshold), abs=1e-12)
    assert strategies == [
        name for name in ("model", "rule", "treat_all", "treat_none") for _ in range(len(THRESHOLDS))
    ]


@pytest.mark.parametrize(("threshold", "expected"), [(0.1, 0.25 - 0.75 / 9), (0.2, 0.25 - 0.75 / 4)])
def test_acting_on_everybody_is_worth_the_share_with_the_outcome_less_the_odds_times_the_others(
    threshold, expected
):
    cases = Cases(outcome=np.array([True, False, False, False]), rankings={"model": np.zeros(4)})
    table = compute_tables({"curve": measure_net_benefit(cases)}, 4, Resampling(0))["curve"]
    row = table.row(
        by_predicate=(pl.col("strategy") == "treat_all") & (pl.col("threshold") == threshold), named=True
    )
    assert row["value"] == pytest.approx(expected)


def test_intervals_of_the_curve_come_from_persons_drawn_again():
    rng = np.random.default_rng(0)
    outcome, risk = rng.random(50) < 0.3, rng.choice(RISKS, 50)
    cases = Cases(outcome=outcome, rankings={"model": risk}, risks=("model",))
    table = compute_tables({"curve": measure_net_benefit(cases)}, 50, Resampling(30, seed=4))["curve"]
    numbers = []
    for number in range(30):
        taken = np.random.default_rng([4, number]).integers(0, 50, 50, dtype=np.int32)
        rows = [(one >= 0.1, had, 1.0) for one, had in zip(risk[taken], outcome[taken], strict=True)]
        numbers.append(compute_net_benefit(rows, 0.1))
    row = table.row(by_predicate=(pl.col("strategy") == "model") & (pl.col("threshold") == 0.1), named=True)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.percentile(numbers, [2.5, 97.5])))


def test_thresholds_can_be_others():
    cases = Cases(outcome=np.array([True, False]), rankings={"model": np.array([0.6, 0.4])}, risks=("model",))
    measure = measure_net_benefit(cases, thresholds=(0.5,))
    # One found of two, nobody in vain; everybody: one found and one in vain at odds 1.
    assert dict(zip(measure.keys["strategy"], measure.compute(np.ones(2)), strict=True)) == {
        "model": 0.5,
        "treat_all": 0.0,
        "treat_none": 0.0,
    }
