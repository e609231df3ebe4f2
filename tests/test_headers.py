"""Headers: a column is found however its name is written, and none is passed over without a word."""

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import somv_risk as sr
from somv_risk.calls.moments import parse_moment
from somv_risk.calls.nearest import find_near_name, find_near_value, measure_distance
from somv_risk.errors import ColumnWarning, InputError, SomvRiskError
from somv_risk.registers import schema as s
from somv_risk.registers.headers import clean_name, read_header
from somv_risk.store import Batches, Delivery, ingest, scan_store

PERSONS = pl.DataFrame({"person_id": ["ada"], "birth_date": ["1980-05-01"], "sex": ["female"]})
ADMISSIONS = pl.DataFrame(
    {
        "person_id": ["ada"],
        "contact_id": ["a1"],
        "started_at": ["2025-03-01T10:00"],
        "ended_at": ["2025-03-02T10:00"],
        "sector": ["somatic"],
        "admission_type": ["acute"],
    }
)


def from_frames(_, admissions):
    return sr.from_frames(persons=PERSONS, admissions=admissions)


def from_pandas(_, admissions):
    plain = pd.DataFrame(admissions.rows())  # Polars cannot hand over a name that holds a NUL
    return sr.from_frames(persons=PERSONS, admissions=plain.set_axis(admissions.columns, axis=1))


def from_csv(folder, admissions):
    PERSONS.write_csv(folder / "persons.csv")
    admissions.write_csv(folder / "admissions.csv")
    return sr.read_histories(folder)


def from_parquet(folder, admissions):
    PERSONS.write_parquet(folder / "persons.parquet")
    admissions.write_parquet(folder / "admissions.parquet")
    return sr.read_histories(folder)


def from_batches(folder, admissions):
    frames = {"persons": PERSONS, "admissions": admissions}
    batches = {
        name: Batches(frame.schema, lambda frame=frame: iter([frame])) for name, frame in frames.items()
    }
    ingest(Delivery(batches, latest=parse_moment("2026-01-01")), folder / "store", buckets=2)
    return scan_store(folder / "store")


