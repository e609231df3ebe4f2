"""Bounds: a contact that was never closed swallows nothing, and nothing counts after a death."""

import warnings
from contextlib import suppress
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import somv_risk as sr
from drawn import ADA, draw_histories, draw_rows, look_back, read_moment
from reference import bound_rows, cut_to_known, last_midnight, of_person
from small_world import (
    INDEX,
    OFTEN,
    OPTIONAL_TABLES,
    PERSONS,
    World,
    build_cohort,
    build_histories,
    lags,
    worlds,
)
from somv_risk.batch import Options, run_batch
from somv_risk.cohort.asof import Lags
from somv_risk.cohort.bounds import BOUNDS, build_bounded_view, count_bounded, sum_bounded
from somv_risk.cohort.outcomes import (
    FREQUENT_ADMISSION,
    UNFINISHED_TREATMENT,
    count_past_events,
    measure_burden,
)
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ImplausibleDataWarning
from somv_risk.features import list_evidence, load_catalogue
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.worklist import build_timeline_events
from somv_risk.store import write_store

DAY = timedelta(days=1)
ADAS = build_cohort([("ada", INDEX)])
DEATH = (INDEX - 50 * DAY).date()
DEAD = {"death_date": DEATH}  # on the fiftieth day before the index; 24:00 is 49 days before it

NEVER_CLOSED = """
    started_at ended_at
    -4000d     .
    -300d      -298d
    -200d      -198d
    -100d      -98d
    """
EVERY_TABLE = {
    "admissions": "started_at ended_at\n{}",
    "diagnoses": "started_at ended_at contact_id\n{} x",
    "psychiatric_contacts": "started_at ended_at\n{}",
    "substance_abuse": "started_at ended_at\n{}",
    "social_benefits": "started_at ended_at\n{}",
    "social_services": "started_at ended_at\n{}",
    "primary_care": "started_at ended_at\n{}",
}


def label(data_end: datetime = INDEX, index: datetime = INDEX - 365 * DAY, **drawn) -> bool | None:
    """The outcome of Ada in the year before the data end."""
    histories = draw_histories(data_end=data_end, **drawn)
    return sr.label_outcomes(histories, build_cohort([("ada", index)])).collect()["outcome"].item()


def bed_days(index: datetime = INDEX - 365 * DAY, **drawn) -> float:
    histories = draw_histories(data_end=INDEX, **drawn)
    burden = measure_burden(histories, build_cohort([("ada", index)]), Horizon(365)).collect()
    return burden["bed_days"].item()


def see(table: str = s.ADMISSIONS, index: datetime = INDEX, lag: float = 0, **drawn) -> list[tuple]:
    """Start and end, in days before the index, of what counts."""
    histories = draw_histories(**drawn)
    moments = build_cohort([("ada", index)]).lazy()
    lag_of_table = timedelta(days=lag)
    seen = build_bounded_view(histories.table(table), moments, histories.persons, table, lag_of_table)
    spans = seen.select(s.STARTED_AT, s.ENDED_AT).collect().rows()
    return [tuple(None if moment is None else (index - moment) / DAY for moment in span) for span in spans]


# A contact without an end


def test_a_contact_that_was_never_closed_hides_nothing_that_follows():
    seen = look_back(admissions=NEVER_CLOSED)
    assert (seen["acute_admissions_365d"], seen["bed_days_365d"], seen["in_hospital"]) == (3, 6.0, False)
    assert seen["days_since_discharge_730d"] == 98.0
    past = count_past_events(draw_histories(admissions=NEVER_CLOSED), ADAS, FREQUENT_ADMISSION).collect()
    assert past["outcome_events"].item() == 3
    assert label(admissions=NEVER_CLOSED) is True
    assert bed_days(admissions=NEVER_CLOSED) == 6.0


