"""Features counted by hand: each flag, event and measure of decision 0011 on a small drawn table."""

import math

import pytest

from drawn import define, look_back, measure
from small_world import OPTIONAL_TABLES


def admit(*spans: str) -> str:
    """Draw contacts with a start and an end."""
    return "\n".join(("started_at ended_at", *spans))


def leave(*spans: str) -> str:
    """Draw contacts with a start, an end and how they were left."""
    return "\n".join(("started_at ended_at discharge", *spans))


def count(events: str, *where: str, days: int = 365, **row):
    """A count that the catalogue does not have."""
    return define(measure="count", events=events, where=where, windows=(days,), **row)


# Decayed: half as much for every 100 days


def test_an_admission_of_100_days_ago_counts_half_and_one_of_200_days_a_quarter():
    features = look_back(admissions=admit("-200d -199d", "-100d -99d"))
    assert features["acute_admissions_decayed_730d"] == pytest.approx(0.75)
    assert features["psychiatric_admissions_decayed_730d"] == 0.0


def test_the_age_of_an_event_is_counted_in_parts_of_days():
    features = look_back(admissions=admit("-12h-12d -12d"))
    assert features["acute_admissions_decayed_730d"] == pytest.approx(0.5**0.125)


@pytest.mark.parametrize(
    ("start", "expected"),
    [("-730d", 0.5**7.3), ("-730d-1us", 0.0), ("-1us", 1.0), ("0", 0.0)],
)
def test_only_contacts_in_the_window_decay(start, expected):
    features = look_back(primary_care=f"started_at kind\n{start} out_of_hours")
    assert features["out_of_hours_decayed_730d"] == pytest.approx(expected, abs=1e-9)


def test_visits_and_admissions_decay_apart():
    features = look_back(admissions=admit("-200d -199d", "-100d -100d+2h"))
    assert features["acute_admissions_decayed_730d"] == pytest.approx(0.25)
    assert features["emergency_visits_decayed_730d"] == pytest.approx(0.5)


def test_stays_left_early_decay_from_the_day_the_person_left():
    features = look_back(admissions=leave("-120d -100d left_early", "-9d -8d completed", "-2d . ."))
    assert features["unfinished_decayed_730d"] == pytest.approx(0.5)


@pytest.mark.parametrize(("attendance", "expected"), [("no_show", 0.5), ("attended", 0), ("cancelled", 0)])
def test_missed_appointments_decay(attendance, expected):
    features = look_back(psychiatric_contacts=f"started_at attendance\n-100d {attendance}")
    assert features["psychiatric_no_shows_decayed_730d"] == expected


def test_contacts_with_the_doctor_on_call_decay_and_pile_up():
    drawn = "started_at kind\n-100d out_of_hours\n-99d gp\n-100d out_of_hours\n-400d out_of_hours"
    features = look_back(primary_care=drawn)
    assert features["out_of_hours_decayed_730d"] == pytest.approx(2 * 0.5 + 0.0625)
    assert features["most_out_of_hours_in_7_days_365d"] == 2
    assert features["days_since_out_of_hours_730d"] == 100.0


def test_without_events_nothing_decays_and_there_is_no_trend():
    features = look_back()
    assert features["acute_admissions_decayed_730d"] == features["unfinished_decayed_730d"] == 0.0
    assert features["acute_admissions_trend_360d"] == features["bed_days_trend_360d"] == 0


# Trend: the younger half of the window minus the older one


@pytest.mark.parametrize(
    ("start", "expected"),
    [("-1us", 1), ("-180d", 1), ("-180d-1us", -1), ("-360d", -1), ("-360d-1us", 0), ("0", 0)],
)
def test_the_middle_of_the_window_belongs_to_the_younger_half(start, expected):
    features = look_back(primary_care=f"started_at kind\n{start} gp\n{start} other")
    assert features["gp_contacts_trend_360d"] == expected
    assert features["out_of_hours_trend_360d"] == 0


def test_a_trend_is_a_difference_of_counts():
    features = look_back(
        admissions=admit("-300d -299d", "-250d -249d", "-200d -199d", "-9d -8d", "-5d -5d+2h")
    )
    assert features["acute_admissions_trend_360d"] == 1 - 3
    assert features["emergency_visits_trend_360d"] == 1


def test_the_trend_of_stays_left_early_goes_by_their_ends():
    features = look_back(admissions=leave("-200d -180d left_early", "-179d -150d completed"))
    assert features["unfinished_trend_360d"] == 1
    assert look_back(admissions=leave("-200d -180d-1us left_early"))["unfinished_trend_360d"] == -1


def test_the_trend_of_psychiatric_contacts_is_of_those_that_took_place():
    drawn = "started_at attendance\n-9d attended\n-8d unknown\n-7d no_show\n-6d cancelled\n-200d attended"
    assert look_back(psychiatric_contacts=drawn)["psychiatric_contacts_trend_360d"] == 2 - 1


def test_days_across_the_middle_are_shared_between_the_halves():
    assert look_back(admissions=admit("-182d -177d"))["bed_days_trend_360d"] == 3 - 2
    assert look_back(admissions=admit("-190d -170d"))["bed_days_trend_360d"] == 0.0
    assert look_back(admissions=admit("-190d -180d"))["bed_days_trend_360d"] == -10.0


