"""A table of which most was set aside is one error that says why, in words that hold no person's values."""

import re
from datetime import datetime, timedelta

import polars as pl
import pytest

import somv_risk as sr
from somv_risk.errors import InputError, SomvRiskError
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_translations
from somv_risk.store import append, is_store, scan_store

PERSONS = pl.DataFrame(
    {"person_id": ["ada", "bo", "cy"], "birth_date": ["1980-05-01"] * 3, "sex": ["female"] * 3}
)
END = datetime(2026, 1, 1)
FAR_AHEAD = "2998-01-01"
KEY = "a secret of 27 bytes or so."


def make_admissions(rows=4, **columns):
    """Sound contacts of Ada; a column may be given other cells, one for all or a list."""
    frame = pl.DataFrame(
        {
            "person_id": ["ada"] * rows,
            "contact_id": [f"a{number}" for number in range(rows)],
            "started_at": ["2025-03-01T10:00"] * rows,
            "sector": ["somatic"] * rows,
            "admission_type": ["acute"] * rows,
        }
    )
    cells = {
        name: pl.Series(value if isinstance(value, list) else [value] * rows)
        for name, value in columns.items()
    }
    return frame.with_columns(**cells)


def read_frames(_, tables, **options):
    return sr.from_frames(**tables, **options)


def read_folder(folder, tables, **options):
    for name, frame in tables.items():
        frame.write_csv(folder / f"{name}.csv")
    return sr.read_histories(folder, **options)


def ingest_folder(folder, tables, **options):
    (folder / "in").mkdir()
    for name, frame in tables.items():
        frame.write_parquet(folder / "in" / f"{name}.parquet")
    sr.store.ingest(sr.sources.scan_folder(folder / "in", **options), folder / "store", buckets=3)
    return scan_store(folder / "store")


DOORS = pytest.mark.parametrize("door", [read_frames, read_folder, ingest_folder])


@DOORS
def test_values_of_another_list_are_refused_with_the_nearest_right_ones(tmp_path, door):
    admissions = make_admissions(sector="Somatisk", admission_type="Akut")
    with pytest.raises(InputError) as caught:
        door(tmp_path, {"persons": PERSONS, "admissions": admissions}, data_end=END)
    assert str(caught.value) == (
        "Table admissions: 4 of 4 rows were set aside (admission_type|unknown_value: 4, "
        "sector|unknown_value: 4). Column admission_type takes acute, planned; it has 'Akut' in 4 rows "
        "(nearest: acute). Column sector takes somatic, psychiatric; it has 'Somatisk' in 4 rows (nearest: "
        "somatic). Correct or translate the delivery."
    )
    assert not is_store(tmp_path / "store")


@DOORS
@pytest.mark.parametrize(("bad", "is_refused"), [(2, False), (3, True)])
def test_half_of_a_table_may_be_set_aside_and_no_more(tmp_path, door, bad, is_refused):
    tables = {"persons": PERSONS, "admissions": make_admissions(sector=["?"] * bad + ["somatic"] * (4 - bad))}
    if is_refused:
        with pytest.raises(InputError, match=f"Table admissions: {bad} of 4 rows were set aside"):
            door(tmp_path, tables, data_end=END)
    else:
        assert door(tmp_path, tables, data_end=END).quarantine.count() == bad


@DOORS
def test_persons_who_are_set_aside_are_told_before_their_events(tmp_path, door):
    tables = {"persons": PERSONS.with_columns(sex=pl.lit("Kvinde")), "admissions": make_admissions()}
    with pytest.raises(InputError, match=r"Table persons: 3 of 3 .* 'Kvinde' in 3 rows \(nearest: female"):
        door(tmp_path, tables, data_end=END)


@DOORS
def test_a_delivery_of_the_future_is_refused_by_the_clock(tmp_path, door):
    tables = {"persons": PERSONS, "admissions": make_admissions(started_at=FAR_AHEAD)}
    with pytest.raises(InputError, match=r"4 of 4 rows start after .* clock of this machine.* data_end"):
        door(tmp_path, tables)


@DOORS
def test_with_a_data_end_the_clock_is_not_asked(tmp_path, door):
    tables = {"persons": PERSONS, "admissions": make_admissions(started_at=FAR_AHEAD)}
    assert door(tmp_path, tables, data_end=datetime(2999, 1, 1)).quarantine.count() == 0


def test_a_table_that_may_be_absent_is_held_against_the_clock_too():
    calls = pl.DataFrame({"person_id": ["ada"], "started_at": [FAR_AHEAD], "kind": ["gp"]})
    with pytest.raises(InputError, match="Table primary_care: 1 of 1 rows start after"):
        sr.from_frames(persons=PERSONS, admissions=make_admissions(), primary_care=calls)


