"""Deliveries: a later one corrects, completes and adds, is honest about when, and twice is once."""

import json
from datetime import date, datetime, timedelta
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.errors import ConfigError, IdentityError, InputError, SourceError
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.sources import from_frames, scan_folder
from somv_risk.store import (
    Batches,
    Delivery,
    Moment,
    Moves,
    append,
    append_store,
    deliver_frames,
    hash_store,
    ingest,
    merge_events,
    read_manifest,
    scan_store,
    verify_store,
    write_store,
)

BUCKETS = 3
FIRST_END, DELIVERED = datetime(2025, 6, 1), datetime(2025, 7, 3)
SECOND_END = datetime(2025, 7, 1)
EVERYONE = ("ada", "bo", "cy", "di", "eve", "fin", "gro", "hal")


def read_moment(text):
    return None if text == "-" else datetime.fromisoformat(f"2025-{text}")


def draw_contacts(text):
    """Contacts as one line each: person, id, start, end, known, department."""
    rows = [line.split() for line in text.strip().splitlines()]
    return pl.DataFrame(
        {
            "person_id": [row[0] for row in rows],
            "contact_id": [row[1] for row in rows],
            "started_at": [read_moment(row[2]) for row in rows],
            "ended_at": [read_moment(row[3]) for row in rows],
            "known_at": [read_moment(row[4]) for row in rows],
            "department": [row[5] for row in rows],
            "sector": "somatic",
            "admission_type": "acute",
        },
        schema_overrides=dict.fromkeys(("started_at", "ended_at", "known_at"), pl.Datetime("us")),
    )


def list_persons(*names):
    return pl.DataFrame({"person_id": names, "birth_date": date(1980, 1, 1), "sex": "female"})


def deliver(contacts=None, persons=(), end=SECOND_END, **tables):
    """A delivery of some tables only."""
    if contacts is not None:
        tables["admissions"] = draw_contacts(contacts) if isinstance(contacts, str) else contacts
    if len(persons):
        tables["persons"] = persons if isinstance(persons, pl.DataFrame) else list_persons(*persons)
    frames = {name: frame.lazy() for name, frame in tables.items()}
    return Delivery(deliver_frames(frames), latest=end or datetime(2030, 1, 1), data_end=end)


FIRST = """
ada a1 05-01 05-03 -     ward
ada a2 05-20 -     05-21 ward
bo  b1 04-01 04-02 04-03 ward
cy  c1 05-30 -     -     ward
"""


@pytest.fixture
def store(tmp_path):
    ingest(deliver(FIRST, EVERYONE, FIRST_END), tmp_path / "store", buckets=BUCKETS)
    return tmp_path / "store"


def read_contacts(store):
    rows = scan_store(store).admissions.select(
        "contact_id", "person_id", "ended_at", "known_at", "department"
    )
    return {row[0]: row[1:] for row in rows.collect().iter_rows()}


def read_bytes(folder):
    return {
        file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*") if file.is_file()
    }


def put(store, contacts=None, delivered_at=DELIVERED, **options):
    changes = append(deliver(contacts, **options), store, delivered_at=delivered_at)
    return {(table, change): rows for table, change, rows in changes.iter_rows()}


# --- Known since when


def test_a_corrected_row_takes_the_place_of_the_old_and_was_not_known_before_the_delivery(store):
    assert put(store, "ada a1 05-01 05-04 - ward") == {
        ("admissions", "corrected"): 1,
        ("admissions", "replaced"): 1,
    }
    assert read_contacts(store)["a1"] == ("ada", datetime(2025, 5, 4), DELIVERED, "ward")
    assert len(read_contacts(store)) == 4


def test_a_corrected_row_carries_its_own_later_moment(store):
    put(store, "bo b1 04-01 04-05 06-20 ward")
    assert read_contacts(store)["b1"] == ("bo", datetime(2025, 4, 5), datetime(2025, 6, 20), "ward")


@pytest.mark.parametrize("own", ["04-03", "04-02"])
def test_a_correction_that_claims_the_old_moment_was_known_at_the_delivery(store, own):
    put(store, f"bo b1 04-01 04-05 {own} ward")
    assert read_contacts(store)["b1"][2] == DELIVERED


