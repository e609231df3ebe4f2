"""The made-up region: reproducible, lawful, and near the published figures."""

import tomllib
from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise, zip_longest

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from somv_risk.errors import ConfigError
from somv_risk.registers import schema
from somv_risk.simulate import simulate_tables
from somv_risk.simulate.period import Period
from somv_risk.simulate.plan import Plan
from somv_risk.simulate.region import write_region
from somv_risk.simulate.tables import build_tables, draw_blocks
from somv_risk.store import scan_store

PERSONS = 30_000
START, END = date(2020, 1, 1), date(2026, 1, 1)
END_TIME = datetime(2026, 1, 1)
REGISTRATION = files("somv_risk.simulate").joinpath("registration.toml")
HALF_A_DAY = timedelta(hours=12)
FOUR_HOURS = timedelta(hours=4)
SIMULATED = (
    *("persons", "admissions", "diagnoses", "psychiatric_contacts", "substance_abuse"),
    *("social_benefits", "social_services", "primary_care"),
)


@pytest.fixture(scope="module")
def region():
    return simulate_tables(PERSONS, seed=7)


@pytest.fixture(scope="module")
def lives(region):
    """Birth, first and last day of residence, and municipality of each person."""
    return {
        row["person_id"]: (
            row["birth_date"],
            row["observed_from"],
            min(row["observed_until"] or END, row["death_date"] or END),
            row["municipality"],
        )
        for row in region["persons"].iter_rows(named=True)
    }


@pytest.fixture(scope="module")
def person_years(lives):
    return sum((last - first).days for _, first, last, _ in lives.values()) / 365


@pytest.fixture(scope="module")
def stays(region):
    """Contacts at most four hours apart as one stay, counted in plain Python."""
    merged = defaultdict(list)
    for row in region["admissions"].iter_rows(named=True):
        ended_at = row["ended_at"] or END_TIME
        own = merged[row["person_id"]]
        if own and row["started_at"] - own[-1]["ended_at"] <= FOUR_HOURS:
            own[-1]["ended_at"] = max(own[-1]["ended_at"], ended_at)
            own[-1]["discharge"] = row["discharge"]
        else:
            own.append({**row, "ended_at": ended_at})
    return dict(merged)


@pytest.fixture(scope="module")
def admissions(stays):
    return {
        person: [stay for stay in own if stay["ended_at"] - stay["started_at"] >= HALF_A_DAY]
        for person, own in stays.items()
    }


def midnight(day):
    return datetime(day.year, day.month, day.day)


def share_of_largest(values):
    """The part of the commonest value."""
    return values.value_counts()["count"].max() / values.len()


def count_acute(admissions, year):
    return {
        person: sum(stay["started_at"].year == year and stay["admission_type"] == "acute" for stay in own)
        for person, own in admissions.items()
    }


def share_left(admissions, wanted):
    chosen = [stay for own in admissions.values() for stay in own if wanted(stay)]
    return sum(stay["discharge"] == "left_early" for stay in chosen) / len(chosen)


def test_the_same_seed_gives_the_same_region_and_another_seed_another():
    first, second, other = (simulate_tables(800, seed=seed) for seed in (3, 3, 4))
    assert first.keys() == second.keys() == other.keys() == set(SIMULATED)
    for table in SIMULATED:
        assert_frame_equal(first[table], second[table])
        assert not first[table].equals(other[table])


@pytest.fixture(scope="module")
def small():
    """A plan of three blocks, the last of them smaller, and its tables."""
    plan = Plan(21_000, 5, Period(date(2025, 1, 1), date(2026, 1, 1)))
    return plan, build_tables(plan)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_region_is_the_same_on_any_number_of_threads(small, threads):
    plan, tables = small
    blocks = list(draw_blocks(plan, threads))
    assert [block["persons"].height for block in blocks] == [10_000, 10_000, 1_000]
    for table in SIMULATED:
        assert_frame_equal(pl.concat([block[table] for block in blocks]), tables[table])


