"""Damage: a store that is not what was written says so, each kind of damage under its own name."""

import json
from datetime import datetime

import polars as pl
import pytest

import somv_risk as sr
from shared import hold
from somv_risk.errors import SourceError
from somv_risk.registers.histories import Histories, Quarantine
from somv_risk.store import append_store, read_manifest, scan_store, verify_store, write_store
from somv_risk.store._manifest import describe_file

BUCKETS = 3
ADMISSIONS = "bucket=01/admissions.parquet"


@pytest.fixture(scope="module")
def histories():
    return hold(sr.simulate(persons=300, seed=3))


@pytest.fixture
def store(histories, tmp_path):
    write_store(histories, tmp_path / "store", buckets=BUCKETS)
    return tmp_path / "store"


def find(store):
    return set(verify_store(store).select("file", "finding").rows())


def rewrite(store, table, bucket, change):
    """Write other rows and let the manifest agree, as a tool that knew no better would."""
    file = store / f"bucket={bucket:02d}" / f"{table}.parquet"
    rows = change(pl.read_parquet(file))
    rows.write_parquet(file)
    manifest = read_manifest(store)
    own = describe_file(store, table, bucket, rows.height)
    manifest["files"] = [own if entry["file"] == own["file"] else entry for entry in manifest["files"]]
    (store / "manifest.json").write_text(json.dumps(manifest))


def count(store, finding):
    return verify_store(store).filter(pl.col("finding") == finding)["rows"].to_list()


def test_a_sound_store_has_no_findings(store):
    assert verify_store(store).is_empty()


def test_a_store_into_which_deliveries_went_is_sound(histories, store):
    some = histories.keep_persons(histories.persons.head(50).select("person_id"))
    tables = {
        name: frame.with_columns(known_at=pl.lit(datetime(2026, 1, 1)))
        for name, frame in some.tables.items()
        if name != "persons"
    } | {"persons": some.persons.with_columns(municipality=pl.lit("101"))}
    changes = append_store(
        Histories(tables, data_end=histories.data_end), store, delivered_at=datetime(2026, 2, 1)
    )
    assert set(changes["table"]) == {"persons"}
    assert verify_store(store).is_empty()


def test_a_missing_file(store):
    (store / ADMISSIONS).unlink()
    assert find(store) == {(ADMISSIONS, "file_missing")}


