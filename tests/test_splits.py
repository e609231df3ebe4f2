"""Splits: parts lie a horizon apart in time, and a person has one role for ever."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from somv_risk.cohort.splits import ROLE, ROLES, PersonSplit, TimeSplit, add_role
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ConfigError
from somv_risk.registers import schema as s

START = datetime(2022, 1, 1)
SHARES = {"fit": 0.6, "stop": 0.1, "calibrate": 0.1, "test": 0.2}


def days_on(*days: int) -> tuple[datetime, ...]:
    return tuple(START + timedelta(days=day) for day in days)


def test_parts_exactly_one_horizon_apart_are_far_enough():
    TimeSplit(days_on(0, 90), days_on(455), days_on(820))


@pytest.mark.parametrize(
    ("calibrate", "test"),
    [(days_on(454), days_on(820)), (days_on(455), days_on(819)), (days_on(0), days_on(365))],
)
def test_parts_closer_than_one_horizon_are_refused(calibrate, test):
    with pytest.raises(ConfigError, match="less than the horizon"):
        TimeSplit(days_on(0, 90), calibrate, test)


def test_a_microsecond_less_than_the_horizon_is_too_close():
    (later,) = days_on(365)
    with pytest.raises(ConfigError):
        TimeSplit(days_on(0), (later - timedelta(microseconds=1),), days_on(900))


def test_the_last_moment_of_a_part_counts_wherever_it_stands():
    with pytest.raises(ConfigError):
        TimeSplit(days_on(90, 0), days_on(400), days_on(900))
    with pytest.raises(ConfigError):
        TimeSplit(days_on(0), days_on(800, 300), days_on(1200))


def test_parts_cannot_change_places():
    with pytest.raises(ConfigError):
        TimeSplit(days_on(820), days_on(455), days_on(0))


def test_a_shorter_horizon_allows_shorter_gaps():
    TimeSplit(days_on(0), days_on(30), days_on(60), Horizon(30))


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_no_part_is_empty(empty):
    parts = [days_on(0), days_on(400), days_on(800)]
    parts[empty] = ()
    with pytest.raises(ConfigError, match="empty part"):
        TimeSplit(*parts)


def name_persons(numbers) -> pl.LazyFrame:
    return pl.LazyFrame(
        {s.PERSON_ID: [f"person-{number}" for number in numbers]}, schema={s.PERSON_ID: pl.String}
    )


def roles_of(rows: pl.LazyFrame, split: PersonSplit) -> dict[str, str]:
    return dict(add_role(rows, split).select(s.PERSON_ID, ROLE).collect().rows())


def test_shares_are_about_right():
    split = PersonSplit(SHARES)
    counts = add_role(name_persons(range(20_000)), split).collect()[ROLE].value_counts()
    found = {role: count / 20_000 for role, count in counts.rows()}
    assert found == pytest.approx(SHARES, abs=0.01)  # three standard errors of the largest share


@given(st.sets(st.integers(0, 500), min_size=1))
def test_a_role_does_not_depend_on_who_else_is_there(numbers):
    split = PersonSplit(SHARES)
    among_all = roles_of(name_persons(range(501)), split)
    found = roles_of(name_persons(numbers), split)
    assert len(found) == len(numbers)
    assert found.items() <= among_all.items()


def test_a_role_is_the_same_at_every_index_moment():
    moments = pl.LazyFrame({s.INDEX_TIME: days_on(0, 90, 180)})
    rows = name_persons(range(300)).join(moments, how="cross")
    roles = add_role(rows, PersonSplit(SHARES)).group_by(s.PERSON_ID).agg(pl.col(ROLE).n_unique())
    assert roles.collect()[ROLE].to_list() == [1] * 300


def test_rows_keep_their_order_and_columns():
    rows = name_persons([3, 1, 3, 2]).with_row_index()
    assert_frame_equal(add_role(rows, PersonSplit(SHARES)).drop(ROLE), rows)


def test_every_role_is_filled_and_no_other():
    assert set(roles_of(name_persons(range(300)), PersonSplit(SHARES)).values()) == set(ROLES)


def test_another_salt_splits_otherwise():
    persons = name_persons(range(300))
    one, other = (roles_of(persons, PersonSplit(SHARES, salt=salt)) for salt in ("one", "other"))
    assert one != other


def test_roles_stay_the_same_over_the_years():
    # Written down once: a change would move persons from test to training.
    roles = roles_of(name_persons(range(8)), PersonSplit(SHARES))
    assert " ".join(roles.values()) == "calibrate test fit fit calibrate test fit test"


@pytest.mark.parametrize(
    "shares",
    [
        {"fit": 1.0},
        SHARES | {"other": 0.0},
        SHARES | {"fit": 0.7},
        SHARES | {"fit": 0.7, "stop": 0.0},
        SHARES | {"fit": 0.9, "stop": -0.2},
    ],
)
def test_shares_are_positive_and_complete(shares):
    with pytest.raises(ConfigError):
        PersonSplit(shares)
