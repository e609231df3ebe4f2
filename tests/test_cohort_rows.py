"""Cohort rows: any frame is read by the clock of the histories; what cannot be read is refused by count."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import somv_risk as sr
from drawn import draw_histories
from small_world import INDEX, INDEX_TIMES
from somv_risk.cohort.cohort_rows import read_cohort
from somv_risk.cohort.outcomes import measure_burden
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import InputError
from somv_risk.store import scan_store, write_store

CANARY = "0101701234-secret"
HISTORIES = draw_histories(admissions="started_at ended_at\n-3d -2d\n+2d +3d")
ROWS = [("ada", INDEX)]
NAIVE = pl.DataFrame({"person_id": ["ada"], "index_time": [INDEX]})
SAME_MOMENT = {
    "text": pl.lit(INDEX.isoformat()),
    "text with blanks": pl.lit(f" {INDEX.isoformat(' ')} "),
    "text of a day": pl.lit(INDEX.date().isoformat()),
    "text with an offset": pl.lit("2025-02-28T23:00:00+00:00"),
    "date": pl.lit(INDEX.date()),
    "milliseconds": pl.lit(INDEX, pl.Datetime("ms")),
    "nanoseconds": pl.lit(INDEX, pl.Datetime("ns")),
    "local zone": pl.lit(INDEX).dt.replace_time_zone("Europe/Copenhagen"),
    "UTC": pl.lit(INDEX - timedelta(hours=1)).dt.replace_time_zone("UTC"),
    "New York": pl.lit(INDEX - timedelta(hours=6)).dt.replace_time_zone("America/New_York"),
}
DOORS = {
    "build_features": lambda cohort: sr.build_features(HISTORIES, cohort).collect(),
    "label_outcomes": lambda cohort: sr.label_outcomes(HISTORIES, cohort).collect(),
    "measure_burden": lambda cohort: measure_burden(HISTORIES, cohort, Horizon(365)).collect(),
}
every_door = pytest.mark.parametrize("answer", DOORS.values(), ids=DOORS)


def read(cohort, histories=HISTORIES):
    return read_cohort(histories, cohort).collect().rows()


@pytest.mark.parametrize("moment", SAME_MOMENT.values(), ids=SAME_MOMENT)
def test_a_moment_of_any_kind_is_the_same_moment(moment):
    assert read(NAIVE.with_columns(index_time=moment)) == ROWS


@every_door
def test_each_door_gives_the_same_answer_for_each_kind_of_moment(answer):
    expected = answer(NAIVE)
    for moment in SAME_MOMENT.values():
        assert answer(NAIVE.with_columns(index_time=moment)).equals(expected)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["UTC", "Asia/Tokyo"]))
def test_a_moment_with_a_zone_is_read_by_the_clock_of_the_histories(instant, zone):
    zoned = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    frame = pl.DataFrame(
        {"person_id": ["ada"], "index_time": [zoned]},
        schema_overrides={"index_time": pl.Datetime("us", zone)},
    )
    for home in ("Europe/Copenhagen", "Europe/Helsinki"):
        histories = sr.Histories(HISTORIES.tables, timezone=home)
        local = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(home)).replace(tzinfo=None)
        assert read(frame, histories) == [("ada", local)]


KINDS = {
    "lazy": pl.DataFrame.lazy,
    "pandas": pl.DataFrame.to_pandas,
    "Arrow table": pl.DataFrame.to_arrow,
    "Arrow batches": lambda frame: frame.to_arrow().to_reader(),
    "categories": lambda frame: frame.with_columns(pl.col("person_id").cast(pl.Categorical)),
    "other order and more": lambda frame: frame.select("index_time", "person_id", note=pl.lit("own")),
}


@pytest.mark.parametrize("convert", KINDS.values(), ids=KINDS)
def test_a_frame_of_any_kind_is_read(convert):
    assert read(convert(NAIVE)) == ROWS


def test_whole_numbers_are_ids_as_in_the_tables():
    histories = sr.from_frames(
        persons=pl.DataFrame({"person_id": [7], "birth_date": ["1980-05-01"], "sex": ["male"]}),
        admissions=pl.DataFrame(schema=HISTORIES.admissions.collect_schema()),
    )
    assert read(pl.DataFrame({"person_id": [7], "index_time": ["2025-03-01"]}), histories) == [("7", INDEX)]


@pytest.mark.parametrize("moment", [INDEX, "2025-03-01"])
@pytest.mark.parametrize("text", ["ada", " ada", "ada\t", "\u00a0ada "])
def test_blanks_around_an_id_mean_nothing_whatever_the_type_of_the_moment(text, moment):
    assert read(pl.DataFrame({"person_id": [text], "index_time": [moment]})) == [("ada", INDEX)]


def test_a_person_who_stands_twice_in_histories_made_by_hand_is_answered_once():
    tables = {**HISTORIES.tables, "persons": pl.concat([HISTORIES.persons, HISTORIES.persons])}
    twice = sr.Histories(tables, HISTORIES.data_end)
    frame = pl.DataFrame({"person_id": ["ada"], "index_time": [INDEX]})
    assert read(frame, twice) == [("ada", INDEX)]
    assert sr.label_outcomes(twice, frame.lazy()).collect().height >= 1


@given(st.lists(st.sampled_from(INDEX_TIMES), max_size=5))
def test_repeated_rows_are_answered_as_often_as_asked_and_in_their_order(moments):
    frame = pl.DataFrame(
        {"person_id": ["ada"] * len(moments), "index_time": moments},
        schema={"person_id": pl.String, "index_time": pl.Datetime("us")},
    )
    assert read(frame) == [("ada", moment) for moment in moments]
    assert sr.label_outcomes(HISTORIES, frame).collect()["index_time"].to_list() == moments


def test_a_cohort_is_read_as_it_was_made():
    assert read(sr.make_cohort(HISTORIES, [INDEX])) == ROWS


@every_door
@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("person_id", ["ada", CANARY, CANARY], "2 of 3 rows of table cohort name persons"),
        ("person_id", ["ada", None, ""], "column person_id cannot be read in 2 of 3 rows"),
        ("index_time", ["2025-03-01", CANARY, None], "column index_time cannot be read in 2 of 3 rows"),
        ("index_time", [1, 2, 3], "column index_time has type Int64"),
        ("index_time", [[INDEX]] * 3, "column index_time has type List"),
        ("person_id", [1.5, 2.5, 3.5], "column person_id has type Float64"),
        ("person_id", [b"ada"] * 3, "column person_id has type Binary"),
    ],
)
def test_what_cannot_be_read_is_refused_by_count_and_without_a_value(answer, column, values, words):
    sound = {"person_id": ["ada"] * 3, "index_time": [INDEX] * 3}
    with pytest.raises(InputError, match=words) as refused:
        answer(pl.DataFrame(sound | {column: values}))
    assert CANARY not in str(refused.value)


@every_door
@pytest.mark.parametrize(
    ("cohort", "words"),
    [
        (NAIVE.rename({"index_time": "date"}), r"has no column \['index_time'\], only 2 others"),
        (NAIVE.rename({"person_id": CANARY}), r"has no column \['person_id'\]"),
        (pl.DataFrame(), "has no column"),
        (None, "is a NoneType"),
        ("cohort.csv", "is a str"),
        ([("ada", INDEX)], "is a list"),
        (NAIVE["person_id"], "is a Series"),
        (pl.LazyFrame({"a": [1]}).select("b"), "cannot be read"),
    ],
)
def test_what_is_no_cohort_is_refused_in_words(answer, cohort, words):
    with pytest.raises(InputError, match=words) as refused:
        answer(cohort)
    assert CANARY not in str(refused.value)


def test_a_cohort_of_other_histories_is_not_answered_with_nothing():
    cohort = sr.make_cohort(draw_histories(person={"person_id": "bo"}), [INDEX])
    with pytest.raises(InputError, match="1 of 1 rows of table cohort name persons"):
        sr.label_outcomes(HISTORIES, cohort).collect()


@every_door
def test_no_rows_are_no_answers(answer):
    assert answer(NAIVE.clear()).is_empty()


@pytest.mark.parametrize("histories", [None, "store", NAIVE, {}])
def test_what_are_no_histories_is_refused_in_words(histories):
    with pytest.raises(InputError, match="from_frames"):
        sr.build_features(histories, NAIVE)


def test_a_store_remembers_the_zone_of_its_clocks(tmp_path):
    tables = {name: frame.collect().lazy() for name, frame in HISTORIES.tables.items()}
    write_store(sr.Histories(tables, timezone="Europe/Helsinki"), tmp_path / "store")
    assert scan_store(tmp_path / "store").timezone == "Europe/Helsinki"