def test_a_stay_that_has_ended_since_keeps_what_was_known_of_its_start(store):
    """What is learnt at the end is hidden until then anyway; without its start, scores between are blind."""
    assert put(store, "ada a2 05-20 06-10 - ward\ncy c1 05-30 06-02 - ward") == {
        ("admissions", "completed"): 2,
        ("admissions", "replaced"): 2,
    }
    assert read_contacts(store)["a2"] == ("ada", datetime(2025, 6, 10), datetime(2025, 5, 21), "ward")
    assert read_contacts(store)["c1"] == ("cy", datetime(2025, 6, 2), None, "ward")


def test_an_end_that_the_store_should_have_had_was_told_late(store):
    put(store, "ada a2 05-20 05-25 - ward")
    assert read_contacts(store)["a2"][2] == DELIVERED


def test_a_stay_that_has_ended_and_is_corrected_too_is_corrected(store):
    put(store, "ada a2 05-20 06-10 - other")
    assert read_contacts(store)["a2"] == ("ada", datetime(2025, 6, 10), DELIVERED, "other")


def test_a_new_row_is_known_as_its_source_says(store):
    assert put(store, "ada a3 06-10 06-12 - ward\nbo b2 06-11 - 06-15 ward") == {("admissions", "added"): 2}
    assert [read_contacts(store)[name][2] for name in ("a3", "b2")] == [None, datetime(2025, 6, 15)]


def test_a_row_from_before_the_end_of_the_store_was_told_late(store):
    put(store, "ada a0 03-10 03-12 - ward\nbo b0 03-10 03-12 03-20 ward")
    assert [read_contacts(store)[name][2] for name in ("a0", "b0")] == [DELIVERED, datetime(2025, 3, 20)]


def test_the_past_of_a_person_who_is_new_is_known_as_its_source_says(store):
    put(store, "ian i1 03-10 03-12 - ward", persons=["ian"])
    assert read_contacts(store)["i1"][2] is None


def test_a_table_that_is_new_is_known_as_its_source_says(store):
    spell = {"person_id": ["ada"], "started_at": [datetime(2025, 2, 1)], "benefit": ["sickness"]}
    assert put(store, social_benefits=pl.DataFrame(spell)) == {("social_benefits", "added"): 1}
    assert scan_store(store).social_benefits.collect()["known_at"].to_list() == [None]
    assert "social_benefits" not in scan_store(store).absent
    assert verify_store(store).is_empty()


def test_a_score_at_an_earlier_moment_sees_neither_the_old_row_nor_the_new(store):
    """The old values are gone, and the new ones were not known then; so nothing is."""
    at = datetime(2025, 5, 15)

    def count(person):
        histories = scan_store(store)
        cohort = sr.make_cohort(histories, [at])
        row = sr.build_features(histories, cohort).collect().filter(pl.col("person_id") == person)
        return row["acute_admissions_365d"].item()

    assert (count("ada"), count("bo")) == (1, 1)
    put(store, "ada a1 05-01 05-04 - ward")
    assert (count("ada"), count("bo")) == (0, 1)


def test_a_table_delivered_alone_does_not_move_the_end_of_the_outcomes(store):
    visits = pl.DataFrame({"person_id": ["ada"], "started_at": [datetime(2025, 6, 9)], "kind": ["gp"]})
    put(store, primary_care=visits)
    assert scan_store(store).data_end == FIRST_END
    put(store, "ada a3 06-10 06-12 - ward")
    assert scan_store(store).data_end == SECOND_END
    assert read_contacts(store)["a3"][2] is None


# --- What replaces what


def test_a_contact_that_was_another_persons_moves(store):
    for person in ("bo", "cy", "di", "eve", "fin"):
        put(store, f"{person} a1 05-01 05-03 - ward", delivered_at=DELIVERED + timedelta(hours=len(person)))
        assert read_contacts(store)["a1"][:2] == (person, datetime(2025, 5, 3))
        assert read_contacts(store)["a1"][2] >= DELIVERED
        assert len(read_contacts(store)) == 4
    assert verify_store(store).is_empty()


