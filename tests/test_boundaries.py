"""Boundaries: what happens exactly at an edge, each on a small drawn table with values worked out by hand."""

import math
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from drawn import draw_histories, draw_rows, look_back, read_moment
from small_world import INDEX, OPTIONAL_TABLES, build_cohort
from somv_risk.cohort.cohort import make_cohort
from somv_risk.cohort.outcomes import Target, label_outcomes
from somv_risk.cohort.windows import Horizon, Lookback
from somv_risk.features import build_features

ACUTE_WINDOWS = (30, 90, 180, 365, 730)


def admit(*spans: str) -> str:
    """Draw contacts with a start and an end."""
    return "\n".join(("started_at ended_at", *spans))


# The edges of a look-back window


def test_a_look_back_window_holds_its_far_end_and_not_the_index():
    day = 24 * 3600 * 1_000_000
    ages = pl.DataFrame({"age": [-1, 0, 1, 30 * day - 1, 30 * day, 30 * day + 1, None]})
    found = ages.select(Lookback(30).contains(pl.col("age"))).to_series().to_list()
    assert found == [False, False, True, True, True, False, None]


@pytest.mark.parametrize("known_at", [".", "-1d", "0"])
def test_an_admission_that_starts_exactly_at_the_index_is_not_counted(known_at):
    features = look_back(
        admissions=f"""
        started_at ended_at known_at
        0          +1d      {known_at}
        """
    )
    assert features["acute_admissions_730d"] == 0
    assert features["in_hospital"] is False


def test_a_contact_that_starts_a_microsecond_before_the_index_is_counted():
    features = look_back(admissions=admit("-1us ."))
    assert features["emergency_visits_30d"] == 1
    assert features["in_hospital"] is True


@pytest.mark.parametrize("days", ACUTE_WINDOWS)
def test_an_admission_exactly_one_window_back_is_counted(days):
    features = look_back(admissions=admit(f"-{days}d -{days}d+20h"))
    assert features[f"acute_admissions_{days}d"] == 1


@pytest.mark.parametrize("days", ACUTE_WINDOWS)
def test_an_admission_a_microsecond_further_back_than_the_window_is_not_counted(days):
    features = look_back(admissions=admit(f"-{days}d-1us -{days}d+20h"))
    assert features[f"acute_admissions_{days}d"] == 0


def test_the_edges_of_a_window_over_ends_are_those_of_the_ends():
    drawn = "started_at ended_at discharge\n-100d {} left_early"
    assert look_back(admissions=drawn.format("-90d"))["unfinished_stays_90d"] == 1
    assert look_back(admissions=drawn.format("-90d-1us"))["unfinished_stays_90d"] == 0
    assert look_back(admissions=drawn.format("-1us"))["unfinished_stays_90d"] == 1
    assert look_back(admissions=drawn.format("0"))["unfinished_stays_90d"] == 0


# Stays and admissions


def test_two_contacts_exactly_4_hours_apart_are_one_stay():
    features = look_back(admissions=admit("-60h -52h", "-48h -40h"))
    assert features["acute_admissions_30d"] == 1
    assert features["emergency_visits_30d"] == 0
    assert features["longest_admission_365d"] == pytest.approx(20 / 24)


@pytest.mark.parametrize("start", ["-48h+1m", "-48h+1us"])
def test_two_contacts_a_little_more_than_4_hours_apart_are_two_stays(start):
    features = look_back(admissions=admit("-60h -52h", f"{start} -40h"))
    assert features["acute_admissions_30d"] == 0
    assert features["emergency_visits_30d"] == 2


def test_a_stay_of_exactly_12_hours_is_an_admission():
    features = look_back(admissions=admit("-24h -12h"))
    assert (features["acute_admissions_30d"], features["emergency_visits_30d"]) == (1, 0)


def test_a_stay_of_a_microsecond_less_than_12_hours_is_a_visit():
    features = look_back(admissions=admit("-24h -12h-1us"))
    assert (features["acute_admissions_30d"], features["emergency_visits_30d"]) == (0, 1)


