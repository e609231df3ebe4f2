"""The store: what was written is what is read, bucket by bucket, and nothing half-written is left behind."""

import json
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.errors import ConfigError, InputError, SourceError
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories, Quarantine
from somv_risk.simulate.period import Period
from somv_risk.simulate.plan import Plan
from somv_risk.simulate.tables import draw_blocks
from somv_risk.store import is_store, read_manifest, scan_store, write_blocks, write_store

BUCKETS = 3
END = datetime(2026, 1, 1)


@pytest.fixture(scope="module")
def histories():
    """300 simulated persons with one row set aside, one kind of row not taken over, and one table absent."""
    made_up = sr.simulate(persons=300, seed=3)
    tables = {
        name: frame.collect().sample(fraction=1, shuffle=True, seed=5).lazy()
        for name, frame in made_up.tables.items()
        if name != "primary_care"
    }
    aside = pl.DataFrame(
        {
            "row": [7, 9],
            "rule": ["duplicate", "person_is_known"],
            "person_id": ["x", None],
            "remark": ["", "?"],
        },
        schema_overrides={"row": pl.UInt32},
    )
    return Histories(
        tables,
        data_end=datetime(2026, 1, 1, 12, 30),
        quarantine=Quarantine({"admissions": aside}),
        dropped=pl.DataFrame({"source_table": ["visit"], "reason": ["no concept"], "rows": [4]}),
    )


@pytest.fixture
def store(histories, tmp_path) -> Path:
    write_store(histories, tmp_path / "store", buckets=BUCKETS)
    return tmp_path / "store"


def sort(frame):
    return frame.select(sorted(frame.collect_schema().names())).collect().sort(pl.all())


def drop_bytes(manifest):
    """A manifest without how the rows lie in pages."""
    files = [
        {k: v for k, v in file.items() if k not in ("bytes", "sha256", "crc32")} for file in manifest["files"]
    ]
    return manifest | {"files": files}


def assert_same_tables(one, other):
    assert list(one.tables) == list(other.tables)
    for table in one.tables:
        assert one.table(table).collect_schema() == other.table(table).collect_schema()
        assert_frame_equal(sort(one.table(table)), sort(other.table(table)))


def test_what_is_read_is_what_was_written(histories, store):
    read = scan_store(store)
    assert_same_tables(read, histories)
    assert read.absent == histories.absent
    assert read.data_end == histories.data_end
    assert_frame_equal(read.dropped, histories.dropped)
    assert list(read.quarantine.rows) == ["admissions"]
    assert_frame_equal(read.quarantine["admissions"], histories.quarantine["admissions"])


def test_a_data_end_that_is_not_known_stays_unknown(histories, tmp_path):
    write_store(Histories(histories.tables), tmp_path / "store")
    read = scan_store(tmp_path / "store")
    assert read.data_end is None
    assert read.quarantine.count() == 0
    assert read.dropped.is_empty()


def test_read_histories_reads_a_store(histories, store):
    assert is_store(store)
    assert_same_tables(sr.read_histories(store), histories)


def test_each_person_is_in_exactly_one_bucket_with_all_their_rows(histories, store):
    buckets = [scan_store(store, bucket) for bucket in range(BUCKETS)]
    people = [set(bucket.persons.collect()["person_id"]) for bucket in buckets]
    everyone = histories.persons.collect()["person_id"].to_list()
    assert sorted(person for own in people for person in own) == sorted(everyone)
    assert all(people)
    for table in histories.tables:
        for bucket, own in zip(buckets, people, strict=True):
            expected = histories.table(table).filter(pl.col("person_id").is_in(own))
            assert_frame_equal(sort(bucket.table(table)), sort(expected))


def test_persons_keep_their_bucket_whoever_else_is_delivered(histories, store, tmp_path):
    few = histories.persons.head(40).select("person_id")
    write_store(histories.keep_persons(few), tmp_path / "few", buckets=BUCKETS)
    found = 0
    for bucket in range(BUCKETS):
        own = scan_store(tmp_path / "few", bucket).persons.collect()["person_id"]
        assert set(own) <= set(scan_store(store, bucket).persons.collect()["person_id"])
        found += len(own)
    assert found == 40


def test_rows_of_a_bucket_lie_by_person_and_time(store):
    files = list(store.glob("bucket=*/admissions.parquet"))
    assert len(files) == BUCKETS
    for file in files:
        rows = pl.read_parquet(file).select("person_id", "started_at").rows()
        assert rows == sorted(rows)


def test_a_bucket_needs_nothing_outside_it(histories, store):
    index_time = datetime(2025, 7, 1)
    whole = sr.build_features(histories, sr.make_cohort(histories, [index_time])).collect()
    parts = []
    for bucket in range(BUCKETS):
        own = scan_store(store, bucket)
        parts.append(sr.build_features(own, sr.make_cohort(own, [index_time])).collect())
    assert_frame_equal(pl.concat(parts).sort("person_id"), whole.sort("person_id"), check_exact=True)