@pytest.mark.parametrize("buckets", [1, 5])
def test_a_region_is_the_same_in_any_number_of_buckets(small, tmp_path, buckets):
    plan, tables = small
    write_region(plan, tmp_path / "store", buckets=buckets)
    histories = scan_store(tmp_path / "store")
    assert histories.data_end == END_TIME
    for table in SIMULATED:
        order = tables[table].columns
        assert_frame_equal(histories.table(table).collect().sort(order), tables[table].sort(order))


def test_a_store_tells_how_many_blocks_are_done(small, tmp_path):
    told = []
    write_region(small[0], tmp_path / "store", progress=lambda *step: told.append(step))
    assert told == [("simulating", done, 3) for done in range(4)]


def test_the_first_blocks_of_a_region_do_not_depend_on_its_size(small):
    plan, tables = small
    first = build_tables(replace(plan, persons=10_000))
    assert first.keys() == tables.keys() == set(SIMULATED)
    for table in SIMULATED:
        own = tables[table].filter(pl.col("person_id") <= "P0010000")
        assert_frame_equal(first[table], own)


def test_people_live_where_they_are_told_to():
    tables = simulate_tables(500, municipalities=["360", "376"])
    assert set(tables["persons"]["municipality"]) == {"360", "376"}


def test_what_runs_on_the_first_day_has_a_past(region):
    """As many stays begin in the first month as in a later one, and treatments are under way."""
    months = region["admissions"]["started_at"].dt.strftime("%Y-%m")
    first, later = ((months == month).sum() for month in ("2020-01", "2022-01"))
    assert 0.8 < first / later < 1.25
    treatments = region["substance_abuse"].filter(pl.col("started_at") == datetime(2020, 1, 1))
    assert treatments.height > 20


@pytest.mark.parametrize("table", ["admissions", "psychiatric_contacts", "substance_abuse", "primary_care"])
def test_registers_learn_of_things_as_late_as_is_stated(region, table):
    stated = tomllib.loads(REGISTRATION.read_text())[table]
    late = (region[table]["known_at"] - region[table]["started_at"]).drop_nulls()
    days = late.dt.total_minutes() / 1440
    assert (days >= 0).all()
    usual = stated["days"] * (1 + stated["late_share"])
    assert 0.8 * stated["days"] - 0.001 < days.median() < 1.25 * usual
    assert (days > stated["late_days"]).mean() > 0.3 * stated["late_share"]


def test_a_diagnosis_is_known_when_its_contact_has_ended_and_been_coded(region):
    diagnoses = region["diagnoses"]
    assert (diagnoses["known_at"] >= diagnoses["ended_at"]).all()


@pytest.mark.parametrize("table", SIMULATED)
def test_every_table_has_exactly_the_columns_and_types_of_the_schema(region, table):
    assert dict(region[table].schema) == schema.get_columns(table)


def test_no_row_breaks_a_rule(region):
    numbered = {
        name: table.with_row_index("row").with_columns(pl.col("row").cast(pl.UInt32))
        for name, table in region.items()
    }
    kept, failures = schema.HistoriesCollection.filter(numbered)
    assert region.keys() == set(SIMULATED)
    for name, table in region.items():
        assert getattr(kept, name).collect().height == table.height
        assert failures[name].counts() == {}


@pytest.mark.parametrize("table", SIMULATED[1:])
def test_rows_are_in_the_order_of_persons_and_time(region, table):
    keys = region[table].select("person_id", "started_at").rows()
    assert keys == sorted(keys)