def test_days_of_a_trend_are_cut_at_the_edges_of_the_window():
    assert look_back(admissions=admit("-370d -355d"))["bed_days_trend_360d"] == -5.0
    assert look_back(admissions=admit("-370d -360d"))["bed_days_trend_360d"] == 0.0
    assert look_back(admissions=admit("-36h ."))["bed_days_trend_360d"] == 1.5
    assert look_back(admissions=admit("-900d ."))["bed_days_trend_360d"] == 0.0


def test_benefit_days_of_a_trend_are_counted_once_and_by_benefit():
    features = look_back(
        social_benefits="""
        started_at ended_at benefit
        -20d       -10d     sickness
        -15d       -5d      sickness
        -200d      -190d    sickness
        -185d      -178d    self_support
        """
    )
    assert features["sickness_days_trend_360d"] == 15 - 10
    assert features["self_support_days_trend_360d"] == 2 - 5


def test_home_care_has_its_middle_90_days_back():
    drawn = "started_at ended_at service\n-100d -85d home_care\n-200d -170d home_nursing"
    features = look_back(social_services=drawn)
    assert features["home_care_days_trend_180d"] == 5 - 10
    assert features["home_nursing_days_trend_180d"] == -10.0
    assert look_back(absent=("social_services",))["home_care_days_trend_180d"] is None


def test_treatment_days_of_a_trend_are_counted_once_whatever_the_substance():
    drawn = "started_at ended_at substance\n-183d -178d alcohol\n-180d -175d cannabis"
    assert look_back(substance_abuse=drawn)["substance_treatment_days_trend_360d"] == 5 - 3


# How stays follow each other


def test_the_typical_gap_is_the_one_in_the_middle():
    three = admit("-20d -19d", "-17d -16d", "-12d -11d", "-1d -12h")
    assert look_back(admissions=three)["median_gap_730d"] == 4.0
    assert look_back(admissions=admit("-20d -19d", "-17d -16d", "-12d -11d"))["median_gap_730d"] == 3.0
    assert look_back(admissions=admit("-20d -19d"))["median_gap_730d"] is None


def test_a_short_visit_has_a_gap_on_both_sides():
    features = look_back(admissions=admit("-9d -8d", "-7d -7d+12m", "-5d+12m -1d"))
    assert features["median_gap_730d"] == pytest.approx(1.5)
    assert features["smallest_gap_730d"] == pytest.approx(3 + 12 / 24 / 60)


def test_both_sides_of_a_gap_lie_in_the_window():
    assert look_back(admissions=admit("-740d -730d", "-9d -8d"))["median_gap_730d"] == 721.0
    assert look_back(admissions=admit("-740d -730d-1us", "-9d -8d"))["median_gap_730d"] is None


def test_burstiness_of_even_gaps_is_minus_1_and_of_uneven_ones_larger():
    even = admit("-20d -19d", "-17d -16d", "-14d -13d")
    assert look_back(admissions=even)["gap_burstiness_730d"] == pytest.approx(-1.0)
    one_and_three_days = admit("-20d -19d", "-18d -17d", "-14d -13d")
    assert look_back(admissions=one_and_three_days)["gap_burstiness_730d"] == pytest.approx((1 - 2) / (1 + 2))
    bursts = admit("-30d -29d", "-28d -27d", "-26d -25d", "-24d -23d", "-14d -13d")  # 1, 1, 1 and 9 days
    expected = (math.sqrt(12) - 3) / (math.sqrt(12) + 3)
    assert look_back(admissions=bursts)["gap_burstiness_730d"] == pytest.approx(expected)


def test_burstiness_needs_two_gaps_in_the_window():
    assert look_back(admissions=admit("-20d -19d", "-17d -16d"))["gap_burstiness_730d"] is None
    features = look_back(admissions=admit("-740d -730d-1us", "-17d -16d", "-14d -13d"))
    assert features["gap_burstiness_730d"] is None
    assert features["gap_burstiness_1825d"] is not None


def test_gaps_are_whole_minutes_where_their_spread_is_measured():
    drawn = admit("-50h -37h", "-33h+59900000us -20h", "-16h+60000000us -3h")  # 240.998 and 241 minutes
    expected = (0.5 - 240.5) / (0.5 + 240.5)
    assert look_back(admissions=drawn)["gap_burstiness_730d"] == pytest.approx(expected, abs=1e-9)


def test_a_stay_exactly_72_hours_after_another_is_no_quick_return():
    assert look_back(admissions=admit("-20d -12d", "-9d -9d+2h"))["quick_returns_90d"] == 0
    assert look_back(admissions=admit("-20d -12d", "-9d-1us -9d+2h"))["quick_returns_90d"] == 1


def test_a_quick_return_is_counted_where_it_starts():
    drawn = admit("-92d -91d", "{} -89d")
    assert look_back(admissions=drawn.format("-90d"))["quick_returns_90d"] == 1
    assert look_back(admissions=drawn.format("-90d-1us"))["quick_returns_90d"] == 0


