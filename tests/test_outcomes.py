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
from somv_risk.cohort.outcomes import UNFINISHED_TREATMENT, Target, label_outcomes
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ConfigError
from somv_risk.registers import schema as s


@st.composite
def targets(draw: st.DrawFn, world: World) -> Target:
    """Draw a target whose horizon, if it can, ends exactly when some contact starts or ends."""
    return Target(
        name="target",
        counts=draw(st.sampled_from(("admissions", "unfinished_stays"))),
        min_count=draw(st.integers(1, 3)),
        horizon=Horizon(draw(st.sampled_from((365, *list_telling_days(world))))),
        sectors=draw(st.sampled_from((s.SECTORS, ("psychiatric",), ("somatic",)))),
        admission_types=draw(st.sampled_from((s.ADMISSION_TYPES, ("acute",), ("planned",)))),
        excluded_diagnoses=draw(st.sampled_from(((), ("F", "T51"), ("F10",)))),
        death=draw(st.sampled_from(("negative", "exclude", "event"))),
    )


def list_telling_days(world: World) -> list[int]:
    """Whole days from an index moment to the start or end of a contact."""
    contacts = world.tables["admissions"]
    moments = {row[name] for row in contacts for name in ("started_at", "ended_at")} - {None}
    spans = {moment - index for moment in moments for _, index in world.cohort}
    return sorted(span.days for span in spans if span.days > 0 and span == timedelta(days=span.days))


def label(world: World, target: Target) -> pl.DataFrame:
    return label_outcomes(world.histories, build_cohort(world.cohort), target).collect()


@OFTEN
@given(hospital_worlds(), st.data())
def test_every_label_is_what_the_reference_says(world, data):
    target = data.draw(targets(world))
    expected = [
        (*key, *reference_outcome(world.tables, *key, target, world.data_end)) for key in world.cohort
    ]
    assert label(world, target).rows() == expected


@given(hospital_worlds(), st.data())
def test_when_a_row_became_known_does_not_change_the_label(world, data):
    target = data.draw(targets(world))
    known_at_once = map_tables(world, lambda rows: [row | {"known_at": None} for row in rows])
    known_at_once.tables["persons"] = world.tables["persons"]
    assert_frame_equal(label(known_at_once, target), label(world, target))


@given(hospital_worlds(), st.data(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_the_label(world, data, random):
    target = data.draw(targets(world))
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


@pytest.mark.parametrize("sectors", [("psychiatric",), ["psychiatric"], ("psychiatric", "psychiatric")])
def test_a_target_of_one_sector_counts_only_that_however_it_is_written(sectors):
    somatic = draw_histories(admissions="started_at ended_at sector\n+1d +3d somatic")
    cohort = pl.DataFrame({s.PERSON_ID: ["ada"], s.INDEX_TIME: [INDEX]})
    labelled = label_outcomes(somatic, cohort, Target("one", min_count=1, sectors=sectors)).collect()
    assert labelled["outcome_events"].to_list() == [0]


@pytest.mark.parametrize(
    ("written", "read"), [("DF10.2", "F102"), ("f10", "F10"), ("F", "F"), ("D50", "D50")]
)
def test_excluded_diagnoses_are_read_as_the_codes_of_a_delivery_are(written, read):
    assert Target("own", excluded_diagnoses=(written,)) == Target("own", excluded_diagnoses=(read,))


@pytest.mark.parametrize("prefix", ["DF", "250", "F10 obs", "", "alcohol"])
def test_an_excluded_diagnosis_that_begins_no_code_is_refused(prefix):
    with pytest.raises(ConfigError, match="begin no ICD-10 code"):
        Target("own", excluded_diagnoses=(prefix,))