@pytest.mark.parametrize("table", [name for name in SIMULATED[1:] if name != "primary_care"])
def test_ids_and_spells_are_unique(region, table):
    keys = region[table].select(schema.TABLES[table].unique_by).rows()
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("table", SIMULATED[1:])
def test_everything_happens_in_the_period_during_life_and_residence(region, lives, table):
    columns = region[table].select("person_id", "started_at", "ended_at", "known_at")
    assert not region[table].is_empty()
    for person, started_at, ended_at, known_at in columns.iter_rows():
        _, first, last, _ = lives[person]
        # The day of death is still a day of life.
        assert first <= started_at.date() <= last
        assert started_at < END_TIME
        assert ended_at is None or ended_at < END_TIME
        assert known_at is None or known_at < END_TIME


@pytest.mark.parametrize("table", SIMULATED[1:])
def test_care_ends_with_life_and_residence(region, lives, table):
    assert not region[table].is_empty()
    for person, ended_at in region[table].select("person_id", "ended_at").iter_rows():
        last = lives[person][2]
        # Registers close what is left open at the midnight that follows.
        assert ended_at is None or last == END or ended_at <= midnight(last) + timedelta(days=1)


def test_stays_that_still_run_have_no_end_no_discharge_and_no_diagnosis(region):
    running = region["admissions"].filter(pl.col("ended_at").is_null())
    assert running.height > 0
    assert running["discharge"].null_count() == running["diagnosis"].null_count() == running.height
    assert not set(running["contact_id"]) & set(region["diagnoses"]["contact_id"])


def test_benefits_cover_every_adult_without_gaps_or_overlaps(region, lives):
    spells = defaultdict(list)
    for person, started_at, ended_at in (
        region["social_benefits"].select("person_id", "started_at", "ended_at").iter_rows()
    ):
        spells[person].append((started_at, ended_at))
    assert spells.keys() <= lives.keys()
    assert len(spells) > len(lives) / 2
    for person, (birth, first, last, _) in lives.items():
        own = spells[person]
        if birth.replace(day=1, year=birth.year + 17) >= last:
            assert own == []
        assert all(before[1] == after[0] for before, after in pairwise(own))
        assert all(started_at.weekday() == 0 for started_at, _ in own[1:])
        if own and last == END:
            assert own[-1][1] is None
        if birth <= date(2000, 1, 1) and first == START and last > date(2020, 3, 1):
            assert own[0][0].date() == START


def test_admissions_are_as_many_and_as_acute_as_published(admissions, person_years):
    stays = [stay for own in admissions.values() for stay in own]
    assert 135 < 1000 * len(stays) / person_years < 170
    assert 0.72 < sum(stay["admission_type"] == "acute" for stay in stays) / len(stays) < 0.82


def test_short_visits_are_about_150_per_1000_a_year(stays, person_years):
    visits = sum(stay["ended_at"] - stay["started_at"] < HALF_A_DAY for own in stays.values() for stay in own)
    assert 115 < 1000 * visits / person_years < 190


def test_few_persons_have_many_acute_admissions_and_some_keep_having_them(admissions, lives):
    shares, persistence, before = defaultdict(list), [], {}
    for year in range(2020, 2026):
        counts = count_acute(admissions, year)
        new_year = date(year, 1, 1)
        alive = [person for person, (_, first, last, _) in lives.items() if first <= new_year < last]
        for least in (1, 3, 5):
            shares[least].append(100 * sum(counts.get(person, 0) >= least for person in alive) / len(alive))
        if before:
            frequent = [person for person in alive if before.get(person, 0) >= 3]
            persistence.append(sum(counts.get(person, 0) >= 3 for person in frequent) / len(frequent))
        before = counts
    average = {least: sum(each) / len(each) for least, each in shares.items()}
    assert 6.8 < average[1] < 8.6
    assert 0.70 < average[3] < 1.10
    assert 0.14 < average[5] < 0.36
    assert 0.20 < sum(persistence) / len(persistence) < 0.38


def test_leaving_early_is_rare_except_where_drink_drugs_or_psychiatry_are_the_cause(admissions):
    def drinks(stay):
        return (stay["diagnosis"] or "").startswith(("F10", "K70", "T51", "F11", "F12", "F15", "F19", "T40"))

    assert 0.006 < share_left(admissions, lambda _: True) < 0.017
    assert 0.07 < share_left(admissions, drinks) < 0.17
    assert 0.06 < share_left(admissions, lambda stay: stay["sector"] == "psychiatric") < 0.15


