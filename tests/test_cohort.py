"""Cohort: who is eligible, how many each rule left out, and what cannot be asked."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drawn import draw_histories
from reference import reference_cohort
from small_world import INDEX, INDEX_TIMES, build_histories, person_rows
from somv_risk.cohort.cohort import compute_age_years, make_cohort
from somv_risk.errors import ConfigError

NOON = INDEX + timedelta(hours=12)
all_persons = st.tuples(*map(person_rows, ("ada", "bo", "cy")))
some_moments = st.lists(st.sampled_from((*INDEX_TIMES, NOON)), min_size=1)


def make(persons, moments, **minimums):
    return make_cohort(build_histories({"persons": list(persons), "admissions": []}), moments, **minimums)


@given(all_persons, some_moments, st.sampled_from((0, 18, 21)), st.sampled_from((0, 1, 365)))
def test_the_cohort_is_what_the_reference_says(persons, moments, age, days):
    cohort = make(persons, moments, minimum_age_years=age, minimum_residence_days=days)
    assert cohort.rows.collect().rows() == reference_cohort({"persons": persons}, moments, age, days)


@given(
    st.dates(date(1890, 1, 1), date(2030, 1, 1)),
    st.dates(date(1990, 1, 1), date(2030, 1, 1)),
    st.integers(0, 100),
)
@example(date(2004, 2, 29), date(2022, 2, 28), 18)
@example(date(2004, 2, 29), date(2022, 3, 1), 18)
@example(date(2006, 3, 1), date(2024, 2, 29), 18)
@example(date(1990, 1, 1), date(2024, 2, 29), 100)
def test_being_old_enough_is_having_so_many_completed_years(born, day, age):
    index = datetime.combine(day, time(9, 30))
    histories = draw_histories(person={"birth_date": born})
    rows = histories.persons.select("birth_date", pl.lit(index).alias("index_time"))
    is_old_enough = born <= day and rows.select(compute_age_years() >= age).collect().item()
    cohort = make_cohort(histories, [index], minimum_age_years=age, minimum_residence_days=0)
    assert cohort.rows.collect().height == is_old_enough


@given(all_persons, some_moments)
def test_the_attrition_adds_up_from_all_rows_to_the_eligible_ones(persons, moments):
    cohort = make(persons, moments)
    rules = cohort.attrition.collect().to_dicts()
    assert rules[0]["rows_before"] == len(persons) * len(set(moments))
    assert rules[-1]["rows_after"] == cohort.rows.collect().height
    assert all(rule["rows_before"] >= rule["rows_after"] for rule in rules)
    assert all(before["rows_after"] == rule["rows_before"] for before, rule in pairwise(rules))


@pytest.mark.parametrize(
    ("person", "rule"),
    [
        ({"birth_date": date(2025, 3, 2)}, "born"),
        ({"death_date": date(2025, 2, 28)}, "alive"),
        ({"birth_date": date(2007, 3, 2)}, "at_least_18_years_old"),
        ({"observed_until": date(2025, 3, 1)}, "resident_at_the_index"),
        ({"observed_from": date(2024, 3, 2)}, "resident_for_365_days"),
    ],
)
def test_each_rule_is_named_and_counts_what_it_left_out(person, rule):
    cohort = make_cohort(draw_histories(person=person), [INDEX])
    left_out = {
        row["rule"]: row["rows_before"] - row["rows_after"] for row in cohort.attrition.collect().to_dicts()
    }
    assert {name for name, rows in left_out.items() if rows} == {rule}


@pytest.mark.parametrize(
    "person",
    [
        {"death_date": date(2025, 3, 1)},
        {"birth_date": date(2007, 3, 1)},
        {"observed_until": date(2025, 3, 2)},
        {"observed_from": date(2024, 3, 1)},
    ],
)
def test_the_last_day_on_which_a_person_is_eligible(person):
    assert make_cohort(draw_histories(person=person), [INDEX]).rows.collect().height == 1


def test_an_index_moment_given_twice_or_in_several_ways_counts_once():
    moments = ["2025-03-01", date(2025, 3, 1), INDEX, "2025-03-01T00:00", "2024-12-01"]
    rows = make_cohort(draw_histories(), moments).rows.collect()
    assert rows["index_time"].to_list() == [datetime(2024, 12, 1), INDEX]


def test_a_cohort_needs_an_index_moment():
    with pytest.raises(ConfigError, match="index moment"):
        make_cohort(draw_histories(), [])


@pytest.mark.parametrize("minimum", ["minimum_age_years", "minimum_residence_days"])
def test_a_minimum_cannot_be_negative(minimum):
    with pytest.raises(ConfigError, match=f"{minimum} is -1. Give a whole number from 0"):
        make_cohort(draw_histories(), [INDEX], **{minimum: -1})


@pytest.mark.parametrize("moment", ["yesterday", "2025-13-01", None])
def test_an_index_moment_is_readable(moment):
    with pytest.raises(ConfigError):
        make_cohort(draw_histories(), [moment])


@pytest.mark.parametrize("moment", [INDEX.replace(tzinfo=UTC), f"{INDEX.isoformat()}Z"])
def test_an_index_moment_with_a_zone_is_the_local_one(moment):
    rows = make_cohort(draw_histories(), [moment]).rows.collect()
    assert rows["index_time"].unique().to_list() == [INDEX + timedelta(hours=1)]