def test_a_stay_exactly_7_days_after_another_is_not_within_a_week():
    assert look_back(admissions=admit("-20d -16d", "-9d -8d"))["share_within_a_week_730d"] == 0.0
    assert look_back(admissions=admit("-20d -16d+1us", "-9d -8d"))["share_within_a_week_730d"] == 1.0


def test_the_share_within_a_week_is_of_the_stays_that_follow_another():
    features = look_back(admissions=admit("-50d -49d", "-47d -46d", "-20d -19d"))
    assert features["share_within_a_week_730d"] == 0.5
    assert look_back(admissions=admit("-50d -49d"))["share_within_a_week_730d"] is None


def test_the_stay_that_another_follows_may_lie_before_the_window():
    assert look_back(admissions=admit("-740d -735d", "-729d -728d"))["share_within_a_week_730d"] == 1.0


def test_the_share_of_sector_switches_is_of_the_admissions_that_follow_another():
    drawn = "started_at ended_at sector\n-90d -88d somatic\n-70d -68d psychiatric\n-50d -48d psychiatric"
    assert look_back(admissions=drawn)["sector_switch_share_730d"] == 0.5
    assert look_back(admissions=admit("-90d -88d"))["sector_switch_share_730d"] is None


VISIT_BETWEEN = leave("-9d -8d left_early", "-7d -7d+2h completed", "-4d -3d completed")


@pytest.mark.parametrize(
    ("flag", "stays", "admissions"),
    [
        ("follows", 2, 1),
        ("quick_return", 2, 0),  # 1 day and 2 days 22 hours; 4 days between the admissions
        ("within_a_week", 2, 1),
        ("after_unfinished", 1, 1),
        ("somatic", 3, 2),
    ],
)
def test_admissions_follow_admissions_and_stays_follow_stays(flag, stays, admissions):
    assert measure(count("stays", flag), admissions=VISIT_BETWEEN) == stays
    assert measure(count("admissions", flag), admissions=VISIT_BETWEEN) == admissions


def test_a_stay_with_a_psychiatric_contact_is_not_somatic():
    features = look_back(
        admissions="""
        started_at ended_at sector
        -30d       -28d     somatic
        -20d       -18d     somatic
        -18d       -17d     psychiatric
        """
    )
    assert features["acute_somatic_admissions_365d"] == 1


def test_leaving_early_twice_in_a_row():
    twice = look_back(admissions=leave("-90d -89d left_early", "-60d -59d left_early", "-30d -29d completed"))
    assert twice["unfinished_again_730d"] == 1
    assert twice["unfinished_share_after_unfinished_1825d"] == 0.5
    between = look_back(
        admissions=leave("-90d -89d left_early", "-60d -59d completed", "-30d -29d left_early")
    )
    assert between["unfinished_again_730d"] == 0
    assert between["unfinished_share_after_unfinished_1825d"] == 0.0


def test_a_stay_after_one_whose_discharge_nobody_recorded_is_not_after_unfinished():
    features = look_back(admissions=leave("-90d -89d .", "-60d -59d left_early"))
    assert features["unfinished_again_730d"] == 0
    assert features["unfinished_share_after_unfinished_1825d"] is None


def test_an_open_stay_has_not_been_left_early_again():
    features = look_back(admissions=leave("-90d -89d left_early", "-2d 0 left_early"))
    assert features["unfinished_again_730d"] == 0
    assert features["unfinished_share_after_unfinished_1825d"] is None
    assert features["quick_returns_90d"] == 0


def test_psychiatric_stays_left_early():
    drawn = "started_at ended_at sector discharge\n-9d -8d {} left_early\n-8d -7d {} left_early"
    for sectors, expected in {
        ("somatic", "somatic"): 0,
        ("somatic", "psychiatric"): 1,
        ("psychiatric", "psychiatric"): 1,
    }.items():
        features = look_back(admissions=drawn.format(*sectors))
        assert features["psychiatric_unfinished_stays_730d"] == expected


# Hospital contacts and their units


def visit(*departments: str) -> str:
    """Draw one contact every ten days, the last one ten days ago; a dot is a contact without a department."""
    rows = [
        f"-{10 * age}d {name}" for age, name in zip(range(len(departments), 0, -1), departments, strict=True)
    ]
    return "\n".join(("started_at department", *rows))


@pytest.mark.parametrize(
    ("departments", "expected"),
    [
        (("1", "1", "2", ".", "2"), 2 / 3),
        (("1", "2", "1", "2"), 0.0),
        (("1", "1"), 1.0),
        (("1", "."), None),
        ((".",), None),
        ((), None),
    ],
)
def test_the_sequence_of_departments_passes_over_contacts_without_one(departments, expected):
    found = look_back(admissions=visit(*departments))["department_sequence_730d"]
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize(("first", "expected"), [("-730d", 1.0), ("-730d-1us", None)])
def test_both_contacts_of_a_pair_start_in_the_window(first, expected):
    features = look_back(admissions=admit(f"{first} -729d", "-9d -8d"))
    assert features["department_sequence_730d"] == expected