def test_a_contact_that_moves_to_a_new_person_was_not_known_before_the_delivery(store):
    """The past of new persons is known as its source says, but not a row that the store had with another."""
    for number in range(6):
        moment = DELIVERED + timedelta(hours=number)
        put(store, f"new{number} a1 05-01 05-03 - ward", persons=[f"new{number}"], delivered_at=moment)
        person, _, known_at, _ = read_contacts(store)["a1"]
        assert (person, known_at) == (f"new{number}", moment)


def test_a_contact_does_not_move_to_a_person_who_is_not_there(store):
    before = read_contacts(store)
    put(store, "nobody a1 05-01 05-03 - ward\nada a2 05-20 - 05-21 ward")
    assert read_contacts(store) == before
    assert scan_store(store).quarantine["admissions"]["rule"].to_list() == ["person_is_known"]


def test_a_spell_without_an_id_is_the_same_while_it_starts_at_the_same_moment(store):
    def spell(end):
        start = datetime(2025, 5, 1)
        columns = {"person_id": ["ada"], "started_at": [start], "ended_at": [end], "benefit": ["sickness"]}
        return pl.DataFrame(columns, schema_overrides={"ended_at": pl.Datetime("us")})

    put(store, social_benefits=spell(None), end=datetime(2025, 6, 2), delivered_at=datetime(2025, 6, 3))
    put(store, social_benefits=spell(datetime(2025, 6, 20)))
    rows = scan_store(store).social_benefits.collect()
    assert rows.select("ended_at", "known_at").rows() == [(datetime(2025, 6, 20), None)]


def test_two_visits_at_once_stay_two_and_come_again_as_two(store):
    visits = pl.DataFrame(
        {"person_id": ["ada"] * 2, "started_at": [datetime(2025, 6, 9)] * 2, "kind": ["gp"] * 2}
    )
    assert put(store, primary_care=visits) == {("primary_care", "added"): 2}
    again = pl.concat([visits, visits.with_columns(kind=pl.lit("other"))])
    assert put(store, primary_care=again, delivered_at=DELIVERED + timedelta(1)) == {
        ("primary_care", "added"): 2
    }
    assert scan_store(store).primary_care.collect().height == 4


def test_the_diagnoses_of_a_contact_come_together(store):
    def diagnose(*codes):
        rows = [{"person_id": "ada", "contact_id": "a1", "code": code, "kind": "secondary"} for code in codes]
        times = {"started_at": datetime(2025, 5, 1), "ended_at": datetime(2025, 5, 3)}
        return pl.DataFrame([row | times for row in rows])

    put(store, diagnoses=diagnose("F101", "E119"), delivered_at=DELIVERED)
    changes = put(store, diagnoses=diagnose("F101", "I109"), delivered_at=DELIVERED + timedelta(1))
    assert changes == {("diagnoses", "corrected"): 1, ("diagnoses", "replaced"): 1}
    rows = scan_store(store).diagnoses.collect().sort("code")
    assert rows["code"].to_list() == ["F101", "I109"]
    assert rows["known_at"].to_list() == [None, DELIVERED + timedelta(1)]


def test_a_persons_row_is_replaced_and_a_new_person_gets_numbers(store):
    dead = list_persons("ada", "ian").with_columns(death_date=pl.lit(date(2025, 6, 15)))
    assert put(store, "ian i1 06-02 - - ward", persons=dead) == {
        ("persons", "added"): 1,
        ("persons", "corrected"): 1,
        ("persons", "replaced"): 1,
        ("admissions", "added"): 1,
    }
    persons = scan_store(store).persons.collect()
    assert persons.height == len(EVERYONE) + 1
    assert persons.filter(pl.col("death_date").is_not_null())["person_id"].sort().to_list() == ["ada", "ian"]
    assert verify_store(store).is_empty()


# --- Twice is once


NEXT = """
ada a1 05-01 05-04 -     ward
ada a2 05-20 06-10 -     ward
bo  b1 04-01 04-02 04-03 ward
bo  b0 03-10 03-12 -     ward
di  d1 06-10 06-11 06-12 ward
ada a1 05-01 05-09 -     ward
"""