def test_an_open_stay_becomes_an_admission_once_it_has_lasted_12_hours():
    assert look_back(admissions=admit("-12h ."))["acute_admissions_30d"] == 1
    assert look_back(admissions=admit("-12h+1us ."))["acute_admissions_30d"] == 0


def test_a_later_contact_does_not_change_what_the_stay_began_as():
    features = look_back(
        admissions="""
        started_at ended_at admission_type sector
        -48h       -40h     planned        somatic
        -40h       -24h     acute          psychiatric
        """
    )
    assert features["acute_admissions_30d"] == 0
    assert features["planned_admissions_90d"] == 1
    assert features["psychiatric_admissions_90d"] == 1


# What was known


OPEN = "started_at ended_at discharge diagnosis\n-36h {} {} {}"


def test_an_open_stay_is_in_hospital_now_and_shows_nothing_of_its_end():
    features = look_back(admissions=OPEN.format(".", ".", "."))
    assert features["in_hospital"] is True
    assert features["bed_days_30d"] == 1.5
    assert features["acute_admissions_30d"] == 1
    assert features["days_since_discharge_730d"] is None
    assert features["last_stay_unfinished_730d"] is None
    for end in ("0", "+1us", "+9d"):
        assert look_back(admissions=OPEN.format(end, "left_early", "F102")) == features


def test_an_end_that_arrives_after_the_index_is_not_known():
    ended = OPEN.format("-12h", "left_early", "F102")
    still_open = look_back(admissions=OPEN.format(".", ".", "."), lags={"admissions": 0.5})
    assert look_back(admissions=ended, lags={"admissions": 0.5}) == still_open
    assert look_back(admissions=ended, lags={"admissions": 0.25})["unfinished_stays_90d"] == 1


def test_a_lag_also_delays_the_end_of_a_row_that_says_when_it_was_known():
    drawn = "started_at ended_at known_at\n-36h -12h -30h"
    assert look_back(admissions=drawn, lags={"admissions": 1})["in_hospital"] is True


def test_a_row_known_exactly_at_the_index_is_not_visible():
    drawn = "started_at ended_at known_at\n-9d -8d {}"
    assert look_back(admissions=drawn.format("0"))["acute_admissions_30d"] == 0
    assert look_back(admissions=drawn.format("-1us"))["acute_admissions_30d"] == 1


def test_a_row_that_arrives_exactly_at_the_index_is_not_visible():
    lags = {"admissions": 2}
    assert look_back(admissions=admit("-2d -1d"), lags=lags)["in_hospital"] is False
    assert look_back(admissions=admit("-2d-1us -1d"), lags=lags)["in_hospital"] is True


def test_a_contact_registered_late_bridges_two_stays_only_once_it_is_known():
    drawn = "started_at ended_at known_at\n-60h -52h .\n-52h -44h {}\n-44h -36h ."
    before = look_back(admissions=drawn.format("0"))
    assert (before["acute_admissions_30d"], before["emergency_visits_30d"]) == (0, 2)
    after = look_back(admissions=drawn.format("-1us"))
    assert (after["acute_admissions_30d"], after["emergency_visits_30d"]) == (1, 0)


def test_whether_an_appointment_was_kept_is_known_when_it_is_over_and_has_arrived():
    drawn = "started_at ended_at attendance known_at\n-2d . no_show -3d"
    known, late = (
        look_back(psychiatric_contacts=drawn, lags={"psychiatric_contacts": days}) for days in (1.5, 2)
    )
    assert (known["psychiatric_no_shows_90d"], known["psychiatric_no_show_share_365d"]) == (1, 1.0)
    assert (late["psychiatric_no_shows_90d"], late["psychiatric_no_show_share_365d"]) == (0, None)
    assert late["psychiatric_providers_365d"] == 1


def test_a_diagnosis_is_known_when_the_contact_has_ended():
    drawn = "started_at ended_at diagnosis\n-9d {} E119"
    assert look_back(admissions=drawn.format("-1us"))["diabetes_diagnosis_1825d"] is True
    assert look_back(admissions=drawn.format("0"))["diabetes_diagnosis_1825d"] is False