def test_what_lies_after_a_declared_data_end_is_set_aside_without_a_word_of_the_clock():
    calls = pl.DataFrame({"person_id": ["ada"], "started_at": ["2025-12-01"], "kind": ["gp"]})
    end = datetime(2025, 6, 1)
    histories = sr.from_frames(
        persons=PERSONS, admissions=make_admissions(), primary_care=calls, data_end=end
    )
    assert histories.quarantine.count_set_aside("primary_care") == 1
    late = make_admissions(started_at="2025-12-01")
    with pytest.raises(InputError, match=r"starts_in_the_future: 4\)\. They start after the data end\."):
        sr.from_frames(persons=PERSONS, admissions=late, data_end=end)


def test_other_tables_may_lose_all_their_rows():
    calls = pl.DataFrame({"person_id": ["ada"], "started_at": ["2025-12-01"], "kind": ["?"]})
    histories = sr.from_frames(persons=PERSONS, admissions=make_admissions(), primary_care=calls)
    assert histories.quarantine.count_set_aside("primary_care") == 1


def test_rows_kept_without_an_attribute_empty_no_table():
    histories = sr.from_frames(persons=PERSONS, admissions=make_admissions(diagnosis="250.00"))
    assert histories.quarantine.count_kept_without("admissions") == 4
    assert histories.admissions.collect().height == 4


REASONS = [
    (
        {"started_at": "31-01-2025 10:00"},
        "takes moments like 2026-01-31T08:15; it has forms like 99-99-9999 99:99.",
    ),
    ({"started_at": "1/31/2025"}, "it has forms like 9/99/9999."),
    ({"started_at": "in the spring"}, "it has text that is none."),
    ({"started_at": "9999-12-31"}, "Column started_at has days that stand for no date."),
    ({"person_id": "nobody"}, "Their persons are not in table persons, or were set aside."),
    ({"contact_id": "1"}, "(duplicate: 3). The same id stands there more than once"),
    ({"contact_id": ""}, "Column contact_id is empty."),
    ({"ended_at": "2025-02-01"}, "They end before they start."),
    (
        {"sector": ["Somatisk", "Somatisk", "Psykiatri", "SECRETVALUE"]},
        "'Psykiatri' in 1 rows (nearest: psychiatric), values that are none of these in 1 rows.",
    ),
]


@pytest.mark.parametrize(("columns", "reason"), REASONS)
def test_the_error_says_what_a_column_takes_and_what_form_was_delivered(columns, reason):
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        sr.from_frames(persons=PERSONS, admissions=make_admissions(**columns))
    assert "SECRETVALUE" not in str(caught.value)


CANARIES = ["SECRETVALUE", "0101701234", "Hansen", "010170-1234", "Jens Hansen", "Zz\nZz"]


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("column", make_admissions().columns)
def test_no_value_is_told_when_a_whole_column_is_something_else(column, canary):
    told = tell(persons=PERSONS, admissions=make_admissions(**{column: canary}), pseudonymise_key=KEY)
    assert canary not in told
    assert canary.split()[0] not in told


def tell(**delivery):
    """Everything that is told of a delivery."""
    try:
        histories = sr.from_frames(**delivery)
    except SomvRiskError as error:
        return str(error)
    return f"{histories} {histories.quarantine}"


def test_a_later_delivery_that_is_lost_leaves_the_store_as_it_was(tmp_path):
    ingest_folder(tmp_path, {"persons": PERSONS, "admissions": make_admissions()}, data_end=END)
    before = {file: file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file()}
    late = make_admissions(contact_id=["b0", "b1", "b2", "b3"], sector="Somatisk")
    (tmp_path / "late").mkdir()
    late.write_csv(tmp_path / "late" / "admissions.csv")
    end = END + timedelta(days=1)
    with pytest.raises(InputError, match="Table admissions: 4 of 4 rows"):
        append(sr.sources.scan_folder(tmp_path / "late", data_end=end), tmp_path / "store", delivered_at=end)
    assert before == {file: file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file()}


def test_every_translation_belongs_to_a_value_of_a_closed_list():
    accepted = {
        (name, value)
        for table in s.TABLES
        for name, dtype in s.get_columns(table).items()
        if isinstance(dtype, pl.Enum)
        for value in dtype.categories
    }
    assert load_translations()
    for column, values in load_translations().items():
        for value, words in values.items():
            assert (column, value) in accepted
            assert all(word == word.casefold() and not re.search("[0-9]{2}", word) for word in words)
            assert not set(words) & {other for name, other in accepted if name == column}