def test_a_delivery_applied_twice_changes_not_a_byte(store):
    put(store, NEXT)
    before, hashed = read_bytes(store), hash_store(store)
    assert put(store, NEXT) == {}
    assert put(store, NEXT, delivered_at=DELIVERED + timedelta(9)) == {}
    assert (read_bytes(store), hash_store(store)) == (before, hashed)
    assert scan_store(store).quarantine["admissions"]["delivered_at"].to_list() == [DELIVERED]


def test_a_delivery_applied_again_after_another_changes_nothing(store):
    put(store, NEXT)
    put(store, "ada a1 05-01 05-05 - ward", delivered_at=DELIVERED + timedelta(1))
    before = read_bytes(store)
    assert put(store, NEXT) == {}
    assert read_bytes(store) == before


def test_the_first_delivery_applied_again_changes_nothing(store):
    put(store, NEXT)
    before = read_bytes(store)
    changes = append(deliver(FIRST, EVERYONE, FIRST_END), store, delivered_at=DELIVERED)
    assert changes.is_empty()
    assert read_bytes(store) == before


def test_what_a_store_says_already_changes_no_row(tmp_path):
    histories = sr.simulate(persons=200, seed=4)
    write_store(histories, tmp_path / "store", buckets=BUCKETS)
    before = read_bytes(tmp_path / "store")
    assert append_store(histories, tmp_path / "store", delivered_at=datetime(2026, 1, 2)).is_empty()
    assert read_bytes(tmp_path / "store") == before


def test_deliveries_about_different_rows_may_come_in_any_order(store, tmp_path):
    ingest(deliver(FIRST, EVERYONE, FIRST_END), tmp_path / "other", buckets=BUCKETS)
    visits = pl.DataFrame({"person_id": ["ada"], "started_at": [datetime(2025, 6, 9)], "kind": ["gp"]})
    contacts = "bo b1 04-01 04-02 06-09 other\ndi d1 06-10 - - ward"
    deliveries = [{"contacts": contacts}, {"primary_care": visits}]
    for own, other in zip(deliveries, reversed(deliveries), strict=True):
        put(store, **own)
        put(tmp_path / "other", **other)
    one, other = scan_store(store), scan_store(tmp_path / "other")
    assert {s.PERSONS, s.ADMISSIONS, s.PRIMARY_CARE} <= set(one.tables)
    for table in one.tables:
        assert_frame_equal(one.table(table).collect(), other.table(table).collect())


def test_a_region_delivered_in_two_parts_is_the_region(tmp_path):
    histories = sr.simulate(persons=300, seed=3)
    cut = datetime(2025, 6, 1)
    first = {
        name: frame if name == "persons" else frame.filter(pl.col("started_at") < cut)
        for name, frame in histories.tables.items()
    }
    write_store(Histories(first, data_end=cut), tmp_path / "parts", buckets=BUCKETS)
    append_store(histories, tmp_path / "parts", delivered_at=datetime(2026, 1, 5))
    read = scan_store(tmp_path / "parts")
    assert read.data_end == histories.data_end
    for name, frame in histories.tables.items():
        assert_frame_equal(read.table(name).collect().sort(pl.all()), frame.collect().sort(pl.all()))
    assert verify_store(tmp_path / "parts").is_empty()


# --- What is refused


def test_a_delivery_older_than_the_last_is_refused(store):
    put(store, "ada a1 05-01 05-04 - ward", delivered_at=DELIVERED + timedelta(5))
    with pytest.raises(ConfigError, match=r"is older\. Append deliveries in the order"):
        put(store, "ada a1 05-01 05-05 - ward")


def test_a_delivery_cannot_hold_data_from_after_it_was_made(store):
    with pytest.raises(ConfigError, match="cannot hold or follow data until 2025-07-01"):
        put(store, NEXT, delivered_at=datetime(2025, 6, 30))


def test_a_delivery_into_a_store_with_a_data_end_says_its_own(store):
    with pytest.raises(ConfigError, match="Give the delivery's data_end"):
        put(store, NEXT, end=None)