@pytest.mark.parametrize(("departments", "expected"), [("1 2 2", 0.5), ("2 1 2", 0.0)])
def test_contacts_that_start_together_are_in_order_of_their_ids(departments, expected):
    one, two, later = departments.split()
    drawn = f"started_at contact_id department\n-8d c0 {later}\n-9d c2 {two}\n-9d c1 {one}"
    assert look_back(admissions=drawn)["department_sequence_730d"] == expected


def test_the_same_department_name_in_another_hospital_is_another_unit():
    drawn = "started_at hospital department\n-9d A 1\n-8d B 1\n-7d . 1\n-6d . 1"
    features = look_back(admissions=drawn)
    assert features["department_sequence_730d"] == pytest.approx(1 / 3)
    assert features["department_concentration_365d"] == 0.5


@pytest.mark.parametrize(
    ("departments", "expected"),
    [(("1", "2", "1", "."), 2 / 3), (("1", "2"), 0.5), ((".",), None), ((), None)],
)
def test_concentration_is_the_share_of_the_most_frequent_department(departments, expected):
    found = look_back(admissions=visit(*departments))["department_concentration_365d"]
    assert found is None if expected is None else found == pytest.approx(expected)


def test_concentration_is_of_the_contacts_in_the_window():
    drawn = "started_at department\n-365d-1us 1\n-365d 2\n-9d 1"
    features = look_back(admissions=drawn)
    assert features["department_concentration_365d"] == 0.5
    assert features["department_concentration_730d"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("-400d 1\n-90d 2", 1),
        ("-400d 1\n-90d-1us 2", 0),
        ("-9d 1", 0),  # the first department of all is not new
        ("-9d 1\n-9d 2", 0),
        ("-9d .\n-8d 1", 0),  # nor is the first that anybody wrote down
        ("-400d 1\n-9d 2\n-9d 2\n-8d 2", 1),
        ("-400d 1\n-300d 2\n-9d 2\n-8d 1", 0),
        ("-400d 1\n-9d 2\n-8d 3\n-7d .", 2),
    ],
)
def test_a_department_is_new_when_it_is_first_seen_later_than_another(drawn, expected):
    features = look_back(admissions=f"started_at department\n{drawn}")
    assert features["new_departments_90d"] == expected


# Psychiatric appointments


@pytest.mark.parametrize(
    ("attendances", "in_a_row"),
    [
        ("no_show no_show", 1),
        ("no_show no_show no_show", 2),
        ("no_show cancelled no_show", 1),
        ("no_show attended no_show", 0),
        ("no_show unknown no_show", 0),
        ("no_show attended", 0),
        ("cancelled no_show", 0),
    ],
)
def test_appointments_missed_in_a_row_pass_over_those_called_off(attendances, in_a_row):
    rows = [f"-{9 - number}d {attendance}" for number, attendance in enumerate(attendances.split())]
    features = look_back(psychiatric_contacts="\n".join(("started_at attendance", *rows)))
    assert features["psychiatric_no_shows_in_a_row_365d"] == in_a_row
    assert features["psychiatric_cancellations_365d"] == attendances.count("cancelled")


@pytest.mark.parametrize(
    ("attendances", "in_a_row"), [("attended no_show no_show", 1), ("no_show attended no_show", 0)]
)
def test_appointments_at_the_same_moment_are_in_order_of_their_ids(attendances, in_a_row):
    one, two, later = attendances.split()
    drawn = f"started_at contact_id attendance\n-8d p0 {later}\n-9d p2 {two}\n-9d p1 {one}"
    assert look_back(psychiatric_contacts=drawn)["psychiatric_no_shows_in_a_row_365d"] == in_a_row


def test_the_appointment_missed_before_may_lie_before_the_window():
    drawn = "started_at attendance\n-366d no_show\n-365d no_show"
    assert look_back(psychiatric_contacts=drawn)["psychiatric_no_shows_in_a_row_365d"] == 1


def test_the_last_appointment_is_the_last_one_kept_or_missed():
    drawn = "started_at attendance\n-9d attended\n-8d no_show\n-7d cancelled"
    features = look_back(psychiatric_contacts=drawn)
    assert features["last_psychiatric_appointment_missed_365d"] is True
    assert features["days_since_psychiatric_no_show_730d"] == 8.0
    kept = look_back(psychiatric_contacts=f"{drawn}\n-6d unknown")
    assert kept["last_psychiatric_appointment_missed_365d"] is False
    assert (
        look_back(psychiatric_contacts="started_at attendance\n-7d cancelled")[
            "last_psychiatric_appointment_missed_365d"
        ]
        is None
    )


def test_continuity_in_psychiatry_is_of_the_contacts_that_took_place():
    drawn = """
        started_at provider attendance
        -9d        north    attended
        -8d        north    attended
        -7d        south    attended
        -6d        south    no_show
        -5d        .        attended
        """
    features = look_back(psychiatric_contacts=drawn)
    assert features["psychiatric_provider_continuity_730d"] == pytest.approx((4 + 1 - 3) / (3 * 2))


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("-400d north\n-30d south", (1, 1)),
        ("-400d north\n-30d-1us south", (0, 1)),
        ("-9d north\n-9d south", (0, 0)),
        ("-9d .\n-8d north", (0, 0)),
        ("-400d north\n-9d south\n-8d east\n-7d north", (2, 2)),
    ],
)
def test_a_psychiatric_provider_is_new_when_first_seen_later_than_another(drawn, expected):
    features = look_back(psychiatric_contacts=f"started_at provider\n{drawn}")
    names = ("new_psychiatric_providers_30d", "new_psychiatric_providers_90d")
    assert tuple(features[name] for name in names) == expected