def test_whoever_left_early_comes_back_sooner(admissions):
    back = {True: [], False: []}
    for own in admissions.values():
        for stay, following in zip_longest(own, own[1:]):
            soon = following is not None and following["started_at"] - stay["ended_at"] <= timedelta(days=30)
            back[stay["discharge"] == "left_early"].append(soon)
    rates = {left: sum(each) / len(each) for left, each in back.items()}
    assert rates[True] > 1.6 * rates[False]


def test_about_eleven_in_a_thousand_die_in_a_year(region, person_years):
    deaths = PERSONS - region["persons"]["death_date"].null_count()
    assert 9.5 < 1000 * deaths / person_years < 13.5


def test_people_in_lolland_live_on_benefits_twice_as_often_as_in_roskilde(region, lives):
    moment = datetime(2023, 6, 1)
    on_benefits = {"360": [], "265": []}
    rows = region["social_benefits"].select("person_id", "started_at", "ended_at", "benefit").iter_rows()
    for person, started_at, ended_at, benefit in rows:
        birth, _, _, municipality = lives[person]
        runs = started_at <= moment and (ended_at is None or ended_at > moment)
        if municipality in on_benefits and runs and 18 <= 2023 - birth.year < 65:
            on_benefits[municipality].append(benefit not in ("self_support", "education"))
    shares = {municipality: sum(each) / len(each) for municipality, each in on_benefits.items()}
    assert 0.30 < shares["360"] < 0.42
    assert 0.12 < shares["265"] < 0.22


def test_missed_appointments_are_about_one_in_eight(region):
    attendance = region["psychiatric_contacts"]["attendance"].cast(pl.String).to_list()
    assert 0.09 < attendance.count("no_show") / len(attendance) < 0.16


def test_doctors_see_people_in_the_daytime_and_emergencies_come_at_all_hours(region):
    rows = region["primary_care"].select("started_at", pl.col("kind").cast(pl.String)).head(20_000).rows()
    daytime = [moment for moment, kind in rows if kind == "gp"]
    assert all(8 <= moment.hour < 16 and moment.weekday() < 5 for moment in daytime)
    acute = region["admissions"].filter(pl.col("admission_type") == "acute")["started_at"].to_list()
    assert {moment.hour for moment in acute} == set(range(24))


def test_no_working_day_gets_what_the_weekend_leaves(region):
    planned = region["admissions"].filter(pl.col("admission_type") == "planned")["started_at"]
    doctor = region["primary_care"].filter(pl.col("kind") == "gp")["started_at"]
    treated = region["psychiatric_contacts"].filter(pl.col("contact_type") == "outpatient")["started_at"]
    for moments in (planned, doctor, treated):
        assert moments.dt.weekday().max() == 5
        assert share_of_largest(moments.dt.weekday()) < 0.24


def test_the_doctor_on_call_works_all_day_at_weekends_and_shelters_never_close(region):
    on_call = region["primary_care"].filter(pl.col("kind") == "out_of_hours")["started_at"]
    weekend = on_call.filter(on_call.dt.weekday() > 5)
    assert weekend.dt.hour().is_between(9, 15).mean() > 0.15
    assert on_call.filter(on_call.dt.weekday() < 6).dt.hour().is_between(8, 15).sum() == 0
    shelters = region["social_services"].filter(pl.col("service") == "shelter")["started_at"]
    assert shelters.dt.weekday().max() == 7


def test_the_first_day_is_a_day_like_others(region):
    days = region["admissions"]["started_at"].dt.date()
    usual = region["admissions"].height / (END - START).days
    assert (days == START).sum() < 2 * usual