@pytest.mark.parametrize(("sector", "days"), [("somatic", 120), ("psychiatric", 400)])
def test_a_contact_without_an_end_is_believed_for_the_days_of_its_sector(sector, days):
    exactly = f"started_at ended_at sector\n-{days}d . {sector}"
    assert see(admissions=exactly) == [(days, None)]
    longer = f"started_at ended_at sector\n-{days + 1}d . {sector}"
    assert see(admissions=longer) == [(days + 1, 1)]
    assert look_back(admissions=exactly)["in_hospital"] is True
    assert look_back(admissions=longer)["in_hospital"] is False


def test_days_without_a_later_contact_are_those_of_the_bound():
    drawn = "started_at ended_at\n-200d ."
    assert look_back(admissions=drawn)["bed_days_365d"] == 120.0
    assert bed_days(admissions=drawn) == 120.0


@pytest.mark.parametrize("later", ["somatic acute", "psychiatric planned"])
def test_the_next_contact_of_any_kind_ends_one_that_was_never_closed(later):
    drawn = f"started_at ended_at sector admission_type\n-300d . somatic planned\n-290d -288d {later}"
    assert see(admissions=drawn) == [(300, 290), (290, 288)]


def test_a_contact_is_not_ended_by_one_that_starts_with_it():
    assert see(admissions="started_at ended_at\n-300d .\n-300d -299d\n-250d -249d")[:2] == [
        (300, 250),
        (300, 299),
    ]


def test_of_several_contacts_never_closed_each_ends_where_the_next_one_starts():
    drawn = "started_at ended_at\n-900d .\n-890d .\n-880d .\n-100d ."
    assert see(admissions=drawn) == [(900, 890), (890, 880), (880, 760), (100, None)]


def test_an_end_that_arrives_late_undoes_the_assumption():
    drawn = "started_at ended_at\n-300d -10d\n-200d -198d"
    assert see(admissions=drawn) == [(300, 10), (200, 198)]
    assert see(admissions=drawn, lag=10) == [(300, 200), (200, 198)]


def test_a_later_contact_that_is_not_known_ends_nothing():
    drawn = "started_at ended_at known_at\n-150d . .\n-140d -139d +1d\n-10d -9d ."
    assert see(admissions=drawn) == [(150, 30), (10, 9)]


def test_an_end_far_ahead_is_an_end_that_is_not_known():
    rows = [
        {"started_at": INDEX - 4000 * DAY, "ended_at": datetime(2209, 1, 1)},
        *({"started_at": INDEX - day * DAY, "ended_at": INDEX - (day - 2) * DAY} for day in (300, 200, 100)),
    ]
    drawn = draw_histories(admissions="started_at\n" + "-1d\n" * 4)
    contacts = drawn.admissions.collect().drop(s.STARTED_AT, s.ENDED_AT)
    histories = sr.from_frames(
        persons=pl.DataFrame([ADA]).select(s.PERSON_ID, s.BIRTH_DATE, s.SEX),
        admissions=pl.concat([contacts, pl.DataFrame(rows)], how="horizontal"),
        data_end=INDEX,
    )
    asked = build_cohort([("ada", INDEX - 365 * DAY)])
    assert sr.label_outcomes(histories, asked).collect()["outcome"].item() is True
    assert sr.build_features(histories, ADAS).collect()["acute_admissions_365d"].item() == 3


def test_nothing_is_known_of_the_discharge_that_an_assumed_end_stands_for():
    drawn = "started_at ended_at discharge\n-300d . left_early"
    assert look_back(admissions=drawn)["unfinished_stays_365d"] == 0
    histories = draw_histories(admissions=drawn, data_end=INDEX)
    asked = build_cohort([("ada", INDEX - 365 * DAY)])
    labelled = sr.label_outcomes(histories, asked, UNFINISHED_TREATMENT).collect()
    assert labelled["outcome"].item() is False