@pytest.mark.parametrize(
    ("tables", "error", "says"),
    [
        ({"admissions": pl.DataFrame({"person_id": ["ada"]})}, InputError, "admissions has no column"),
        ({"visits": pl.DataFrame({"person_id": ["ada"]})}, InputError, "Unknown table"),
        ({"persons": list_persons("0101701234")}, IdentityError, "1 person ids look like CPR"),
        (
            {"persons": list_persons("ada").with_columns(person_id=pl.lit(1.5))},
            InputError,
            "column person_id has type Float64",
        ),
    ],
)
def test_a_delivery_that_cannot_be_used_leaves_the_store_as_it_was(store, tables, error, says):
    before = read_bytes(store)
    with pytest.raises(error, match=says):
        put(store, **tables)
    assert read_bytes(store) == before


def test_what_is_no_store_takes_no_delivery(tmp_path):
    with pytest.raises(SourceError, match="is not a store"):
        put(tmp_path, NEXT)


def test_a_store_of_another_version_takes_no_delivery(store):
    (store / "manifest.json").write_text(json.dumps(read_manifest(store) | {"store_version": 3}))
    with pytest.raises(SourceError, match="has version 3; this library reads 4"):
        put(store, NEXT)


# --- Reading while it happens


def test_what_was_scanned_before_a_delivery_is_read_as_it_was(store):
    scanned = scan_store(store)
    put(store, NEXT)
    assert scanned.admissions.collect().height == 4
    assert scan_store(store).admissions.collect().height == 6


def test_files_that_no_reader_can_have_any_more_go_with_the_next_delivery(store):
    put(store, NEXT)
    put(store, "ada a1 05-01 05-05 - ward", delivered_at=DELIVERED + timedelta(1))
    put(store, "ada a1 05-01 05-06 - ward", delivered_at=DELIVERED + timedelta(2))
    named = {entry["file"] for entry in read_manifest(store)["files"]}
    there = {file.relative_to(store).as_posix() for file in store.glob("bucket=*/*.parquet")}
    assert named < there
    # Of the three that were replaced, only the last reader's file is still there.
    assert len(there - named) == 1
    assert next(iter(there - named)).endswith("/admissions.2.parquet")


# --- Streamed and at once are the same


def make_dirty(seed, rows=400):
    """Contacts of which some are repeated, of nobody, upside down, in the future or unreadable."""
    random = Random(seed)
    people = [f"p{number}" for number in range(25)]
    lines = []
    for _ in range(rows):
        start = datetime(2025, 1, 1) + timedelta(hours=random.randrange(24 * 160))
        end = start + timedelta(hours=random.randrange(-5, 90))
        lines.append(
            {
                "person_id": random.choice([*people, "nobody", None]),
                "contact_id": random.choice([f"c{random.randrange(2_000)}"] * 18 + ["", None]),
                "started_at": random.choice([start.isoformat()] * 19 + ["soon"]),
                "ended_at": random.choice([end.isoformat(), None]),
                "sector": random.choice(["somatic"] * 19 + ["dental"]),
                "admission_type": "acute",
                "diagnosis": random.choice(["F102", "DF102", "headache"]),
            }
        )
    contacts = pl.DataFrame(lines, infer_schema_length=None)
    persons = pl.concat([list_persons(*people), list_persons("p3", "p4")])
    return {"persons": persons, "admissions": contacts}


def cut_into(frame, size):
    def read():
        yield frame.clear()
        yield from frame.iter_slices(size)

    return Batches(frame.schema, read)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 17, 1_000])
def test_a_delivery_read_in_batches_is_the_delivery_read_at_once(tmp_path, seed, size):
    tables = make_dirty(seed)
    end = datetime(2025, 5, 20)
    expected = from_frames(data_end=end, **tables)
    batches = {name: cut_into(frame, size) for name, frame in tables.items()}
    ingest(Delivery(batches, latest=end, data_end=end), tmp_path / "store", buckets=4)
    read = scan_store(tmp_path / "store")
    for name, frame in expected.tables.items():
        assert_frame_equal(read.table(name).collect().sort(pl.all()), frame.collect().sort(pl.all()))
    assert set(read.quarantine.rows) == set(expected.quarantine.rows) == {"persons", "admissions"}
    for name, aside in expected.quarantine.rows.items():
        assert_frame_equal(read.quarantine[name], aside, check_row_order=False)
    assert verify_store(tmp_path / "store").is_empty()
    assert not (tmp_path / "store" / ".staging").exists()