def test_illness_neither_fades_out_nor_spreads(region, lives):
    """New cases take the place of those who die: the first and the last year are alike."""
    first, last = [
        region["admissions"].filter(
            pl.col("started_at").dt.year() == year, pl.col("admission_type") == "acute"
        )
        for year in (2020, 2025)
    ]
    assert 0.88 < last.height / first.height < 1.13
    chronic = [rows["diagnosis"].str.contains(r"^(C|F0|I50|J44)").sum() for rows in (first, last)]
    assert 0.75 < chronic[1] / chronic[0] < 1.4
    deaths = [
        sum(died < END and died.year == year for _, _, died, _ in lives.values()) for year in (2020, 2025)
    ]
    assert 0.75 < deaths[1] / deaths[0] < 1.35


def test_newcomers_do_not_die_at_the_border(region):
    came = region["persons"].filter(pl.col("observed_from") > START, pl.col("death_date").is_not_null())
    days = (came["death_date"] - came["observed_from"]).dt.total_days()
    assert came.height > 30
    assert (days < 7).mean() < 0.1


def test_women_of_an_age_give_birth_and_not_twice_in_ten_months(region, lives):
    women = set(region["persons"].filter(pl.col("sex") == "female")["person_id"])
    births = region["admissions"].filter(pl.col("diagnosis").str.starts_with("O8"))
    own = defaultdict(list)
    for person, day in births.select("person_id", pl.col("started_at").dt.date()).iter_rows():
        own[person].append(day)
        assert person in women
        assert 14 <= (day - lives[person][0]).days / 365.25 < 47
    assert len(births) > 500
    assert all((later - earlier).days > 290 for days in own.values() for earlier, later in pairwise(days))


def test_nobody_sees_the_family_doctor_from_a_hospital_bed(region, admissions):
    visits = region["primary_care"].rows_by_key("person_id", named=True)
    assert len(visits.keys() & admissions.keys()) > 1_000
    for person, own in list(admissions.items())[:3_000]:
        for stay in own:
            inside = [
                v for v in visits.get(person, []) if stay["started_at"] < v["started_at"] < stay["ended_at"]
            ]
            assert inside == []


def test_a_transfer_does_not_tell_how_long_the_stay_will_be(stays, region):
    contacts = region["admissions"].rows_by_key("contact_id", named=True, unique=True)
    shares = []
    for stay in (stay for own in stays.values() for stay in own):
        first = contacts[stay["contact_id"]]
        if first["discharge"] == "transferred":
            lasted = first["ended_at"] - stay["started_at"]
            shares.append(round(lasted / (stay["ended_at"] - stay["started_at"]), 2))
    assert share_of_largest(pl.Series(shares)) < 0.1


def test_a_single_person_and_a_single_day_are_possible():
    tables = simulate_tables(1, end=date(2020, 1, 2))
    assert tables["persons"].height == 1
    assert set(tables) == set(SIMULATED)


@pytest.mark.parametrize(
    "arguments",
    [
        {"persons": 0},
        {"persons": -3},
        {"persons": 2.5},
        {"persons": True},
        {"persons": "10"},
        {"persons": 10, "seed": -1},
        {"persons": 10, "seed": 1.0},
        {"persons": 10, "start": date(2021, 1, 1), "end": date(2021, 1, 1)},
        {"persons": 10, "start": date(2021, 1, 2), "end": date(2021, 1, 1)},
        {"persons": 10, "start": "2020-01-01"},
        {"persons": 10, "end": datetime(2022, 1, 1)},
        {"persons": 10_000_000},
        {"persons": 10, "municipalities": ["101"]},
        {"persons": 10, "municipalities": ["360", "360"]},
        {"persons": 10, "municipalities": "360"},
        {"persons": 10, "municipalities": []},
    ],
)
def test_bad_arguments_are_refused_in_a_sentence_of_fact_and_one_of_cure(arguments):
    with pytest.raises(ConfigError, match=r"^.+\. Give .+\.$"):
        simulate_tables(**arguments)