def test_timeline_and_evidence_end_where_the_features_do():
    histories = draw_histories(admissions=NEVER_CLOSED.replace("-4000d", "-600d"))
    shown = build_timeline_events(histories, ADAS)
    assert shown.row(0, named=True)["ended_at"] == read_moment("-480d")
    (feature,) = (feature for feature in load_catalogue() if feature.name == "bed_days_730d")
    evidence = list_evidence(histories, ADAS, feature)
    assert evidence["ended_at"].to_list()[-1] == read_moment("-480d")


def test_other_open_spells_may_be_as_long_as_they_are():
    seen = look_back(
        social_benefits="started_at ended_at\n-4000d .",
        social_services="started_at ended_at service\n-4000d . home_care",
        substance_abuse="started_at ended_at\n-4000d .",
    )
    assert seen["social_assistance_days_365d"] == 365.0
    assert seen["in_substance_treatment"] is True
    assert seen["home_care_days_365d"] == 365.0


def test_every_sector_has_a_bound_and_it_says_where_it_comes_from():
    assert set(BOUNDS) == set(s.SECTORS)
    assert all(bound.status and bound.source for bound in BOUNDS.values())


# After a death


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_an_event_counts_until_a_day_after_the_date_of_death_begins(table):
    def rows(span: str) -> list[tuple]:
        return see(table, person=DEAD, **{table: EVERY_TABLE[table].format(span)})

    assert rows("-49d+1us -48d") == []
    assert rows("-49d -48d") == [(49, 49)]
    assert rows("-50d -48d") == [(50, 49)]
    assert rows("-50d -49d") == [(50, 49)]


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_nothing_is_open_after_a_death(table):
    spans = see(table, person=DEAD, **{table: EVERY_TABLE[table].format("-60d .")})
    is_point = s.TABLES[table].is_point
    assert spans == [(60, 60 if is_point else 49)]


def test_a_death_bounds_nothing_before_its_day_is_over():
    drawn = {"admissions": "started_at ended_at\n-60d .", "person": DEAD}
    assert see(index=INDEX - 50 * DAY, **drawn) == [(10, None)]
    assert see(index=INDEX - 49 * DAY, **drawn) == [(11, None)]
    assert see(index=INDEX - 49 * DAY + timedelta(microseconds=1), **drawn)[0][1] is not None


def test_contacts_after_a_death_make_no_frequent_admitter():
    late = "started_at ended_at\n-40d -38d\n-30d -28d\n-20d -18d"
    assert label(admissions=late) is True
    assert label(admissions=late, person=DEAD) is False
    assert label(admissions=late, person={"death_date": (INDEX - 25 * DAY).date()}) is False
    assert label(admissions=late, person={"death_date": (INDEX - 20 * DAY).date()}) is True


def test_a_stay_ends_at_the_end_of_the_day_of_death():
    assert bed_days(admissions="started_at ended_at\n-60d -5d", person=DEAD) == 11.0
    assert bed_days(admissions="started_at ended_at\n-60d .", person=DEAD) == 11.0
    assert bed_days(admissions="started_at ended_at\n-60d .") == 60.0


def test_a_corrected_death_brings_the_events_back():
    drawn = "started_at ended_at\n-40d -38d\n-30d -28d\n-20d -18d"
    assert look_back(admissions=drawn, person=DEAD)["acute_admissions_365d"] == 0
    corrected = {"death_date": (INDEX - 1 * DAY).date()}
    assert look_back(admissions=drawn, person=corrected)["acute_admissions_365d"] == 3
    assert look_back(admissions=drawn, person={"death_date": None})["acute_admissions_365d"] == 3


def test_a_death_to_come_is_not_known():
    drawn = "started_at ended_at\n-40d -38d\n-30d ."
    dies_later = look_back(admissions=drawn, person={"death_date": INDEX.date()})
    assert dies_later == look_back(admissions=drawn)