def test_a_truncated_file(store):
    whole = (store / ADMISSIONS).read_bytes()
    (store / ADMISSIONS).write_bytes(whole[: len(whole) // 2])
    assert find(store) == {(ADMISSIONS, "file_unreadable")}


def test_a_file_with_one_other_byte(store):
    whole = bytearray((store / ADMISSIONS).read_bytes())
    whole[len(whole) // 3] ^= 1
    (store / ADMISSIONS).write_bytes(whole)
    (found,) = find(store)
    assert found in {(ADMISSIONS, "file_altered"), (ADMISSIONS, "file_unreadable")}


def test_a_file_that_was_written_again(store):
    pl.read_parquet(store / ADMISSIONS).write_parquet(store / ADMISSIONS)
    assert find(store) == {(ADMISSIONS, "file_altered")}


def test_a_file_that_the_manifest_does_not_name(store):
    manifest = read_manifest(store)
    manifest["files"] = [entry for entry in manifest["files"] if entry["file"] != ADMISSIONS]
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert find(store) == {(ADMISSIONS, "file_missing")}


def test_a_manifest_with_another_number_of_rows(store):
    manifest = read_manifest(store)
    entry = next(entry for entry in manifest["files"] if entry["file"] == ADMISSIONS)
    entry["rows"] += 7
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert find(store) == {(ADMISSIONS, "row_count_differs")}
    assert count(store, "row_count_differs") == [7]


def test_columns_that_are_not_the_tables(store):
    rewrite(store, "admissions", 1, lambda rows: rows.drop("sector"))
    assert find(store) == {(ADMISSIONS, "columns_differ")}


def test_rows_out_of_order(store):
    rewrite(store, "admissions", 1, lambda rows: pl.concat([rows[1:2], rows[:1], rows[2:]]))
    assert find(store) == {(ADMISSIONS, "not_in_order")}
    assert count(store, "not_in_order") == [2]


def test_a_person_who_is_there_twice(store):
    rewrite(store, "persons", 1, lambda rows: pl.concat([rows[:1], rows]))
    assert ("bucket=01/persons.parquet", "person_twice") in find(store)
    assert count(store, "person_twice") == [1]


def test_a_person_in_two_buckets(store):
    strangers = pl.read_parquet(store / "bucket=02" / "persons.parquet")[:3]
    rewrite(store, "persons", 1, lambda rows: pl.concat([rows, strangers]).sort("person"))
    assert ("bucket=01/persons.parquet", "person_in_two_buckets") in find(store)
    assert count(store, "person_in_two_buckets") == [3]
    assert count(store, "person_in_wrong_bucket") == []


def test_rows_of_a_person_in_a_wrong_bucket_only(store):
    rewrite(
        store,
        "admissions",
        1,
        lambda rows: rows.with_columns(
            person_id=pl.when(pl.col("person") == rows["person"][0])
            .then(pl.lit("moved"))
            .otherwise("person_id")
        ),
    )
    found = verify_store(store).filter(pl.col("file") == ADMISSIONS)
    assert {"person_in_wrong_bucket", "numbers_differ"} <= set(found["finding"])


@pytest.mark.parametrize("number", ["person", "contact"])
def test_numbers_that_are_not_the_persons_or_contacts(store, number):
    rewrite(
        store, "admissions", 1, lambda rows: rows.with_columns(pl.col(number) + 1)
    ) if number == "person" else rewrite(
        store, "admissions", 1, lambda rows: rows.with_columns(pl.lit(0, pl.Int32).alias("contact"))
    )
    assert (ADMISSIONS, "numbers_differ") in find(store)


def test_rows_that_break_a_rule(store):
    early = pl.col("started_at") - pl.duration(days=3)
    rewrite(store, "admissions", 1, lambda rows: rows.with_columns(ended_at=early))
    assert find(store) == {(ADMISSIONS, "rule_broken")}
    assert count(store, "rule_broken") == [pl.read_parquet(store / ADMISSIONS).height]


def test_an_event_of_nobody_breaks_a_rule(store):
    person = pl.read_parquet(store / ADMISSIONS)["person_id"][0]
    rewrite(store, "persons", 1, lambda rows: rows.filter(pl.col("person_id") != person))
    assert (ADMISSIONS, "rule_broken") in find(store)


def test_a_damaged_file_of_rows_set_aside(histories, tmp_path):
    aside = Quarantine({"admissions": pl.DataFrame({"row": [1], "rule": ["duplicate"]})})
    write_store(Histories(histories.tables, quarantine=aside), tmp_path / "store", buckets=1)
    file = tmp_path / "store" / "quarantine" / "bucket=00" / "admissions.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    assert find(tmp_path / "store") == {("quarantine/bucket=00/admissions.parquet", "file_unreadable")}
    with pytest.raises(SourceError, match=r"the first quarantine/bucket=00/admissions\.parquet"):
        scan_store(tmp_path / "store")


def test_an_empty_bucket_is_sound(histories, tmp_path):
    one = histories.keep_persons(histories.persons.head(1).select("person_id"))
    write_store(one, tmp_path / "store", buckets=BUCKETS)
    assert verify_store(tmp_path / "store").is_empty()


def test_a_file_of_another_size_is_refused_before_it_is_read(store):
    pl.read_parquet(store / ADMISSIONS).write_parquet(store / ADMISSIONS, compression="uncompressed")
    with pytest.raises(SourceError, match=r"missing or damaged, the first bucket=01/admissions\.parquet"):
        scan_store(store)
