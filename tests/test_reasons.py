"""Reasons: which are told, in which order, and which of them can be worked with."""

import tomllib
from importlib import resources

import numpy as np
import polars as pl
import pytest

from somv_risk.errors import ConfigError
from somv_risk.features import MEASURES, Definition, load_catalogue, load_definitions
from somv_risk.scoring.reasons import build_feature_reasons, build_reasons, render_sentence
from somv_risk.scoring.reasons._shapes import SHAPES

BY_NAME = {feature.name: feature for feature in load_catalogue()}
BY_ID = {definition.id: definition for definition in load_definitions()}
BASE = -2.0

COUNT, DECAYED, TREND = (
    "acute_admissions_365d",
    "acute_admissions_decayed_730d",
    "acute_admissions_trend_360d",
)
VISITS = "emergency_visits_365d"


def build_row(pulls, values):
    features = tuple(BY_NAME[name] for name in pulls)
    frame = pl.DataFrame({name: [values.get(name, 2)] for name in pulls})
    return features, frame, np.array([[*pulls.values(), BASE]])


def tell(pulls, values=None, **options):
    """The reasons of one person, given what each feature contributes and is."""
    features, frame, contributions = build_row(pulls, values or {})
    asked = {"count": 20, "language": "en"} | options
    return build_reasons(features, frame, contributions, **asked)[0]


def tell_features(pulls, values=None, language="en"):
    features, frame, contributions = build_row(pulls, values or {})
    return build_feature_reasons(features, frame, contributions, language=language)[0]


# Order


def test_the_largest_contribution_comes_first_whichever_way_it_pulls():
    pulls = {
        COUNT: 0.4,
        "gp_contacts_90d": -0.9,
        "age": 0.1,
        "psychiatric_no_shows_90d": 0.6,
        "in_shelter": -0.5,
    }
    told = tell(pulls)
    assert [reason.contribution for reason in told] == [-0.9, 0.6, -0.5, 0.4, 0.1]
    assert tell(pulls, count=2) == told[:2]


def test_each_reason_says_its_own_direction():
    first, second = tell({COUNT: 0.4, "gp_contacts_90d": -0.9})
    assert first.text.endswith("This lowers the estimated risk.")
    assert second.text.endswith("This raises the estimated risk.")


def test_a_theme_is_weighed_by_its_sum_with_what_pulls_the_other_way():
    first, second = tell({COUNT: 0.8, VISITS: -0.5, "gp_contacts_90d": -0.4})
    assert (first.theme, first.contribution) == ("continuity", -0.4)
    assert (second.theme, second.told) == ("hospital_use", (COUNT,))
    assert second.contribution == pytest.approx(0.3)


# What tells a theme


@pytest.mark.parametrize(
    ("pulls", "told"),
    [
        ({DECAYED: 1.0, COUNT: 0.5}, (COUNT,)),
        ({DECAYED: 1.0, COUNT: 0.49}, (DECAYED, COUNT)),
        ({DECAYED: 1.0, COUNT: 0.6, VISITS: 0.5}, (COUNT, VISITS)),
        ({DECAYED: 1.0, COUNT: 0.5, VISITS: 0.6}, (VISITS, COUNT)),
        ({DECAYED: 1.0, COUNT: 0.2, VISITS: 0.3}, (DECAYED, VISITS)),
        ({DECAYED: 1.0, COUNT: 0.09}, (DECAYED,)),
        # "About 4, when older ones count for less" after "7 acute admissions" would say it twice.
        ({COUNT: 1.0, DECAYED: 0.9, VISITS: 0.4}, (COUNT, VISITS)),
        ({VISITS: 1.0, DECAYED: 0.9, COUNT: 0.4}, (VISITS, DECAYED)),
        # A trend is in dispute, as are planned admissions: both stand behind what is not.
        ({TREND: 1.0, DECAYED: 0.2, COUNT: 0.05}, (DECAYED, TREND)),
        ({TREND: 1.0, "planned_admissions_90d": 0.5}, ("planned_admissions_90d", TREND)),
        ({TREND: 1.0, "planned_admissions_90d": 0.4}, (TREND, "planned_admissions_90d")),
    ],
)
def test_a_plain_count_goes_before_what_is_at_most_twice_as_heavy(pulls, told):
    assert tell(pulls)[0].told == told


def test_the_windows_of_a_count_are_weighed_together():
    pulls = {DECAYED: 1.0, "acute_admissions_90d": 0.2, COUNT: 0.3}
    assert tell(pulls)[0].told == (COUNT,)


def test_the_value_is_that_of_the_feature_told_first():
    (reason,) = tell({DECAYED: 1.0, COUNT: 0.5}, {DECAYED: 4.2, COUNT: 7})
    assert (reason.feature, reason.value) == (COUNT, 7.0)
    assert reason.text.startswith("7 acute admissions in the past year. ")