# Nothing to count, and nothing to count in


def test_a_person_without_events_has_counts_of_0_and_no_recency():
    features = look_back()
    assert features["acute_admissions_365d"] == features["departments_365d"] == features["bed_days_365d"] == 0
    assert features["in_hospital"] is features["alcohol_diagnosis_1825d"] is features["in_shelter"] is False
    for name in (
        "days_since_discharge_730d",
        "unfinished_share_365d",
        "mean_admission_365d",
        "smallest_gap_365d",
    ):
        assert features[name] is None
    assert features["department_continuity_365d"] is features["last_stay_unfinished_730d"] is None


def test_a_mean_is_null_and_not_a_nan_when_all_admissions_are_too_long_ago():
    features = look_back(admissions=admit("-400d -398d"))
    assert features["mean_admission_365d"] is None
    assert features["mean_admission_730d"] == 2.0


def test_features_of_an_absent_table_are_null_and_of_an_empty_one_0():
    assert look_back()["gp_contacts_90d"] == 0
    features = look_back(absent=("primary_care",), admissions=admit("-30d -28d"))
    assert features["gp_contacts_90d"] is features["discharges_without_follow_up_365d"] is None
    assert features["acute_admissions_30d"] == 1


def test_with_hospital_contacts_alone_the_hospital_is_still_counted():
    features = look_back(absent=OPTIONAL_TABLES, admissions="started_at ended_at diagnosis\n-9d -8d F102")
    assert features["acute_admissions_30d"] == 1
    assert features["alcohol_contacts_90d"] == 1
    assert features["on_social_assistance"] is features["shelter_nights_90d"] is None


def test_cohort_rows_asked_for_twice_are_answered_twice_in_their_order():
    asked = [("ada", INDEX), ("ada", INDEX - timedelta(days=9)), ("ada", INDEX)]
    histories = draw_histories(admissions=admit("-9d -8d"))
    built = build_features(histories, build_cohort(asked)).collect()
    assert built["acute_admissions_30d"].to_list() == [1, 0, 1]
    labelled = label_outcomes(histories, build_cohort(asked)).collect()
    assert labelled.select("person_id", "index_time").rows() == asked
    assert labelled["outcome_events"].to_list() == [0, 1, 0]


# Days


def test_bed_days_are_cut_at_both_edges_of_the_window():
    assert look_back(admissions=admit("-31d -29d"))["bed_days_30d"] == 1.0
    assert look_back(admissions=admit("-32d -30d"))["bed_days_30d"] == 0.0
    assert look_back(admissions=admit("-6h-1d +3d"))["bed_days_30d"] == 1.25
    assert look_back(admissions=admit("-900d -9d"))["bed_days_730d"] == 721.0
    assert look_back(admissions=admit("-100d ."))["bed_days_90d"] == 90.0


def test_overlapping_contacts_count_their_days_once():
    features = look_back(admissions=admit("-5d -3d", "-4d -2d", "-5d -4d"))
    assert features["bed_days_30d"] == 3.0


def test_overlapping_and_adjoining_benefits_count_their_days_once():
    features = look_back(social_benefits=admit("-10d -5d", "-7d -2d", "-2d -1d"))
    assert features["social_assistance_days_365d"] == 9.0
    assert features["benefit_switches_365d"] == 0


def test_treatments_that_overlap_count_their_days_once_whatever_the_substance():
    drawn = "started_at ended_at substance\n-9d -5d alcohol\n-7d -4d cannabis"
    assert look_back(substance_abuse=drawn)["substance_treatment_days_365d"] == 5.0


def test_the_current_benefit_is_the_one_that_started_latest():
    drawn = "started_at ended_at benefit\n-99d . social_assistance\n-9d . sickness\n-5d -2d education"
    features = look_back(social_benefits=drawn)
    assert features["days_on_current_benefit"] == 9.0
    assert features["on_social_assistance"] is features["on_sickness"] is True
    assert features["on_education"] is False
    assert features["benefit_switches_365d"] == 2


