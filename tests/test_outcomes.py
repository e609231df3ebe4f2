"""Outcomes: the label and the reference agree."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from drawn import draw_histories
from reference import reference_outcome
from small_world import INDEX, OFTEN, World, build_cohort, hospital_worlds, map_tables
from somv_risk import schema as s
from somv_risk.errors import ConfigError
from somv_risk.outcomes import UNFINISHED_TREATMENT, Target, label_outcomes
from somv_risk.windows import Horizon

targets = st.builds(
    Target,
    name=st.just("target"),
    counts=st.sampled_from(("admissions", "unfinished_stays")),
    min_count=st.integers(1, 3),
    horizon=st.sampled_from((365, 3, 2, 1, 30)).map(Horizon),
    sectors=st.sampled_from((s.SECTORS, ("psychiatric",), ("somatic",))),
    admission_types=st.sampled_from((s.ADMISSION_TYPES, ("acute",), ("planned",))),
    excluded_diagnoses=st.sampled_from(((), ("F", "T51"), ("F10",))),
    death=st.sampled_from(("negative", "exclude", "event")),
)


def label(world: World, target: Target) -> pl.DataFrame:
    return label_outcomes(world.histories, build_cohort(world.cohort), target).collect()


@OFTEN
@given(hospital_worlds(), targets)
def test_every_label_is_what_the_reference_says(world, target):
    expected = [
        (*key, *reference_outcome(world.tables, *key, target, world.data_end)) for key in world.cohort
    ]
    assert label(world, target).rows() == expected


@given(hospital_worlds(), targets)
def test_when_a_row_became_known_does_not_change_the_label(world, target):
    known_at_once = map_tables(world, lambda rows: [row | {"known_at": None} for row in rows])
    known_at_once.tables["persons"] = world.tables["persons"]
    assert_frame_equal(label(known_at_once, target), label(world, target))


@given(hospital_worlds(), targets, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_the_label(world, target, random):
    shuffled = map_tables(world, lambda rows: random.sample(rows, len(rows)))
    assert_frame_equal(label(shuffled, target), label(world, target))


def test_the_targets_are_those_of_the_design():
    drawn = """
        started_at ended_at admission_type sector      diagnosis discharge
        +1d        +2d      acute          somatic     I109      completed
        +99d       +100d    acute          psychiatric F102      completed
        +364d      +365d    acute          somatic     T510      left_early
        """
    histories = draw_histories(admissions=drawn, data_end=INDEX + timedelta(days=365))
    asked = build_cohort([("ada", INDEX)])
    assert label_outcomes(histories, asked).collect().rows() == [("ada", INDEX, 3, True)]
    unfinished = label_outcomes(histories, asked, UNFINISHED_TREATMENT).collect()
    assert unfinished.rows() == [("ada", INDEX, 0, False)]


def test_a_target_counts_from_1():
    with pytest.raises(ConfigError, match="at least 1"):
        Target("none", min_count=0)


@pytest.mark.parametrize("given_words", [{"sectors": ("surgical",)}, {"admission_types": ("urgent",)}])
def test_a_target_names_known_sectors_and_admission_types(given_words):
    with pytest.raises(ConfigError):
        Target("odd", **given_words)


@pytest.mark.parametrize("days", [0, -1, 1.5, True])
def test_a_horizon_spans_whole_days(days):
    with pytest.raises(ConfigError):
        Horizon(days)