def test_features_of_the_dead_are_those_of_their_life():
    """Whoever asks for somebody who has died sees what was, and nothing goes on."""
    seen = look_back(
        admissions="started_at ended_at\n-60d .\n-20d -10d",
        substance_abuse="started_at ended_at\n-400d .",
        social_benefits="started_at ended_at\n-400d .",
        primary_care="started_at\n-55d\n-5d",
        diagnoses="started_at ended_at contact_id code\n-20d -10d a1 F102",
        person=DEAD,
    )
    assert seen["in_hospital"] is False
    assert seen["bed_days_90d"] == 11.0
    assert seen["days_since_discharge_730d"] == 49.0
    assert seen["in_substance_treatment"] is False
    assert seen["days_on_current_benefit"] is None
    assert seen["social_assistance_days_365d"] == 365.0 - 49.0
    assert seen["gp_contacts_365d"] == 1
    assert seen["alcohol_contacts_365d"] == 0


def test_a_contact_of_a_dead_person_is_too_long_only_if_it_was_at_the_death():
    drawn = "started_at ended_at\n-130d .\n-60d -58d"
    assert see(admissions=drawn, person=DEAD) == [(130, 49), (60, 58)]
    assert see(admissions=drawn) == [(130, 60), (60, 58)]


# All of it against the reference


@OFTEN
@given(worlds(), lags, st.sampled_from(s.EVENT_TABLES))
def test_the_rows_that_count_are_those_of_the_reference(world, lags_of_tables, table):
    moments = list(dict.fromkeys(world.cohort))
    histories = world.histories
    seen = build_bounded_view(
        histories.table(table),
        build_cohort(moments).lazy(),
        histories.persons,
        table,
        Lags(lags_of_tables).of(table),
    ).collect()
    columns = [name for name in seen.columns if name not in (s.INDEX_TIME, "end_assumed")]
    assert len(moments) == 2 * len(PERSONS)
    for person_id, index in moments:
        found = seen.filter(person_id=person_id, index_time=index).select(columns).rows()
        known = cut_to_known(world.tables, person_id, index, lags_of_tables)
        expected = [tuple(row[name] for name in columns) for row in known.rows(table)]
        assert sorted(found, key=str) == sorted(expected, key=str)


@given(worlds(), lags)
def test_what_is_held_within_bounds_is_counted(world, lags_of_tables):
    moments = list(dict.fromkeys(world.cohort))
    found = count_bounded(world.histories, build_cohort(moments), Lags(lags_of_tables)).collect()
    expected = [
        (*key, *counts)
        for key in sorted(moments)
        if any(counts := count_plainly(world, *key, lags_of_tables))
    ]
    assert found.rows() == expected


def count_plainly(world: World, person_id: str, index: datetime, lags_of_tables) -> tuple[int, int]:
    (person,) = of_person(world.tables["persons"], person_id)
    bounded = cut_to_known(world.tables, person_id, index, lags_of_tables)
    forever = {**world.tables, "persons": [person | {"death_date": None}]}
    known = cut_to_known(forever, person_id, index, lags_of_tables)
    late = sum(len(known.tables[name]) - len(bounded.tables[name]) for name in bounded.tables)
    assumed = sum("assumed" in row for row in bounded.rows("admissions"))
    return assumed, late


@given(worlds())
def test_what_the_outcomes_hold_within_bounds_is_summed_up(world):
    data_end = world.data_end or max((row["started_at"] for row in world.tables["admissions"]), default=None)
    assume(data_end is not None)  # without contacts nothing says until when they lasted
    assumed = late = 0
    for person in world.tables["persons"]:
        alive_until = last_midnight(person["death_date"])
        for table, rows in world.tables.items():
            own = of_person(rows, person["person_id"]) if table != "persons" else []
            counted = bound_rows(own, table, data_end, alive_until)
            late += len(own) - len(counted)
            assumed += sum("assumed" in row for row in counted)
    assert sum_bounded(world.histories).collect().row(0) == (assumed, late)