# How close together


def test_acute_admissions_exactly_7_days_apart_are_not_within_the_same_7_days():
    apart, closer = admit("-10d -9d", "-3d -2d"), admit("-10d+1us -9d", "-3d -2d")
    assert look_back(admissions=apart)["most_acute_admissions_in_7_days_90d"] == 1
    assert look_back(admissions=closer)["most_acute_admissions_in_7_days_90d"] == 2


def test_the_fullest_span_lies_inside_the_window():
    drawn = admit("-91d -90d-12h", "-89d -88d", "-87d -86d")
    features = look_back(admissions=drawn)
    assert features["most_acute_admissions_in_7_days_90d"] == 2
    assert features["most_acute_admissions_in_7_days_365d"] == 3


def test_an_admission_exactly_30_days_after_a_discharge_is_no_readmission():
    apart, closer = admit("-50d -40d", "-10d -9d"), admit("-50d -40d+1us", "-10d -9d")
    assert look_back(admissions=apart)["readmissions_in_30_days_90d"] == 0
    assert look_back(admissions=closer)["readmissions_in_30_days_90d"] == 1


def test_an_admission_exactly_72_hours_after_a_discharge_is_no_early_readmission():
    apart, closer = admit("-50d -13d", "-10d -9d"), admit("-50d -13d+1us", "-10d -9d")
    assert look_back(admissions=apart)["readmissions_in_72_hours_90d"] == 0
    assert look_back(admissions=closer)["readmissions_in_72_hours_90d"] == 1


def test_a_short_visit_between_two_admissions_does_not_hide_a_readmission():
    features = look_back(admissions=admit("-9d -8d", "-7d -7d+2h", "-6d -5d"))
    assert features["readmissions_in_72_hours_90d"] == 1
    assert features["smallest_gap_365d"] == 2.0


def test_both_sides_of_the_smallest_gap_lie_in_the_window():
    assert look_back(admissions=admit("-370d -365d", "-9d -8d"))["smallest_gap_365d"] == 356.0
    assert look_back(admissions=admit("-370d -365d-1us", "-9d -8d"))["smallest_gap_365d"] is None


LEFT = "started_at ended_at discharge\n-9d -8d left_early\n{}\n"


def test_a_stay_exactly_72_hours_after_leaving_early_is_no_return():
    assert look_back(admissions=LEFT.format("-5d -4d completed"))["returns_after_unfinished_365d"] == 0
    assert look_back(admissions=LEFT.format("-5d-1us -4d completed"))["returns_after_unfinished_365d"] == 1


def test_only_the_stay_that_follows_leaving_early_is_a_return():
    drawn = LEFT.format("-7d -7d+2h completed\n-6d -5d completed")
    assert look_back(admissions=drawn)["returns_after_unfinished_365d"] == 1


def test_a_stay_whose_discharge_nobody_recorded_was_not_left_early():
    drawn = "started_at ended_at discharge\n-9d -8d left_early\n-7d -6d ."
    features = look_back(admissions=drawn)
    assert features["last_stay_unfinished_730d"] is False
    assert features["unfinished_share_365d"] == 0.5


def test_treatments_that_start_together_are_no_restart():
    drawn = "started_at substance\n-9d alcohol\n-9d cannabis"
    assert look_back(substance_abuse=drawn)["substance_treatment_restarts_365d"] == 0
    later = "started_at substance\n-900d alcohol\n-9d+1us cannabis"
    assert look_back(substance_abuse=later)["substance_treatment_restarts_365d"] == 1


# Follow-up and continuity


FOLLOWED = {"admissions": admit("-30d -20d")}


@pytest.mark.parametrize(("visit", "without"), [("-20d", 0), ("-6d-1us", 0), ("-6d", 1), ("-20d-1us", 1)])
def test_follow_up_is_a_visit_in_the_half_open_14_days_after_a_discharge(visit, without):
    features = look_back(primary_care=f"started_at\n{visit}", **FOLLOWED)
    assert features["discharges_without_follow_up_180d"] == without
    assert features["share_without_follow_up_365d"] == without