def test_ids_are_hidden_before_anything_is_written(tmp_path):
    key, cpr = "a secret of 27 bytes or so.", "0101701234"
    tables = {"persons": list_persons(cpr), "admissions": draw_contacts(f"{cpr} a1 05-01 05-03 - ward")}
    frames = deliver_frames({name: frame.lazy() for name, frame in tables.items()})
    ingest(Delivery(frames, latest=FIRST_END, pseudonymise_key=key), tmp_path / "store", buckets=1)
    assert all(cpr.encode() not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    expected = from_frames(pseudonymise_key=key, **tables).persons.collect()["person_id"].to_list()
    assert scan_store(tmp_path / "store").persons.collect()["person_id"].to_list() == expected


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_folder_is_ingested_as_it_is_read(tmp_path, suffix):
    tables = make_dirty(1)
    (tmp_path / "in").mkdir()
    for name, frame in tables.items():
        file = tmp_path / "in" / f"{name}{suffix}"
        if suffix == ".parquet":
            frame.write_parquet(file)
        else:
            frame.write_csv(
                file, separator=";", compression="gzip" if suffix == ".csv.gz" else "uncompressed"
            )
    end = datetime(2025, 5, 20)
    ingest(scan_folder(tmp_path / "in", data_end=end), tmp_path / "store", buckets=2)
    expected = sr.read_histories(tmp_path / "in", data_end=end)
    read = scan_store(tmp_path / "store")
    assert set(expected.tables) == set(tables)
    for name, frame in expected.tables.items():
        assert_frame_equal(read.table(name).collect().sort(pl.all()), frame.collect().sort(pl.all()))
        assert_frame_equal(read.quarantine[name], expected.quarantine[name], check_row_order=False)


def test_a_broken_file_is_named_and_no_store_is_left(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    list_persons("ada").write_parquet(folder / "persons.parquet")
    pl.concat([draw_contacts(FIRST)] * 5_000).write_parquet(
        folder / "admissions.parquet", compression="uncompressed"
    )
    damage(folder / "admissions.parquet")
    with pytest.raises(SourceError, match=r"admissions\.parquet is a damaged Parquet file"):
        ingest(scan_folder(folder), tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def damage(file):
    """Overwrite the beginning of a file, where Parquet has its rows; its end, the columns, stays."""
    whole = bytearray(file.read_bytes())
    whole[4:2_000] = bytes(1_996)
    file.write_bytes(whole)


# --- Against plain Python


def merge_plainly(table, old, new, delivered_at, end, seen):
    """The rules of a delivery, one row after the other."""
    key, learnt = s.TABLES[table].version_key, s.list_learnt_at_end(table)
    ids = {tuple(row[name] for name in key) for row in new}

    def content(row):
        return {name: value for name, value in row.items() if name != "known_at"}

    result, waiting = [], list(new)
    replaced = []
    for row in old:
        same = next((other for other in waiting if content(other) == content(row)), None)
        if same is not None:
            waiting.remove(same)
            result.append(row)
        elif tuple(row[name] for name in key) in ids:
            replaced.append(row)
        else:
            result.append(row)
    for row in waiting:
        own = row["known_at"]
        group = [other for other in old if all(other[name] == row[name] for name in key)]
        befores = [other["known_at"] for other in group if other["known_at"]]
        before = max(befores, default=None)
        started = [
            other
            for other in replaced
            if other["ended_at"] is None
            and not s.TABLES[table].is_point
            and all(other[name] == row[name] for name in row if name not in (*learnt, "known_at"))
        ]
        ends_late = row["ended_at"] is not None and row["ended_at"] < end
        told = row["ended_at"] if table == "diagnoses" else row["started_at"]
        is_late = told is not None and told < end
        if started and not ends_late:
            known = max([moment for moment in (own, started[0]["known_at"]) if moment], default=None)
        elif group and (table != "diagnoses" or ends_late):
            known = (
                own if own and (before is None or own > before) else max(delivered_at, before or delivered_at)
            )
        elif own is None and is_late and row["person_id"] in seen:
            known = delivered_at
        else:
            known = own
        result.append(row | {"known_at": known})
    return result


def draw_small(table, random, rows):
    """Rows of a world so small that the same ids, moments and values meet often."""
    day = datetime(2025, 6, 1)
    values = {
        "person_id": ["ada", "bo"],
        "contact_id": ["1", "2", "3"],
        "episode_id": ["1", "2", "3"],
        "started_at": [day + timedelta(n) for n in (-2, -1, 0)],
        "ended_at": [None, None, *(day + timedelta(n) for n in (-1, 0, 1))],
        "known_at": [None, None, *(day + timedelta(n) for n in (-1, 1, 5))],
        "kind": ["secondary"] if table == "diagnoses" else ["gp"],
        "code": ["F101", "E119"],
        "benefit": ["sickness", "pension"],
        "department": [None, "ward"],
    }
    made = [
        {name: random.choice(values.get(name, [None])) for name in s.get_columns(table)} for _ in range(rows)
    ]
    unique = s.TABLES[table].unique_by
    kept = {tuple(row[name] for name in unique) if unique else n: row for n, row in enumerate(made)}
    # Of an id there is one person, as the checks see to in a delivery.
    return list(kept.values())


@pytest.mark.parametrize(
    "table", ["admissions", "diagnoses", "substance_abuse", "social_benefits", "primary_care"]
)
def test_merging_is_what_plain_rules_say(table):
    random = Random(table)
    columns = dict(s.get_columns(table))
    none = pl.DataFrame(schema={name: columns[name] for name in s.TABLES[table].version_key})
    end, delivered_at = datetime(2025, 6, 1), datetime(2025, 6, 4)
    seen_changes = set()
    for _ in range(300):
        old, new = (draw_small(table, random, random.randrange(6)) for _ in range(2))
        seen = random.choice([[], ["ada"], ["ada", "bo"]])
        merged = merge_events(
            table,
            pl.DataFrame(old, schema=columns),
            pl.DataFrame(new, schema=columns),
            moment=Moment(delivered_at, end),
            seen=pl.DataFrame({"person_id": seen}, schema={"person_id": pl.String}),
            moves=Moves(none, none),
        )
        plain = pl.DataFrame(merge_plainly(table, old, new, delivered_at, end, seen), schema=columns)
        assert_frame_equal(merged.rows.sort(pl.all()), plain.sort(pl.all()))
        counts = merged.counts
        arrived = counts["added"] + counts["completed"] + counts["corrected"]
        assert merged.rows.height == len(old) - counts["replaced"] + arrived
        assert arrived + counts["unchanged"] == len(new)
        seen_changes |= {change for change, rows in counts.items() if rows}
    assert {"unchanged", "added", "corrected", "replaced"} <= seen_changes


# --- Only what must


def test_a_delivery_about_one_person_writes_that_persons_bucket_only(store):
    before = {entry["file"]: entry for entry in read_manifest(store)["files"]}
    put(store, "ada a1 05-01 05-04 - ward")
    written = [entry for entry in read_manifest(store)["files"] if entry["file"] not in before]
    assert [entry["table"] for entry in written] == ["admissions"]
    home = scan_store(store, written[0]["bucket"])
    assert "ada" in home.persons.collect()["person_id"].to_list()


def test_a_damaged_store_takes_no_delivery_and_the_file_is_named(store):
    bucket = next(b for b in range(BUCKETS) if scan_store(store, b).admissions.collect().height)
    damage_rows(store / f"bucket={bucket:02d}" / "admissions.parquet")
    with pytest.raises(
        SourceError, match=rf"missing or damaged, the first bucket={bucket:02d}/admissions\.parquet"
    ):
        put(store, "ada a1 05-01 05-04 - ward\nbo b1 04-01 04-05 - ward\ncy c1 05-30 06-02 - ward")
    assert {file.name for file in store.iterdir()} == {"manifest.json", "quarantine"} | {
        f"bucket={number:02d}" for number in range(BUCKETS)
    }


def damage_rows(file):
    """Overwrite the rows of a small file; its end, the columns, stays as it is, and its size too."""
    whole = bytearray(file.read_bytes())
    whole[4:60] = bytes(b ^ 0xFF for b in whole[4:60])
    file.write_bytes(whole)