@given(worlds(), st.sampled_from(PERSONS), st.integers(1, 800))
def test_a_contact_with_an_assumed_end_lasts_no_longer_than_its_bound(world, person_id, days):
    moment = INDEX + days * DAY
    histories = build_histories(world.tables)
    seen = build_bounded_view(
        histories.admissions,
        build_cohort([(person_id, moment)]).lazy(),
        histories.persons,
        s.ADMISSIONS,
        timedelta(0),
    )
    assumed = seen.filter("end_assumed").collect()
    length = pl.col("sector").replace_strict({sector: bound.length for sector, bound in BOUNDS.items()})
    is_bounded = pl.col("ended_at") - pl.col("started_at") <= length
    is_past = (pl.col("started_at") <= pl.col("ended_at")) & (pl.col("ended_at") < moment)
    assert assumed.remove(is_bounded & is_past).is_empty()


def test_the_date_of_death_means_its_day():
    assert last_midnight(date(2025, 1, 1)) == datetime(2025, 1, 2)


# What is said of it

NOTES = {
    "da": "Én hospitalskontakt står uden afslutning i data. Afslutningen er antaget.",
    "en": "One hospital contact has no end in the data. Its end is assumed.",
    "nb": "Én sykehuskontakt står uten avslutning i dataene. Avslutningen er antatt.",
    "sv": "En sjukhuskontakt saknar slut i uppgifterna. Slutet är antaget.",
}
BO = ADA | {"person_id": "bo"}


def draw_two(death: date | None = None) -> Histories:
    """Ada has a contact that was never closed, Bo an open one; both had others, Bo some after a death."""
    drawn = "person_id started_at ended_at\nada -900d .\nada -9d -8d\nbo -9d .\nbo -700d -698d\nbo -3d -2d"
    tables = {"persons": [ADA, BO | {"death_date": death}], "admissions": draw_rows(s.ADMISSIONS, drawn)}
    return build_histories(tables | {name: [] for name in OPTIONAL_TABLES}, INDEX)


@pytest.mark.parametrize("language", NOTES)
def test_an_assumed_end_is_noted_beside_the_score_of_its_person_alone(model, language):
    with pytest.warns(ImplausibleDataWarning, match="^1 hospital contacts have no end"):
        scores = sr.score(model, draw_two(), index_time=INDEX, language=language, explain="none")
    notes = dict(scores.select("person_id", "warnings").iter_rows())
    assert notes == {"ada": [NOTES[language]], "bo": []}


def test_a_batch_says_the_same_of_a_person_as_a_score(model, tmp_path):
    write_store(draw_two(), tmp_path / "store", buckets=2)
    run_batch(model, tmp_path / "store", tmp_path / "out", index_time=INDEX, options=Options(language="en"))
    scores = pl.read_parquet(tmp_path / "out" / "scores.parquet")
    notes = dict(scores.select("person_id", "warnings").iter_rows())
    assert notes == {"ada": [NOTES["en"]], "bo": []}


def test_nothing_is_said_where_nothing_is_held_within_bounds(model):
    kept = draw_two().keep_persons(pl.LazyFrame({"person_id": ["bo"]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = sr.score(model, kept, index_time=INDEX, explain="none")
    assert scores["warnings"].to_list() == [[]]


def test_training_and_evaluating_warn_once_of_what_the_outcomes_hold_within_bounds(model):
    histories = draw_two(death=(INDEX - 5 * DAY).date())
    said = "^1 hospital contacts have no end .* 1 events start more than a day after the death"
    with pytest.warns(ImplausibleDataWarning, match=said) as caught, pytest.raises(sr.errors.SomvRiskError):
        sr.train(histories)
    assert [warning.filename for warning in caught if warning.category is ImplausibleDataWarning] == [
        __file__
    ]
    with pytest.warns(ImplausibleDataWarning, match=said), suppress(sr.errors.SomvRiskError):
        sr.evaluate(model, histories, index_times=["2024-02-01"], persons="all")
