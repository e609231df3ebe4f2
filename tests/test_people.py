"""The named people: what their stories say can be counted by hand."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from somv_risk.registers import schema
from somv_risk.simulate import simulate_tables
from somv_risk.testing.people import PEOPLE, anna, karen, mix, mohammed, mrs_smith, ole, thomas

INDEX = datetime(2026, 1, 1)
HALF_A_DAY = timedelta(hours=12)


def merge_stays(tables):
    """Contacts at most four hours apart as one stay, first and last contact kept."""
    stays = []
    for row in tables["admissions"].sort("started_at").iter_rows(named=True):
        if stays and row["started_at"] - stays[-1][-1]["ended_at"] <= timedelta(hours=4):
            stays[-1].append(row)
        else:
            stays.append([row])
    return stays


def list_admissions(tables):
    return [
        stay for stay in merge_stays(tables) if stay[-1]["ended_at"] - stay[0]["started_at"] >= HALF_A_DAY
    ]


def list_acute_starts(tables):
    return [stay[0]["started_at"] for stay in list_admissions(tables) if stay[0]["admission_type"] == "acute"]


def left_early(stay):
    return stay[-1]["discharge"] == "left_early"


def test_thomas_has_thirty_admissions_in_eighteen_months_and_28_are_acute():
    admissions = list_admissions(thomas())
    assert len(admissions) == 30
    assert sum(stay[0]["admission_type"] == "acute" for stay in admissions) == 28
    assert all(timedelta(0) < INDEX - stay[0]["started_at"] < timedelta(days=548) for stay in admissions)


def test_thomas_stays_in_somatic_and_psychiatric_wards_and_is_moved_between_them():
    sectors = [{contact["sector"] for contact in stay} for stay in list_admissions(thomas())]
    assert sum("psychiatric" in each for each in sectors) == 8
    assert sum(each == {"somatic", "psychiatric"} for each in sectors) == 2


def test_thomas_leaves_nine_stays_early_the_last_one_too():
    admissions = list_admissions(thomas())
    assert sum(left_early(stay) for stay in admissions) == 9
    assert left_early(admissions[-1])


def test_thomas_is_back_within_72_hours_three_times_after_leaving():
    stays = merge_stays(thomas())
    back = [
        left_early(before) and after[0]["started_at"] - before[-1]["ended_at"] <= timedelta(hours=72)
        for before, after in pairwise(stays)
    ]
    assert sum(back) == 3


def test_thomas_comes_three_times_within_a_week_five_times_over_the_last_in_the_last_month():
    starts = list_acute_starts(thomas())
    bursts = [
        third for first, third in zip(starts, starts[2:], strict=False) if third - first <= timedelta(days=7)
    ]
    assert len(bursts) == 5
    assert INDEX - bursts[-1] < timedelta(days=30)


def test_thomas_has_alcohol_diabetes_anxiety_and_injury_among_his_diagnoses():
    codes = thomas()["diagnoses"]["code"].to_list()
    for start in ("F10", "T51", "K70", "E11", "F41", "S52", "Z590"):
        assert any(code.startswith(start) for code in codes)


def test_thomas_drops_out_twice_and_misses_eight_of_thirteen_appointments():
    tables = thomas()
    assert tables["substance_abuse"]["end_reason"].cast(pl.String).to_list() == ["dropped_out"] * 2
    attendance = tables["psychiatric_contacts"]["attendance"].cast(pl.String).to_list()
    assert (attendance.count("no_show"), len(attendance)) == (8, 13)


def test_mrs_smith_finishes_every_stay_in_the_same_hospital():
    admissions = list_admissions(mrs_smith())
    assert len(admissions) == 6
    assert {stay[-1]["discharge"] for stay in admissions} == {"completed"}
    assert mrs_smith()["admissions"]["hospital"].n_unique() == 1
    assert sum(INDEX - start <= timedelta(days=365) for start in list_acute_starts(mrs_smith())) == 4


def test_anna_is_admitted_to_psychiatry_and_misses_appointments():
    assert sum(stay[-1]["sector"] == "psychiatric" for stay in list_admissions(anna())) == 4
    assert "no_show" in anna()["psychiatric_contacts"]["attendance"].cast(pl.String)


def test_mohammed_has_planned_care_only():
    assert set(mohammed()["admissions"]["admission_type"].cast(pl.String)) == {"planned"}


def test_nothing_ever_happens_to_karen():
    assert {name: table.height for name, table in karen().items() if table.height} == {
        "persons": 1,
        "social_benefits": 1,
    }


def test_ole_is_in_hospital_since_three_days_and_nobody_knows_how_it_will_end():
    last = ole()["admissions"].row(-1, named=True)
    assert last["started_at"] == INDEX - timedelta(days=3)
    assert last["ended_at"] is last["discharge"] is last["diagnosis"] is None


@pytest.mark.parametrize(
    ("person", "age"),
    [("thomas", 44), ("mrs_smith", 84), ("anna", 29), ("mohammed", 52), ("karen", 37), ("ole", 61)],
)
@pytest.mark.parametrize("index_time", [INDEX, datetime(2024, 6, 8), datetime(2023, 3, 1, 7, 30)])
def test_people_keep_their_age_whenever_the_index_is(person, age, index_time):
    birth = PEOPLE[person](index_time)["persons"]["birth_date"].item()
    today = index_time.date()
    assert today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day)) == age


@pytest.mark.parametrize("person", PEOPLE)
def test_everything_in_a_story_lies_before_the_index(person):
    tables = PEOPLE[person](INDEX)
    assert tables["persons"]["person_id"].to_list() == [person]
    for name in tables.keys() - {"persons"}:
        for column in ("started_at", "ended_at", "known_at"):
            assert all(moment < INDEX for moment in tables[name][column].drop_nulls())


def test_stories_move_with_the_index():
    later = INDEX + timedelta(days=40)
    tables = thomas(INDEX).keys() - {"persons"}
    assert "admissions" in tables
    for name in tables:
        moved = thomas(later)[name].with_columns(
            pl.col("started_at", "ended_at", "known_at") - timedelta(days=40)
        )
        assert_frame_equal(moved, thomas(INDEX)[name])


def test_people_mixed_into_a_crowd_break_no_rule():
    crowd = simulate_tables(200, end=date(2026, 1, 1))
    tables = mix(crowd, *(person(INDEX) for person in PEOPLE.values()))
    assert tables["persons"].height == 206
    numbered = {
        name: table.with_row_index("row").with_columns(pl.col("row").cast(pl.UInt32))
        for name, table in tables.items()
    }
    kept, _ = schema.HistoriesCollection.filter(numbered)
    assert all(getattr(kept, name).collect().height == table.height for name, table in tables.items())
    for name in tables.keys() - {"persons"}:
        keys = tables[name].select(schema.TABLES[name].unique_by or ("person_id", "started_at")).rows()
        assert len(keys) == len(set(keys))