DOORS = [from_frames, from_pandas, from_csv, from_parquet, from_batches]
SPELLINGS = [
    *("ended_at ", " ended_at", "Ended_At", "ENDED_AT", "ended_at\u00a0", "\ufeffended_at", "ended\u200b_at"),
    *("ended_at\t", "\u3000ended_at", "ｅnded_at"),  # noqa: RUF001 - a wide letter
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_column_is_found_whatever_stands_around_its_name(tmp_path, door, spelling):
    histories = door(tmp_path, ADMISSIONS.rename({"ended_at": spelling}))
    assert histories.admissions.collect()["ended_at"].null_count() == 0


@pytest.mark.parametrize("door", [from_frames, from_pandas, from_batches])
def test_a_name_with_a_mark_that_cannot_be_seen_is_read(tmp_path, door):
    histories = door(tmp_path, ADMISSIONS.rename({"ended_at": "ended_at\x00"}))
    assert histories.admissions.collect()["ended_at"].null_count() == 0


MISSPELT = ["end_at", "endedat", "ended at", "ended-at", "ended_ad", "eneded_at", "_ended_at", "ended_on"]


@pytest.mark.parametrize("door", DOORS)
def test_a_misspelt_column_is_refused_at_every_door(tmp_path, door):
    with pytest.raises(InputError, match="Table admissions has no column 'ended_at', but one named 'end_at'"):
        door(tmp_path, ADMISSIONS.rename({"ended_at": "end_at"}))


@pytest.mark.parametrize("name", MISSPELT)
def test_a_name_that_is_nearly_that_of_a_missing_column_is_refused(name):
    with pytest.raises(InputError, match=rf"no column 'ended_at', but one named '{name}'\. Name it"):
        read_header("admissions", ADMISSIONS.rename({"ended_at": name}).columns)


@pytest.mark.parametrize("name", ["Death Date", "deathdate", "death_dat", "dead_date"])
def test_a_death_is_not_lost_to_a_misspelt_name(name):
    with pytest.raises(InputError, match="no column 'death_date'"):
        sr.from_frames(persons=PERSONS.with_columns(pl.lit("2020-01-01").alias(name)), admissions=ADMISSIONS)


def test_a_required_column_that_is_misspelt_is_named_beside_what_is_there():
    with pytest.raises(InputError, match="no column 'birth_date', but one named 'birthdate'"):
        read_header("persons", ["person_id", "birthdate", "sex"])


def test_a_name_near_one_that_is_there_is_only_another_column():
    header = read_header("admissions", [*ADMISSIONS.columns, "start_at", "ended_at_2"])
    assert header.others == ("start_at", "ended_at_2")


@pytest.mark.parametrize("second", ["ended_at", "Ended_At", " ended_at", "ended_at_duplicated_0"])
def test_a_column_that_is_there_twice_is_refused(second):
    with pytest.raises(InputError, match=r"Table admissions has column \['ended_at'\] more than once"):
        read_header("admissions", [*ADMISSIONS.columns, second])


def test_a_header_of_a_file_that_names_a_column_twice_is_refused(tmp_path):
    from_csv(tmp_path, ADMISSIONS)
    file = tmp_path / "admissions.csv"
    head, line = file.read_text().splitlines()
    file.write_text(f"{head},ended_at\n{line},2025-12-24\n")
    with pytest.raises(SomvRiskError, match="has the same name above columns 4 and 7"):
        sr.read_histories(tmp_path)


def repeat_in_pandas(frame):
    return pd.concat([frame.to_pandas(), frame.select("ended_at").to_pandas()], axis=1)


def repeat_in_arrow(frame):
    table = frame.to_arrow()
    return pa.table([*table.columns, table["ended_at"]], names=[*table.column_names, "ended_at"])


@pytest.mark.parametrize("repeat", [repeat_in_pandas, repeat_in_arrow])
def test_a_frame_that_names_a_column_twice_is_refused(repeat):
    with pytest.raises(InputError, match=r"column \['ended_at'\] more than once"):
        sr.from_frames(persons=PERSONS, admissions=repeat(ADMISSIONS))


@pytest.mark.parametrize("door", DOORS)
def test_columns_that_are_not_read_are_named_once(tmp_path, door):
    with pytest.warns(ColumnWarning) as warned:
        door(tmp_path, ADMISSIONS.with_columns(ward=pl.lit("A"), Remark=pl.lit("x")))
    (message,) = [str(one.message) for one in warned if one.category is ColumnWarning]
    assert message == "Table admissions has columns that are not read: ward, remark."


@pytest.mark.parametrize("name", ["0101701234", "Hansen 0101", "x" * 31, "a\x1b[31m", "1970-01-01", ""])
def test_a_name_that_may_be_a_value_is_counted_and_not_shown(name):
    odd = ADMISSIONS.with_columns(pl.lit("x").alias(name), ward=pl.lit("A"))
    with pytest.warns(ColumnWarning, match=r"not read: ward and 1 not named here\."):
        sr.from_frames(persons=PERSONS, admissions=odd)


def test_nothing_is_said_of_a_table_whose_columns_are_all_read(recwarn):
    sr.from_frames(persons=PERSONS, admissions=ADMISSIONS)
    assert not recwarn.list


ODD = {
    "list": pl.Series([["x"]]),
    "struct": pl.Series([{"x": 1}]),
    "array": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
    "object": pl.Series([object()], dtype=pl.Object),
    "bytes": pl.Series([b"x"]),
    "wide": pl.Series([2**100], dtype=pl.Int128),
    "duration": pl.Series([1], dtype=pl.Duration("us")),
}


@pytest.mark.filterwarnings("ignore:.*not read:somv_risk.errors.ColumnWarning")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("door", [from_frames, from_batches])
def test_a_column_of_an_odd_type_that_is_not_read_does_no_harm(tmp_path, door, kind):
    one_bad = pl.concat([ADMISSIONS, ADMISSIONS.with_columns(contact_id=pl.lit("a2"), sector=pl.lit("?"))])
    odd = one_bad.with_columns(ODD[kind].new_from_index(0, 2).alias("note\x00"))
    quarantine = door(tmp_path, odd).quarantine
    assert quarantine.count() == 1
    assert "note\x00" not in quarantine["admissions"].columns


@given(st.text(max_size=12), st.text(max_size=12))
def test_the_distance_of_two_words_is_what_it_is_by_definition(one, other):
    def distance(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))

    assert measure_distance(one[:5], other[:5]) == distance(one[:5], other[:5])
    assert measure_distance(one, other) == measure_distance(other, one)


@given(st.sampled_from([name for table in s.TABLES for name in s.get_columns(table)]), st.data())
def test_any_mix_of_capitals_and_blanks_is_the_same_name(name, data):
    capitals = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    mixed = "".join(mark.upper() if up else mark for mark, up in zip(name, capitals, strict=True))
    around = st.text(st.sampled_from(" \t\u00a0\u200b\ufeff\u2003"), max_size=3)
    assert clean_name(data.draw(around) + mixed + data.draw(around)) == name


@pytest.mark.parametrize(
    ("name", "names", "near"),
    [
        ("end_at", ["ended_at", "known_at"], "ended_at"),
        ("knownat", ["ended_at", "known_at"], "known_at"),
        ("age", ["sex"], None),  # two of three letters are another word
        ("cost", ["code"], None),
        ("codes", ["code"], "code"),
        ("ward", ["hospital", "department"], None),
    ],
)
def test_near_names_differ_in_two_letters_at_most_and_in_less_than_half(name, names, near):
    assert find_near_name(name, names) == near


@pytest.mark.parametrize(
    ("value", "near"),
    [
        *(
            ("Akut", "acute"),
            ("ACUTE", "acute"),
            ("acut", "acute"),
            ("planlagt", "planned"),
            ("plan", "planned"),
        ),
        *(("SECRETVALUE", None), ("x", None), ("", None), ("12", None)),
    ],
)
def test_near_values_differ_little_or_are_words_of_another_language(value, near):
    words = {"acute": ["akut"], "planned": ["planlagt"]}
    assert find_near_value(value, ["acute", "planned"], words) == near