def test_the_manifest_counts_rows_kept_set_aside_and_dropped(histories, store):
    manifest = read_manifest(store)
    assert manifest["buckets"] == BUCKETS
    assert manifest["rows"] == {
        table: frame.select(pl.len()).collect().item() for table, frame in histories.tables.items()
    }
    assert manifest["quarantine"] == [
        {"table": "admissions", "rule": "duplicate", "rows": 1},
        {"table": "admissions", "rule": "person_is_known", "rows": 1},
    ]
    assert manifest["dropped"] == [{"source_table": "visit", "reason": "no concept", "rows": 4}]


def test_an_existing_folder_is_never_overwritten(histories, store):
    before = {file: file.stat().st_mtime_ns for file in store.rglob("*")}
    with pytest.raises(SourceError, match="exists already"):
        write_store(histories, store)
    assert {file: file.stat().st_mtime_ns for file in store.rglob("*")} == before


def test_a_store_of_another_version_is_refused(store):
    manifest = read_manifest(store)
    (store / "manifest.json").write_text(json.dumps(manifest | {"store_version": 1}))
    with pytest.raises(SourceError, match="has version 1; this library reads 4"):
        scan_store(store)


def test_a_store_that_lacks_a_file_is_refused(store):
    (store / "bucket=01" / "admissions.parquet").unlink()
    with pytest.raises(SourceError, match="has 1 admissions files missing or damaged"):
        scan_store(store)
    assert scan_store(store, 0).persons.collect().height


@pytest.mark.parametrize("bucket", [-1, BUCKETS])
def test_a_bucket_that_is_not_there_is_refused(store, bucket):
    with pytest.raises(SourceError, match=f"has no bucket {bucket}"):
        scan_store(store, bucket)


def test_a_folder_without_manifest_is_no_store(tmp_path):
    assert not is_store(tmp_path)
    with pytest.raises(SourceError, match="is not a store"):
        scan_store(tmp_path)


@pytest.mark.parametrize("text", ["no json", b"\xff\xfe\xff"])
def test_an_unreadable_manifest_is_refused(store, text):
    (store / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SourceError, match="cannot be read"):
        scan_store(store)


@pytest.mark.parametrize("text", ["[]", '{"store_version": 1}'])
def test_a_manifest_that_says_too_little_is_refused(store, text):
    (store / "manifest.json").write_text(text)
    with pytest.raises(SourceError):
        scan_store(store)


def test_a_damaged_file_is_refused(store):
    (store / "bucket=01" / "admissions.parquet").write_bytes(b"PAR1 but not for long")
    with pytest.raises(SourceError):
        scan_store(store)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")]
)
def test_a_failing_write_leaves_nothing_behind(histories, tmp_path, monkeypatch, error):
    written = []

    def fail_at_the_fifth(file):
        written.append(file)
        if len(written) == 5:
            raise error
        file._path.write_bytes(b"something")

    monkeypatch.setattr("somv_risk.store._files.GrowingFile.write", fail_at_the_fifth)
    with pytest.raises(SourceError, match=f"cannot be written .{error.strerror}"):
        write_store(histories, tmp_path / "store")
    assert len(written) == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [pl.exceptions.ComputeError("late"), KeyboardInterrupt()])