@pytest.mark.parametrize(
    ("contact_type", "attendance", "without"),
    [
        ("outpatient", "attended", 0),
        ("home_visit", "unknown", 0),
        ("virtual", "attended", 0),
        ("emergency", "attended", 1),
        ("outpatient", "no_show", 1),
        ("outpatient", "cancelled", 1),
    ],
)
def test_follow_up_is_a_planned_contact_that_took_place(contact_type, attendance, without):
    drawn = f"started_at contact_type attendance\n-15d {contact_type} {attendance}"
    features = look_back(psychiatric_contacts=drawn, **FOLLOWED)
    assert features["discharges_without_follow_up_180d"] == without


@pytest.mark.parametrize(("kind", "without"), [("gp", 0), ("out_of_hours", 1), ("other", 1)])
def test_of_primary_care_only_the_general_practitioner_follows_up(kind, without):
    features = look_back(primary_care=f"started_at kind\n-15d {kind}", **FOLLOWED)
    assert features["discharges_without_follow_up_180d"] == without


def test_a_discharge_is_judged_once_14_days_have_passed():
    assert look_back(admissions=admit("-30d -14d"))["discharges_without_follow_up_180d"] == 1
    too_early = look_back(admissions=admit("-30d -14d+1us"))
    assert too_early["discharges_without_follow_up_180d"] == 0
    assert too_early["share_without_follow_up_365d"] is None


def test_continuity_and_entropy_of_two_visits_here_and_one_there():
    drawn = "started_at ended_at department\n-9d -8d 1\n-7d -6d 2\n-5d -4d 1\n-3d -2d ."
    features = look_back(admissions=drawn)
    assert features["departments_365d"] == 2
    assert features["department_continuity_365d"] == pytest.approx((4 + 1 - 3) / (3 * 2))
    assert features["department_entropy_365d"] == pytest.approx(math.log(3) - 2 / 3 * math.log(2))


def test_departments_of_different_hospitals_are_different_whatever_their_names():
    drawn = "started_at ended_at hospital department\n-9d -8d A B/C\n-7d -6d A/B C\n-5d -4d . C"
    assert look_back(admissions=drawn)["departments_365d"] == 3


# Background


@pytest.mark.parametrize(
    ("index", "age"),
    [
        (datetime(2022, 2, 28), 17),
        (datetime(2022, 3, 1), 18),
        (datetime(2024, 2, 28), 19),
        (datetime(2024, 2, 29), 20),
    ],
)
def test_someone_born_on_29_february_turns_a_year_older_on_1_march_of_a_common_year(index, age):
    person = {"birth_date": date(2004, 2, 29)}
    assert look_back(index=index, person=person)["age"] == age
    histories = draw_histories(person=person)
    assert make_cohort(histories, [index]).rows.collect().height == (age >= 18)


def test_a_person_who_dies_on_the_day_of_the_index_is_alive_at_its_midnight():
    eligible = [
        make_cohort(draw_histories(person={"death_date": day}), [INDEX]).rows.collect().height
        for day in (INDEX.date(), INDEX.date() - timedelta(days=1))
    ]
    assert eligible == [1, 0]


# The label


ONE = Target("one", min_count=1)
FAR_END = INDEX + timedelta(days=365)


def label(
    admissions: str = "started_at", target: Target = ONE, data_end: datetime | None = FAR_END, **person: Any
) -> tuple[int, bool | None]:
    """Number of events and the label of Ada at the index."""
    histories = draw_histories(data_end=data_end, admissions=admissions, person=person)
    (row,) = label_outcomes(histories, build_cohort([("ada", INDEX)]), target).collect().rows()
    return row[2:]


def days_on(days: int) -> date:
    return INDEX.date() + timedelta(days=days)


@pytest.mark.parametrize(("start", "events"), [("-1us", 0), ("0", 1), ("+365d-1us", 1), ("+365d", 0)])
def test_the_horizon_holds_the_index_and_not_its_own_end(start, events):
    assert label(admit(f"{start} +400d")) == (events, events == 1)


