"""Volumes: odd weeks are found, and chance, seasons, delays and the first days of months are not told."""

import numpy as np
import pytest
from scipy import stats

from somv_risk.metrics.week_volumes import (
    WeekLimits,
    count_stopped,
    expect,
    find_high,
    find_low,
)

LIMITS = WeekLimits()
WEEKS = 200


def draw(level, seed=0, weeks=WEEKS):
    return np.random.default_rng(seed).poisson(level, size=weeks).astype(np.float64)


def judge(rows, known=None, limits=LIMITS):
    """Places of low weeks and of high ones, and how many weeks a source has stopped for."""
    known = np.ones(len(rows)) if known is None else known
    expected = expect(rows, known, limits)
    low, high = (find(rows, known, expected, limits) for find in (find_low, find_high))
    return (
        np.flatnonzero(low).tolist(),
        np.flatnonzero(high).tolist(),
        count_stopped(rows, expected, limits),
    )


QUIET = ([], [], 0)


@pytest.mark.parametrize("level", [0.3, 3, 30, 300, 30_000])
def test_chance_raises_next_to_nothing(level):
    told = [judge(draw(level, seed)) for seed in range(60)]
    # One week in 12,000 was beyond five standard deviations; a normal distribution would have fewer.
    assert sum(len(low) + len(high) for low, high, _ in told) <= 1
    assert [stopped for *_, stopped in told] == [0] * 60


@pytest.mark.parametrize("level", [30, 100, 2_000])
@pytest.mark.parametrize("deviations", [1.645, 2.576])
def test_the_band_holds_as_many_poisson_counts_as_a_normal_distribution_would(level, deviations):
    steady = np.full(WEEKS, float(level))
    band = expect(steady, np.ones(WEEKS), WeekLimits(deviations=deviations))
    low, high = band.low[-1], band.high[-1]
    inside = stats.poisson.cdf(np.floor(high), level) - stats.poisson.cdf(np.ceil(low) - 1, level)
    nominal = 2 * stats.norm.cdf(deviations) - 1
    # Counts are whole: a step of the distribution is allowed for.
    assert abs(inside - nominal) < stats.poisson.pmf(level, level) / 2 + 0.003


def test_a_source_that_stopped_is_found_with_the_week_it_stopped_in():
    rows = draw(40)
    rows[-5:] = 0
    assert judge(rows)[2] == 5


def test_a_trickle_that_goes_on_does_not_hide_that_a_source_stopped():
    rows = draw(400)
    rows[-7:] = 3
    assert judge(rows)[2] == 7


def test_a_scarce_source_may_be_silent_for_some_weeks_and_not_for_a_quarter():
    rows = draw(1, seed=3)
    rows[-4:] = 0
    assert judge(rows)[2] == 0
    rows[-13:] = 0
    assert judge(rows)[2] >= 13


def test_half_a_week_that_is_missing_is_found_where_rows_are_many():
    rows = draw(300)
    rows[-9] /= 2
    assert judge(rows) == ([WEEKS - 9], [], 0)


def test_weeks_delivered_twice_are_found():
    rows = draw(400)
    rows[-6:-3] *= 2
    assert judge(rows) == ([], [WEEKS - 6, WEEKS - 5, WEEKS - 4], 0)


def test_a_gap_that_ended_is_no_stop():
    rows = draw(100)
    rows[-8:-4] = 0
    assert judge(rows) == ([WEEKS - 8, WEEKS - 7, WEEKS - 6, WEEKS - 5], [], 0)


def test_what_happens_every_christmas_is_not_told_from_the_second_year_on():
    rows = draw(1_000)
    christmas = np.arange(WEEKS - 4, 0, -52)
    rows[christmas] = np.round(0.6 * rows[christmas])
    first = int(christmas[-1])
    assert judge(rows) == ([first], [], 0)


def test_a_silent_christmas_does_not_excuse_a_silent_one_a_year_later():
    rows = draw(1_000)
    rows[[WEEKS - 4, WEEKS - 56]] = 0
    assert WEEKS - 4 in judge(rows)[0]


def test_spells_that_start_on_the_first_of_a_month_are_not_told_every_month():
    rows = draw(20)
    rows[np.arange(3, WEEKS, 13)] += 400
    rows[np.arange(7, WEEKS, 13)] += 400
    rows[np.arange(11, WEEKS, 13)] += 400
    # The first year teaches how it goes; after it nothing is told.
    _, high, stopped = judge(rows)
    assert [place for place in high if place >= 52] == []
    assert stopped == 0


def test_rows_that_cannot_be_known_yet_are_not_missed():
    known = np.ones(WEEKS)
    known[-4:] = [0.9, 0.7, 0.3, 0.05]
    rows = np.round(draw(500) * known)
    assert judge(rows, known) == QUIET


def test_that_rows_cannot_be_known_yet_does_not_hide_that_a_source_stopped():
    known = np.ones(WEEKS)
    known[-4:] = [0.9, 0.7, 0.3, 0.05]
    rows = np.round(draw(500) * known)
    rows[-6:] = 0
    assert judge(rows, known)[2] == 6


def test_what_is_expected_is_the_median_of_the_year_before():
    rows = draw(50)
    band = expect(rows, np.ones(WEEKS), LIMITS)
    assert band.rows[150] == np.median(rows[98:150])
    assert band.rows[8] == np.median(rows[:8])


def test_nothing_is_expected_of_the_first_eight_weeks():
    band = expect(draw(50), np.ones(WEEKS), LIMITS)
    assert np.isnan(band.rows[:8]).all()
    assert not np.isnan(band.rows[8:]).any()
    assert judge(draw(50, weeks=6)) == QUIET
