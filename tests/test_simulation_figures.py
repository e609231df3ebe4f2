"""The made-up region beside published figures, at a reduced size and with the sampling error of that size."""

from datetime import date
from math import sqrt
from pathlib import Path

import polars as pl
import pytest

from somv_risk.simulate import simulate
from somv_risk.simulate.difficulty import DIFFICULTY_NAMES, measure_difficulty
from somv_risk.simulate.measures import compute_figures, measure
from somv_risk.simulate.period import Period
from somv_risk.simulate.plan import Plan
from somv_risk.simulate.targets import read_targets

ROOT = Path(__file__).parents[1]
FULL_SIZE, REDUCED_SIZE = 850_000, 40_000
# Of some 130 figures, none misses by so many standard errors by chance more than once in a hundred regions.
SAFE_DISTANCE = 4.0

MAIN = [
    "admissions_per_1000_person_years",
    "acute_share_of_admissions",
    "somatic_stay_mean_days",
    "psychiatric_stay_mean_days",
    "acute_somatic_readmission_30_days_share",
    "psychiatric_readmission_30_days_share",
    "residents_1_or_more_acute_somatic_share",
    "residents_2_or_more_acute_somatic_share",
    "residents_3_or_more_acute_somatic_share",
    "residents_5_or_more_acute_somatic_share",
    "residents_10_or_more_acute_somatic_share",
    "frequent_again_after_1_years_share",
    "frequent_again_after_2_years_share",
    "psychiatric_inpatients_share",
    "psychiatric_inpatients_3_or_more_share",
    "unfinished_share",
    "unfinished_alcohol_drug_share",
    "unfinished_psychiatric_share",
    "acute_return_30_days_after_unfinished_share",
    "acute_return_30_days_after_finished_share",
    "alcohol_treatment_per_1000_a_year",
    "drug_treatment_per_1000_a_year",
    "shelter_users_per_1000_a_year",
    "on_benefits_share_360",
    "on_benefits_share_265",
    "deaths_per_1000_person_years",
    "adults_like_those_of_somv_share",
    "event_after_emergency_admission_share",
]


@pytest.fixture(scope="module")
def reduced():
    """Figures of a small region of another seed than the full one's."""
    figures = compute_figures(measure(simulate(REDUCED_SIZE, seed=20)))
    return dict(figures.select("figure", "observed").rows())


@pytest.fixture(scope="module")
def full():
    """What docs/simulation.md shows of the full region, by figure."""
    rows = pl.read_csv(ROOT / "docs" / "simulation" / "check.csv", infer_schema_length=None)
    return {row["figure"]: row for row in rows.iter_rows(named=True)}


@pytest.fixture(scope="module")
def targets():
    return read_targets(ROOT / "configs" / "simulation" / "region_sjaelland.toml")


def expect_error(full, figure):
    """The standard error at the reduced size; it shrinks with the root of the number of persons."""
    return full[figure]["standard_error"] * sqrt(FULL_SIZE / REDUCED_SIZE)


@pytest.mark.parametrize("figure", MAIN)
def test_a_main_figure_lies_in_its_band(reduced, full, targets, figure):
    target = next(target for target in targets if target.figure == figure)
    margin = SAFE_DISTANCE * expect_error(full, figure)
    assert target.low - margin <= reduced[figure] <= target.high + margin


def test_a_small_region_has_the_figures_that_the_page_shows_of_the_full_one(reduced, full):
    """Whoever changes the simulator makes the page anew."""
    strangers = {
        figure: (reduced[figure], row["observed"])
        for figure, row in full.items()
        if row["subject"] != "difficulty"
        and abs(reduced[figure] - row["observed"]) > SAFE_DISTANCE * expect_error(full, figure) + 1e-12
    }
    assert strangers == {}


def test_the_page_compares_with_the_targets_as_they_are_now(full, targets):
    assert list(full) == [target.figure for target in targets]
    for target in targets:
        row = full[target.figure]
        assert (row["target"], row["low"], row["high"]) == (target.value, target.low, target.high)
        assert (row["title"], row["source"], row["note"]) == (target.title, target.source, target.note)


def test_most_published_danish_figures_are_met_and_none_is_far_off(full):
    sourced = [row for row in full.values() if row["status"] == "sourced"]
    within = [row for row in sourced if row["verdict"] == "within"]
    assert len(within) >= 0.9 * len(sourced)
    assert all(0.8 * row["low"] <= row["observed"] <= 1.25 * row["high"] for row in sourced)


def test_frequent_admission_is_as_hard_to_foretell_as_it_should_be(full):
    hard = {figure: row for figure, row in full.items() if row["subject"] == "difficulty"}
    assert len(hard) == 5
    assert {row["verdict"] for row in hard.values()} == {"within"}


def test_difficulty_is_measured_on_persons_and_a_year_that_trained_nothing():
    plan = Plan(30_000, 20, Period(date(2020, 1, 1), date(2026, 1, 1)))
    figures = measure_difficulty(plan, regions=1)
    found = {row["figure"]: row for row in figures.iter_rows(named=True)}
    assert set(found) == set(DIFFICULTY_NAMES)
    assert 15_000 < found["model_auroc"]["denominator"] < 24_000
    assert 0.7 < found["last_year_count_auroc"]["observed"] < 0.87
    assert found["last_year_count_auroc"]["observed"] < found["model_auroc"]["observed"] < 0.95
    assert all(0 < row["standard_error"] < 0.1 for row in found.values())


def test_the_readme_tells_how_many_figures_are_met(full):
    within = sum(row["verdict"] == "within" for row in full.values())
    assert f"Of {len(full)} published, derived or assumed figures it meets {within};" in (
        ROOT / "README.md"
    ).read_text("utf-8")