# Treatment for substance use


TREATED = "started_at ended_at end_reason\n-300d -20d {}"


@pytest.mark.parametrize(
    ("end_reason", "expected"), [("completed", 1), ("dropped_out", 0), ("unknown", 0), (".", 0)]
)
def test_a_treatment_is_completed_if_its_end_says_so(end_reason, expected):
    features = look_back(substance_abuse=TREATED.format(end_reason))
    assert features["completed_substance_treatments_730d"] == expected


def test_a_treatment_whose_end_is_not_known_yet_is_not_completed():
    drawn = "started_at ended_at end_reason\n-300d {} completed"
    assert look_back(substance_abuse=drawn.format("0"))["completed_substance_treatments_730d"] == 0
    assert look_back(substance_abuse=drawn.format("-1us"))["completed_substance_treatments_730d"] == 1


@pytest.mark.parametrize(
    ("admission", "expected"),
    [
        ("-30d -10d", 1),
        ("-20d -10d", 1),  # ended the moment the admission began
        ("-20d+1us -10d", 0),
        ("-30d -20d", 0),  # and the moment it was over
        ("-30d -20d+1us", 1),
        ("-30d .", 1),
        ("-20d-2h -20d+2h", 0),  # a visit is no admission
    ],
)
def test_a_treatment_ended_in_hospital_if_its_end_lies_in_an_admission(admission, expected):
    features = look_back(substance_abuse=TREATED.format("dropped_out"), admissions=admit(admission))
    assert features["treatments_ended_in_hospital_730d"] == expected


def test_a_treatment_that_goes_on_has_not_ended_in_hospital():
    features = look_back(substance_abuse="started_at\n-300d", admissions=admit("-30d ."))
    assert features["treatments_ended_in_hospital_730d"] == 0


def test_an_unknown_substance_is_none_of_the_different_ones():
    drawn = """
        started_at substance provider
        -730d      alcohol   north
        -500d      alcohol   south
        -400d      cannabis  .
        -300d      unknown   north
        -731d      opioids   west
        """
    features = look_back(substance_abuse=drawn)
    assert features["substances_730d"] == 2
    assert features["substance_providers_730d"] == 2
    assert (features["alcohol_treatments_730d"], features["cannabis_treatments_730d"]) == (2, 1)
    assert features["opioids_treatments_730d"] == features["other_substance_treatments_730d"] == 0
    assert features["days_since_first_substance_treatment_1825d"] == 731.0


def test_a_treatment_is_with_a_new_provider_when_that_was_first_seen_later_than_another():
    drawn = "started_at provider\n-300d north\n-200d south\n-100d south\n-90d ."
    assert measure(count("treatments", "new_provider"), substance_abuse=drawn) == 1
    assert measure(count("treatments", "new_provider"), substance_abuse="started_at provider\n-9d north") == 0


def test_the_longest_treatment_is_joined_and_cut_at_the_window():
    joined = "started_at ended_at substance\n-20d -10d alcohol\n-12d -5d cannabis\n-4d -1d alcohol"
    assert look_back(substance_abuse=joined)["longest_substance_treatment_1825d"] == 15.0
    cut = "started_at ended_at\n-1835d -1820d\n-3d ."
    assert look_back(substance_abuse=cut)["longest_substance_treatment_1825d"] == 5.0
    assert look_back(substance_abuse="started_at\n-3d")["longest_substance_treatment_1825d"] == 3.0


def test_the_longest_of_nothing_is_0_and_of_an_absent_table_null():
    assert look_back()["longest_substance_treatment_1825d"] == 0.0
    assert look_back(substance_abuse=admit("-1900d -1825d"))["longest_substance_treatment_1825d"] == 0.0
    absent = look_back(absent=("substance_abuse",))
    assert absent["longest_substance_treatment_1825d"] is absent["substances_730d"] is None


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("-1825d\n-9d", 1825.0),
        ("-1825d-1us\n-9d", 9.0),
        ("-1825d-1us", None),
        ("0", None),
    ],
)
def test_days_since_the_first_treatment_are_of_the_earliest_in_the_window(drawn, expected):
    features = look_back(substance_abuse=f"started_at\n{drawn}")
    assert features["days_since_first_substance_treatment_1825d"] == expected


def test_days_since_the_first_diagnosis_are_from_the_start_of_its_contact():
    drawn = "started_at ended_at diagnosis\n-90d -85d E119\n-50d -45d E101\n-9d -8d F200\n-1d . F320"
    features = look_back(admissions=drawn)
    assert features["days_since_first_diabetes_diagnosis_1825d"] == 90.0
    assert features["days_since_first_psychosis_diagnosis_1825d"] == 9.0
    assert features["days_since_first_affective_diagnosis_1825d"] is None