def test_an_admission_is_counted_by_its_start_and_an_unfinished_stay_by_its_end():
    left = "started_at ended_at discharge\n-9d 0 left_early"
    assert label(left) == (0, False)
    assert label(left, Target("left", counts="unfinished_stays", min_count=1)) == (1, True)


def test_a_stay_that_is_open_at_the_data_end_has_lasted_until_then():
    assert label(admit("+365d-12h .")) == (1, True)
    assert label(admit("+365d-11h .")) == (0, False)


def test_follow_up_that_reaches_the_end_of_the_horizon_is_enough():
    assert label(data_end=FAR_END) == (0, False)
    assert label(data_end=FAR_END - timedelta(microseconds=1)) == (0, None)
    assert label(observed_until=days_on(365)) == (0, False)
    assert label(observed_until=days_on(364)) == (0, None)


def test_a_threshold_met_before_follow_up_ends_stays_positive():
    assert label(admit("+3d +5d"), observed_until=days_on(9)) == (1, True)
    assert label(admit("+3d +5d"), data_end=read_moment("+9d")) == (1, True)


@pytest.mark.parametrize(("death", "expected"), [("negative", False), ("exclude", None), ("event", True)])
def test_a_death_in_the_horizon_is_labelled_as_the_target_says(death, expected):
    target = Target("one", min_count=1, death=death)
    assert label(target=target, death_date=days_on(0)) == (0, expected)
    assert label(target=target, death_date=days_on(364)) == (0, expected)
    assert label(target=target, death_date=days_on(365)) == (0, False)
    assert label(admit("+3d +5d"), target, death_date=days_on(9)) == (1, True)
    assert label(target=target, death_date=days_on(9), observed_until=days_on(9)) == (0, expected)


def test_a_person_who_was_dead_before_the_index_has_no_label():
    assert label(death_date=days_on(-1)) == (0, None)


def test_what_starts_after_a_death_is_no_event():
    assert label(admit("+3d +5d"), death_date=days_on(-1)) == (0, None)
    assert label(admit("+3d+12h +5d"), death_date=days_on(2)) == (0, False)
    assert label(admit("+3d+12h +5d"), death_date=days_on(3)) == (1, True)


@pytest.mark.parametrize("death", ["negative", "exclude", "event"])
def test_a_death_after_follow_up_ended_does_not_tell_what_happened_before(death):
    target = Target("one", min_count=1, death=death)
    assert label(target=target, death_date=days_on(99), observed_until=days_on(9)) == (0, None)


def test_without_a_data_end_and_without_contacts_nothing_is_known():
    assert label(data_end=None) == (0, None)
    assert label(data_end=None, death_date=days_on(9)) == (0, None)


CHAPTERS = "started_at ended_at diagnosis\n+1d +2d F102\n+11d +12d T510\n+21d +22d I109\n+31d +32d ."


def test_psychiatry_and_poisoning_count_unless_the_target_excludes_them():
    assert label(CHAPTERS, Target("all")) == (4, True)
    assert label(CHAPTERS, Target("usual", excluded_diagnoses=("F", "T"))) == (2, False)


def test_the_default_target_counts_acute_admissions_of_both_sectors():
    drawn = """
        started_at ended_at admission_type sector
        +1d        +2d      acute          somatic
        +11d       +12d     acute          psychiatric
        +21d       +22d     planned        somatic
        +31d       +31d+3h  acute          somatic
        """
    assert label(drawn, Target("both")) == (2, False)
    assert label(drawn, Target("psychiatric", sectors=("psychiatric",))) == (1, False)
    assert label(drawn, Target("planned", admission_types=("planned",))) == (1, False)
    assert label(drawn, Target("short", horizon=Horizon(11))) == (1, False)


def test_drawn_moments_are_read_from_the_index():
    assert read_moment("-30d-1us") == INDEX - timedelta(days=30, microseconds=1)
    assert draw_rows("primary_care", "started_at known_at\n0 .")[0]["started_at"] == INDEX
    with pytest.raises(ValueError, match="not a moment"):
        read_moment("yesterday")
