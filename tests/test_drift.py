"""Drift: distances by scipy and by hand, bins that point at nobody, a band that holds as often as it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial.distance import jensenshannon

from somv_risk.metrics.drift import (
    LEAST_IN_BIN,
    compare_shares,
    compute_chi_square,
    count_bins,
    learn_edges,
    measure_drift,
)

UNEVEN = np.array([0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01])


def drift(first, second, confidence=0.95, **how):
    return measure_drift(np.array(first), np.array(second), confidence=confidence, **how)


# Distances


def test_the_stability_index_is_that_of_a_hand_calculation():
    # Half a person is added to each bin: 100.5 and 100.5 of 201, 60.5 and 140.5 of 201.
    by_hand = (100.5 - 60.5) / 201 * math.log(100.5 / 60.5) + (100.5 - 140.5) / 201 * math.log(100.5 / 140.5)
    assert drift([100, 100], [60, 140]).psi == pytest.approx(by_hand)


def test_counts_of_the_same_shares_have_no_distance():
    same = drift([1000, 3000, 6000], [1000, 3000, 6000])
    assert (same.psi, same.jensen_shannon) == (0, 0)
    assert not same.is_beyond_chance


@pytest.mark.parametrize("second", [[60, 140, 10], [0, 0, 500], [70, 70, 70]])
def test_the_jensen_shannon_distance_is_that_of_scipy(second):
    first = [120, 80, 40]
    theirs = jensenshannon(np.array(first) + 0.5, np.array(second) + 0.5, base=2)
    assert drift(first, second).jensen_shannon == pytest.approx(theirs)


def test_an_empty_bin_is_far_away_and_not_infinitely_so():
    gone = drift([500, 500], [1000, 0])
    assert 1 < gone.psi < 10
    assert gone.is_beyond_chance


# The band


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99, 0.999])
def test_quantiles_of_chi_square_are_those_of_scipy_within_a_fiftieth(probability):
    for degrees in range(1, 60):
        theirs = stats.chi2.ppf(probability, degrees)
        assert compute_chi_square(degrees, probability) == pytest.approx(theirs, rel=0.02), degrees


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [(UNEVEN, (3_000, 9_000)), (np.array([0.97, 0.03]), (2_000, 8_000)), (np.full(10, 0.1), (1_000, 1_000))],
)
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_samples_of_one_population_stay_below_the_band_as_often_as_it_says(shares, sizes, confidence):
    rng, pairs = np.random.default_rng(5), 4_000
    first, second = (rng.multinomial(size, shares, size=pairs) for size in sizes)
    found = [measure_drift(a, b, confidence=confidence) for a, b in zip(first, second, strict=True)]
    chance = 3 * math.sqrt(confidence * (1 - confidence) / pairs)
    for below in (
        np.mean([one.psi <= one.psi_band for one in found]),
        np.mean([one.jensen_shannon <= one.jensen_shannon_band for one in found]),
    ):
        # The law holds for large samples; 30 persons in the rarest bin take it a hundredth off.
        assert abs(below - confidence) < chance + 0.012


def test_a_population_that_has_moved_is_beyond_the_band():
    rng = np.random.default_rng(5)
    moved = np.roll(UNEVEN, 1)
    assert drift(rng.multinomial(3_000, UNEVEN), rng.multinomial(3_000, moved), 0.999).is_beyond_chance


def test_rows_of_the_same_persons_count_once_for_the_band():
    wide = drift([300, 300], [600, 600], persons=200)
    assert wide.psi_band == pytest.approx(drift([100, 100], [600, 600]).psi_band)


# Bins

VALUES = hnp.arrays(
    np.float32,
    st.integers(1, 600),
    elements=st.one_of(st.integers(0, 5).map(float), st.floats(-1000, 1000, width=32, allow_subnormal=False)),
)


@given(VALUES)
def test_no_bin_has_so_few_that_it_could_point_at_a_person(values):
    edges = learn_edges(values)
    counts = count_bins(values, edges)
    assert counts.sum() == len(values)
    assert (np.diff(edges) > 0).all()
    assert len(counts) == 1 or counts.min() >= LEAST_IN_BIN


@given(VALUES)
def test_counts_by_bin_are_those_of_plain_python(values):
    edges = learn_edges(values)
    plain = [0] * (len(edges) + 1)
    for value in values.tolist():
        plain[sum(edge <= value for edge in edges.tolist())] += 1
    assert count_bins(values, edges).tolist() == plain


def test_values_spread_evenly_get_bins_of_equal_size():
    values = np.random.default_rng(1).permutation(10_000).astype(np.float64)
    assert count_bins(values, learn_edges(values)).tolist() == [1_000] * 10


def test_a_value_that_many_share_has_a_bin_of_its_own_and_the_others_are_still_told_apart():
    values = np.concatenate([np.zeros(9_000), np.arange(1, 1_001)])
    counts = count_bins(values, learn_edges(values))
    assert counts[0] == 9_000
    assert len(counts) == 10
    assert counts[1:].min() > 100


def test_an_edge_is_the_value_of_nobody():
    values = np.random.default_rng(2).gamma(2, 30, size=5_000)
    assert not set(learn_edges(values).tolist()) & set(values.tolist())


def test_one_value_for_all_is_one_bin():
    assert learn_edges(np.ones(500)).tolist() == []


# Shares


def test_shares_are_compared_by_the_test_of_two_proportions():
    pooled = (130 + 80) / (1_000 + 800)
    by_hand = (0.13 - 0.1) / math.sqrt(pooled * (1 - pooled) * (1 / 1_000 + 1 / 800))
    assert compare_shares(130, 1_000, 0.1, 800) == pytest.approx(by_hand)
    assert compare_shares(0, 50, 0.0, 50) == 0