# Benefits


SELF = "started_at ended_at benefit\n"


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("", None),
        ("-90d . social_assistance", True),
        ("-900d . self_support", False),
        ("-900d -728d self_support\n-728d . sickness", True),  # it ended where the window opens
        ("-900d -728d+1us self_support\n-728d . sickness", False),
        ("-728d -728d self_support\n-9d . sickness", False),  # it started where the window opens
        ("-900d -728d self_support", None),
        ("-900d -728d sickness", None),
        ("-900d -728d+1us sickness", True),
        ("-900d -9d sickness\n-9d -8d self_support", False),
        ("-9d . sickness\n0 . self_support", True),
    ],
)
def test_never_self_supported_is_told_from_the_intervals_that_reach_into_the_window(drawn, expected):
    assert look_back(social_benefits=SELF + drawn)["never_self_supported_728d"] is expected


def test_never_is_null_without_the_table():
    assert look_back(absent=("social_benefits",))["never_self_supported_728d"] is None


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("", 0),
        ("-900d -730d sickness", 0),
        ("-900d -730d+1us sickness", 1),
        ("-730d -730d sickness", 1),
        ("-730d-1us -730d-1us sickness", 0),
        ("-900d . pension\n-99d -9d sickness\n-8d -7d sickness", 2),
        ("-900d . pension\n0 . sickness", 1),
    ],
)
def test_different_benefits_are_those_with_any_part_in_the_window(drawn, expected):
    assert look_back(social_benefits=SELF + drawn)["benefits_730d"] == expected


def test_the_longest_public_benefit_is_not_self_support():
    drawn = "-400d -300d self_support\n-300d -280d education\n-280d -265d sickness"
    assert look_back(social_benefits=SELF + drawn)["longest_public_benefit_730d"] == 20.0
    assert look_back(social_benefits=SELF + "-740d -720d pension")["longest_public_benefit_730d"] == 10.0
    assert look_back(social_benefits=SELF + "-9d . self_support")["longest_public_benefit_730d"] == 0.0


OUTSIDE = """
    started_at ended_at benefit
    -30d       -20d     sickness
    -25d       -10d     social_assistance
    -10d       -5d      rehabilitation
    -50d       -35d     unemployment
    -5d        -4d      flex_job
    """


def test_benefits_outside_the_labour_market_that_overlap_or_adjoin_are_one_spell():
    features = look_back(social_benefits=OUTSIDE)
    assert features["days_outside_labour_market_365d"] == 25.0
    assert features["longest_outside_labour_market_1825d"] == 25.0
    assert features["outside_labour_market"] is False


def test_early_retirement_is_outside_the_labour_market():
    features = look_back(social_benefits=f"{OUTSIDE}    -3d . early_retirement\n")
    assert features["days_outside_labour_market_365d"] == 28.0
    assert features["longest_outside_labour_market_1825d"] == 25.0
    assert features["outside_labour_market"] is True


@pytest.mark.parametrize(
    "benefit", ["self_support", "education", "unemployment", "flex_job", "pension", "parental", "other"]
)
def test_the_other_benefits_are_not_outside_the_labour_market(benefit):
    assert look_back(social_benefits=f"{SELF}-9d . {benefit}")["outside_labour_market"] is False


def test_outside_the_labour_market_is_null_without_the_table():
    features = look_back(absent=("social_benefits",))
    assert features["outside_labour_market"] is features["days_outside_labour_market_365d"] is None


# Municipal services


def test_shelter_stays_that_adjoin_are_one():
    features = look_back(social_services="started_at ended_at\n-40d -30d\n-30d -25d\n-12d -9d")
    assert features["shelter_stays_730d"] == 2
    assert features["longest_shelter_stay_730d"] == 15.0
    assert features["days_since_shelter_1825d"] == 9.0


def test_paragraphs_and_providers_at_work_are_those_of_services_that_go_on():
    features = look_back(
        social_services="""
        started_at ended_at service paragraph provider
        -90d       .        support 85        north
        -80d       .        support 107       north
        -70d       .        shelter 85        south
        -60d       .        other   .         .
        -50d       -9d      other   110       east
        -40d       0        other   82        west
        """
    )
    assert features["active_paragraphs"] == 3
    assert features["active_providers"] == 3
    assert features["active_services"] == 3


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("-400d north\n-30d south", (1, 1)),
        ("-400d north\n-30d-1us south", (0, 1)),
        ("-9d north", (0, 0)),
        ("-9d north\n-9d south", (0, 0)),
        ("-400d .\n-9d south", (0, 0)),
        ("-400d north\n-9d south\n-8d south\n-8d north", (1, 1)),
    ],
)
def test_a_service_provider_is_new_when_first_seen_later_than_another(drawn, expected):
    features = look_back(social_services=f"started_at provider\n{drawn}")
    assert (features["new_service_providers_30d"], features["new_service_providers_90d"]) == expected


# Discharges