def test_every_measure_has_its_rank():
    plain = "count distinct distinct_now most_within days days_since days_since_first days_open longest mean"
    proportions = "longest_inside smallest median_gap share pair_share concentration"
    indices = "decayed trend days_trend burstiness continuity entropy"
    expected = {
        0: {*plain.split(), "any", "never", "now", "last", "age", "category"},
        1: set(proportions.split()),
        2: set(indices.split()),
    }
    assert {
        rank: {m for m in MEASURES if SHAPES[MEASURES[m].shape].rank == rank} for rank in range(3)
    } == expected


# What can be worked with


def test_every_row_of_the_catalogue_says_whether_it_can_be_worked_with():
    text = resources.files("somv_risk.features").joinpath("catalogue.toml").read_text(encoding="utf-8")
    assert [name for name, row in tomllib.loads(text).items() if "changeable" not in row] == []


@pytest.mark.parametrize(
    "identity",
    [
        *("unfinished_stays", "psychiatric_no_shows", "in_substance_treatment", "alcohol_contacts"),
        *("on_social_assistance", "in_shelter", "homeless_diagnosis", "has_contact_person"),
        *("department_continuity", "gp_contacts", "discharges_without_follow_up", "self_harm_contacts"),
    ],
)
def test_what_a_team_and_the_citizen_can_work_with_is_changeable(identity):
    assert BY_ID[identity].changeable


@pytest.mark.parametrize(
    "identity",
    [
        *("age", "sex", "municipality", "anxiety_diagnosis", "long_term_conditions", "on_pension"),
        *("acute_admissions", "most_acute_admissions_in_7_days", "psychiatric_admissions", "sector_switches"),
        *(
            "days_since_first_substance_treatment",
            "days_since_first_diabetes_diagnosis",
            "on_early_retirement",
        ),
    ],
)
def test_what_is_given_is_not_changeable(identity):
    assert not BY_ID[identity].changeable


def test_nothing_fixed_or_counted_by_its_first_date_is_changeable():
    fixed = [d.id for d in BY_ID.values() if d.events == "background" or d.measure == "days_since_first"]
    assert len(fixed) > 10
    assert not any(BY_ID[identity].changeable for identity in fixed)


def test_a_definition_of_ones_own_is_given_unless_it_says_otherwise():
    row = {"id": "own", "theme": "bursts", "title": {"da": "egen", "en": "own"}, "unit": "events"}
    row |= {"measure": "count", "events": "stays", "windows": [90]}
    assert not Definition(**row).changeable
    assert Definition(**row, changeable=True).changeable
    with pytest.raises(ConfigError, match=r"'own' is changeable 1\. Give true or false"):
        Definition(**row, changeable=1)


@pytest.mark.parametrize(
    ("pulls", "changeable"),
    [
        ({"psychiatric_no_shows_90d": 1.0}, True),
        ({"anxiety_diagnosis_1825d": 1.0}, False),
        ({"psychiatric_admissions_365d": 1.0, "psychiatric_no_shows_90d": 0.5}, True),
        # Not told, as it carries less than a tenth: what is not told marks nothing.
        ({"psychiatric_admissions_365d": 1.0, "psychiatric_no_shows_90d": 0.05}, False),
    ],
)
def test_a_reason_is_changeable_if_something_told_is(pulls, changeable):
    assert tell(pulls)[0].changeable == changeable


# Per feature


def test_every_feature_that_contributes_has_its_sentence_the_largest_first():
    pulls = {COUNT: 0.4, "gp_contacts_90d": -0.9, VISITS: 0.0, "age": 0.1}
    told = tell_features(pulls, {COUNT: 7, "gp_contacts_90d": 3, "age": 44})
    assert [reason.feature for reason in told] == ["gp_contacts_90d", COUNT, "age"]
    assert [reason.contribution for reason in told] == [-0.9, 0.4, 0.1]
    assert [reason.theme for reason in told] == ["continuity", "hospital_use", "background"]
    assert [reason.value for reason in told] == [3.0, 7.0, 44.0]
    assert [reason.changeable for reason in told] == [True, False, False]
    assert [reason.text for reason in told] == [
        "3 contacts with the general practitioner in the past 3 months. This lowers the estimated risk.",
        "7 acute admissions in the past year. This raises the estimated risk.",
        "Age: 44 years. This raises the estimated risk.",
    ]


def test_a_category_has_no_number_and_is_told():
    (reason,) = tell_features({"sex": -0.2}, {"sex": "male"}, language="da")
    assert reason.value is None
    assert reason.text == render_sentence(BY_NAME["sex"], "male", -0.2, "da")


def test_what_is_of_an_absent_table_is_no_reason_but_has_its_place_among_the_features():
    pulls, values = {"gp_contacts_90d": 0.7, COUNT: 0.2}, {"gp_contacts_90d": None}
    assert [reason.feature for reason in tell(pulls, values, absent=["primary_care"])] == [COUNT]
    first, _ = tell_features(pulls, values)
    assert first.value is None
    assert first.text.startswith("No information about contacts with the general practitioner ")


def test_nobody_has_no_reasons():
    features, frame, contributions = build_row({COUNT: 0.4}, {})
    nobody = build_feature_reasons(features, frame.clear(), contributions[:0], language="en")
    assert nobody == []