def test_whatever_stops_a_write_nothing_is_left_behind(histories, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises((type(error), SourceError)):
        write_store(histories, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_write_left_does_not_stop_the_next(histories, tmp_path):
    left = tmp_path / ".store.unfinished" / "bucket=99"
    left.mkdir(parents=True)
    write_store(histories, tmp_path / "store", buckets=1)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert not (tmp_path / "store" / "bucket=99").exists()


def test_a_place_that_cannot_hold_a_folder_is_refused(histories, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        write_store(histories, tmp_path / "file" / "store")


@pytest.mark.parametrize("name", [256 * "x", "nul\0"])
def test_a_name_that_no_folder_can_have_is_refused(histories, tmp_path, name):
    with pytest.raises(SourceError, match=r"cannot be written \(.+\)\. Choose another folder\.$"):
        write_store(histories, tmp_path / name)
    with pytest.raises(SourceError, match="cannot be written"):
        write_blocks([], tmp_path / name, data_end=END)


@pytest.mark.parametrize("buckets", [0, -1, True, 2.0, "2", None])
def test_the_buckets_of_a_store_are_a_whole_number_from_1(histories, tmp_path, buckets):
    sentence = r"buckets of a store must be a whole number from 1, not .*\. Give an integer from 1\."
    with pytest.raises(ConfigError, match=sentence):
        write_store(histories, tmp_path / "store", buckets=buckets)
    with pytest.raises(ConfigError, match=sentence):
        write_blocks([], tmp_path / "store", data_end=END, buckets=buckets)


@pytest.mark.parametrize("threads", [0, -1, True, 1.0, "2"])
def test_the_threads_of_a_simulation_are_a_whole_number_from_1(threads):
    plan = Plan(5, 3, Period(date(2024, 1, 1), date(2026, 1, 1)))
    with pytest.raises(ConfigError, match="'threads' of a simulation must be a whole number from 1"):
        draw_blocks(plan, threads)


@pytest.mark.parametrize(
    "option", [{"pseudonymise_key": "b7e14ac09d3f58c2"}, {"data_end": datetime(2020, 1, 1)}]
)
def test_options_that_a_store_does_not_take_are_refused(store, option):
    with pytest.raises(ConfigError):
        sr.read_histories(store, **option)


# --- In blocks


@pytest.fixture(scope="module")
def blocks():
    """A region of two and a half thousand persons in blocks of a thousand."""
    plan = Plan(2_500, 3, Period(date(2024, 1, 1), date(2026, 1, 1)))
    whole = next(draw_blocks(plan))
    persons = whole["persons"]["person_id"]
    chosen = [persons[first : first + 1_000] for first in (0, 1_000, 2_000)]
    return [
        {name: frame.filter(pl.col("person_id").is_in(own.implode())) for name, frame in whole.items()}
        for own in chosen
    ]


def test_a_store_written_in_blocks_is_the_store_of_all_of_them(blocks, tmp_path):
    whole = {name: pl.concat([block[name] for block in blocks]).lazy() for name in blocks[0]}
    write_store(Histories(whole, data_end=END), tmp_path / "whole", buckets=BUCKETS)
    write_blocks(iter(blocks), tmp_path / "blocks", data_end=END, buckets=BUCKETS)
    assert drop_bytes(read_manifest(tmp_path / "blocks")) == drop_bytes(read_manifest(tmp_path / "whole"))
    for bucket in range(BUCKETS):
        one, other = (scan_store(tmp_path / name, bucket) for name in ("blocks", "whole"))
        for table in whole:
            assert_frame_equal(one.table(table).collect(), other.table(table).collect())


def test_rows_are_written_in_groups_however_many_there_are(blocks, tmp_path, monkeypatch):
    monkeypatch.setattr("somv_risk.store._write._ROWS_WAITING", 8 * 500)
    monkeypatch.setattr("somv_risk.store._write._LEAST_ROWS_PER_GROUP", 1)
    write_blocks(blocks, tmp_path / "store", data_end=END, buckets=1)
    written = scan_store(tmp_path / "store").admissions.collect()
    assert_frame_equal(written, pl.concat([block["admissions"] for block in blocks]))


@pytest.mark.parametrize(("buckets", "rows_per_group"), [(1, 1_000_000), (8, 125_000), (1_000, 10_000)])
def test_the_more_files_there_are_the_fewer_rows_wait_for_each(
    blocks, tmp_path, monkeypatch, buckets, rows_per_group
):
    groups = set()

    def stop(_, group):
        groups.add(group)
        raise RuntimeError("enough seen")

    monkeypatch.setattr("somv_risk.store._write.GrowingFile", stop)
    with pytest.raises(RuntimeError, match="enough seen"):
        write_blocks(blocks, tmp_path / "store", data_end=END, buckets=buckets)
    assert groups == {rows_per_group}


def test_a_bucket_without_persons_has_files_with_columns(blocks, tmp_path):
    few = {name: frame.filter(pl.col("person_id") == "P0000001") for name, frame in blocks[0].items()}
    write_blocks([few], tmp_path / "store", data_end=END, buckets=BUCKETS)
    read = scan_store(tmp_path / "store")
    assert set(few) == set(read.tables)
    for table, frame in few.items():
        assert_frame_equal(read.table(table).collect(), frame)


def test_a_store_of_no_blocks_is_no_store(tmp_path):
    with pytest.raises(InputError, match="no persons"):
        write_blocks([], tmp_path / "store", data_end=END)
    assert not (tmp_path / "store").exists()


def test_blocks_out_of_order_are_refused(blocks, tmp_path):
    with pytest.raises(InputError, match="order"):
        write_blocks(reversed(blocks), tmp_path / "store", data_end=END)


def test_a_block_that_fails_leaves_no_store_behind(blocks, tmp_path):
    def fail():
        yield blocks[0]
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        write_blocks(fail(), tmp_path / "store", data_end=END)
    assert list(tmp_path.iterdir()) == []


def test_events_of_persons_who_are_not_there_are_kept_and_nobodys(tmp_path):
    persons = pl.LazyFrame({"person_id": ["ada", "bo"], "birth_date": [date(1980, 1, 1)] * 2})
    contact = {"started_at": datetime(2025, 1, 1), "ended_at": datetime(2025, 1, 3)}
    rows = [contact | {"person_id": name, "contact_id": name} for name in ("ada", "bo", "cy")]
    contacts = pl.LazyFrame(rows).with_columns(
        pl.lit("somatic").alias("sector"), pl.lit("acute").alias("admission_type")
    )
    tables = {
        table: pl.concat([pl.LazyFrame(schema=s.get_columns(table)), frame], how="diagonal_relaxed").cast(
            s.get_columns(table)
        )
        for table, frame in (("persons", persons), ("admissions", contacts))
    }
    write_store(Histories(tables), tmp_path / "store", buckets=1)
    kept = scan_store(tmp_path / "store")
    assert kept.admissions.collect()["person_id"].sort().to_list() == ["ada", "bo", "cy"]
    features = sr.build_features(kept, sr.make_cohort(kept, ["2026-01-01"])).collect()
    assert features["acute_admissions_365d"].to_list() == [1, 1]