@pytest.mark.parametrize(
    ("visit", "alone_14", "alone_30"),
    [
        ("-60d-1us", 1, 1),
        ("-60d", 0, 0),
        ("-46d-1us", 0, 0),
        ("-46d", 1, 0),
        ("-30d-1us", 1, 0),
        ("-30d", 1, 1),
    ],
)
def test_follow_up_is_looked_for_in_the_half_open_14_and_30_days(visit, alone_14, alone_30):
    features = look_back(admissions=admit("-70d -60d"), primary_care=f"started_at\n{visit}")
    assert features["discharges_without_follow_up_365d"] == alone_14
    assert features["discharges_without_follow_up_in_30_days_365d"] == alone_30
    assert features["share_without_follow_up_in_30_days_730d"] == alone_30


def test_a_discharge_is_judged_over_30_days_once_these_have_passed():
    assert look_back(admissions=admit("-40d -30d"))["share_without_follow_up_in_30_days_730d"] == 1.0
    too_early = look_back(admissions=admit("-40d -30d+1us"))
    assert too_early["share_without_follow_up_in_30_days_730d"] is None
    assert too_early["discharges_without_follow_up_in_30_days_365d"] == 0
    assert too_early["share_without_follow_up_365d"] == 1.0


def test_discharges_are_all_known_ends_of_admissions():
    drawn = {"admissions": admit("-90d -80d", "-20d -15d", "-9d -9d+2h", "-5d -4d", "-1d .")}
    assert [
        measure(count("discharges", *flags, anchor="end"), **drawn)
        for flags in ((), ("due_14",), ("due_30",))
    ] == [3, 2, 1]
    for table in ("psychiatric_contacts", "primary_care"):
        assert measure(count("discharges", "due_14", anchor="end"), absent=(table,), **drawn) is None


# Long-term conditions


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("E119 E101", 1),
        ("E119 J440 I500 N189 K700 G409 F009", 7),
        ("I426 I500", 1),
        ("F102 F200 X619 Z590 T510 I109 .", 0),
    ],
)
def test_different_long_term_conditions_are_counted_once_each(codes, expected):
    rows = [f"-{9 * number}d -{9 * number}d+1d {code}" for number, code in enumerate(codes.split(), start=2)]
    drawn = "\n".join(("started_at ended_at diagnosis", *rows))
    assert look_back(admissions=drawn)["long_term_conditions_1825d"] == expected


@pytest.mark.parametrize(("known_at", "expected"), [("-1us", 1), ("0", 0), ("+1us", 0)])
def test_a_diagnosis_is_of_the_hospital_once_its_contact_is_known_to_be(known_at, expected):
    features = look_back(
        admissions=f"started_at known_at contact_id\n-9d {known_at} a0",
        diagnoses="started_at ended_at contact_id code\n-9d -8d a0 F102",
    )
    assert features["alcohol_contacts_365d"] == expected


def test_conditions_come_from_every_table_with_diagnoses_and_need_none_of_the_optional_ones():
    drawn = "started_at ended_at diagnosis\n-1825d -1824d E119\n-1825d-1us -1824d J440\n-1d . I500"
    features = look_back(
        admissions=drawn,
        diagnoses="started_at ended_at code\n-9d -8d K700",
        psychiatric_contacts="started_at diagnosis\n-7d F009",
    )
    assert features["long_term_conditions_1825d"] == 3
    assert look_back(admissions=drawn, absent=OPTIONAL_TABLES)["long_term_conditions_1825d"] == 1


# Sectors at work


AT_WORK = {
    "admissions": admit("-40d -39d"),
    "psychiatric_contacts": "started_at attendance\n-20d attended",
    "substance_abuse": "started_at\n-900d",
    "social_services": """
        started_at ended_at service
        -99d       -9d      home_care
        -90d       .        home_nursing
        -80d       -30d     job_centre
        -70d       -30d+1us shelter
        """,
}


def test_sectors_at_work_are_hospital_psychiatry_substance_care_employment_and_social():
    features = look_back(**AT_WORK)
    assert features["active_sectors_90d"] == 6
    assert features["active_sectors_30d"] == 4  # not the hospital, and the job centre ended on the edge


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        (("home_care", "home_nursing"), 1),
        (("shelter", "support", "supported_housing", "contact_person", "other"), 1),
        (("home_nursing", "job_centre", "shelter"), 3),
        (("job_centre", "other"), 2),
    ],
)
def test_a_sector_is_counted_once_however_many_services_it_gives(services, expected):
    drawn = "\n".join(("started_at service", *(f"-9d {service}" for service in services)))
    assert look_back(social_services=drawn)["active_sectors_30d"] == expected


@pytest.mark.parametrize("table", ["psychiatric_contacts", "substance_abuse", "social_services"])
def test_sectors_at_work_are_null_where_one_is_absent(table):
    drawn = {name: text for name, text in AT_WORK.items() if name != table}
    assert look_back(absent=(table,), **drawn)["active_sectors_90d"] is None


def test_sectors_at_work_do_not_need_the_benefits_or_primary_care():
    features = look_back(absent=("social_benefits", "primary_care", "diagnoses"), **AT_WORK)
    assert features["active_sectors_90d"] == 6


@pytest.mark.parametrize(
    ("sector", "attendance", "expected"),
    [
        ("psychiatric", "attended", 1),
        ("somatic", "attended", 2),
        ("somatic", "unknown", 2),
        ("somatic", "no_show", 1),
        ("somatic", "cancelled", 1),
    ],
)
def test_the_ward_and_the_clinic_of_psychiatry_are_one_sector(sector, attendance, expected):
    features = look_back(
        admissions=f"started_at ended_at sector\n-9d -9d+2h {sector}",
        psychiatric_contacts=f"started_at attendance\n-5d {attendance}",
    )
    assert features["active_sectors_30d"] == expected


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("-99d -30d", 0),
        ("-99d -30d+1us", 1),
        ("-30d -30d", 1),
        ("-30d-1us -30d-1us", 0),
        ("-99d .", 1),
        ("0 .", 0),
    ],
)
def test_a_sector_is_at_work_if_any_part_of_it_lies_in_the_window(span, expected):
    assert look_back(social_services=admit(span))["active_sectors_30d"] == expected
    assert look_back(substance_abuse=admit(span))["active_sectors_30d"] == expected
    assert look_back(admissions=admit(span))["active_sectors_30d"] == expected


def test_nobody_at_work_is_0():
    assert look_back()["active_sectors_90d"] == 0


# Features of one's own that match texts


DIAGNOSED = """
    started_at ended_at hospital department diagnosis discharge
    -90d       -89d     A        1          E119      left_early
    -80d       -79d     A        2          E11       completed
    -70d       -69d     B        1          E101      left_early
    -60d       -59d     B        2          J440      completed
    -50d       -49d     A        1          .         completed
    -5d        .        A        1          E119      .
    """


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, 6),
        ({"diagnosis": ("E11*",)}, 2),  # that of the open contact is not known yet
        ({"diagnosis": ("E11",)}, 1),
        ({"diagnosis": ("E119", "J44*")}, 2),
        ({"diagnosis": ("*",)}, 4),  # one without a diagnosis and one not known yet
        ({"hospital": ("A",)}, 4),
        ({"hospital": ("A",), "department": ("2",)}, 1),
        ({"hospital": ("A", "B"), "diagnosis": ("E1*",)}, 3),
    ],
)
def test_contacts_that_match_texts(match, expected):
    assert measure(count("contacts", match=match), admissions=DIAGNOSED) == expected


def test_a_stay_matches_by_the_diagnosis_of_its_first_contact():
    drawn = "started_at ended_at diagnosis\n-9d -8d E119\n-8d -7d J440"
    for events in ("stays", "admissions"):
        assert measure(count(events, match={"diagnosis": ("E11*",)}), admissions=drawn) == 1
        assert measure(count(events, match={"diagnosis": ("J44*",)}), admissions=drawn) == 0


def test_a_share_is_of_all_the_events_and_only_its_numerator_matches():
    share = define(
        measure="share",
        events="stays",
        where=("unfinished",),
        of=("ended",),
        anchor="end",
        windows=(365,),
        match={"diagnosis": ("E119",)},
    )
    assert measure(share, admissions=DIAGNOSED) == pytest.approx(1 / 5)


@pytest.mark.parametrize(("wanted", "expected"), [("E11*", 2), ("J440", 1), ("F*", 0), ("K70*", 1)])
def test_diagnoses_match_by_their_code(wanted, expected):
    found = measure(
        count("diagnoses", match={"code": (wanted,)}),
        admissions=DIAGNOSED,
        diagnoses="started_at ended_at code\n-9d -8d K700",
    )
    assert found == expected


def test_conditions_match_by_the_code_of_their_diagnosis():
    different = define(
        measure="distinct",
        events="conditions",
        value="condition",
        windows=(365,),
        match={"code": ("E*", "I*")},
    )
    assert measure(different, admissions=DIAGNOSED) == 1


def test_psychiatric_contacts_match_by_provider_and_diagnosis():
    drawn = "started_at provider diagnosis\n-9d north F200\n-8d northern F320\n-7d . F200\n-6d north ."
    for match, expected in (
        ({"provider": ("north",)}, 2),
        ({"provider": ("north*",)}, 3),
        ({"provider": ("north*",), "diagnosis": ("F2*",)}, 1),
    ):
        assert measure(count("psychiatric_contacts", match=match), psychiatric_contacts=drawn) == expected


def test_treatments_match_by_provider():
    drawn = "started_at provider\n-9d north\n-8d south\n-7d ."
    assert measure(count("treatments", match={"provider": ("south", "east")}), substance_abuse=drawn) == 1


def test_services_match_by_service_paragraph_and_provider():
    drawn = """
        started_at ended_at service    paragraph provider
        -9d        .        support    85        north
        -8d        .        support    85a       south
        -7d        .        home_care  83        south
        -6d        -5d      home_care  85        east
        """
    providers = {"measure": "distinct_now", "events": "services", "value": "provider"}
    for match, expected in (
        ({"paragraph": ("85",)}, 1),
        ({"paragraph": ("85*",)}, 2),
        ({"service": ("home_*",)}, 1),
        ({"provider": ("south",)}, 1),
        ({"service": ("support",), "provider": ("south", "north")}, 2),
    ):
        assert measure(define(**providers, match=match), social_services=drawn) == expected
