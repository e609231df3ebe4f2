"""Delta Lake: what is written is what is read, as it is now or as it was."""

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from shared import hold
from somv_risk.errors import ConfigError, SourceError
from somv_risk.sources import from_delta, scan_delta, write_delta, write_delta_table
from somv_risk.sources.delta_place import open_for_reading, open_for_writing
from somv_risk.store import append, ingest, scan_store, verify_store, write_store

deltalake = pytest.importorskip("deltalake", reason="install the extra delta")

PERSONS = pl.DataFrame({"person_id": ["a"], "birth_date": ["1981-05-04"], "sex": ["female"]})
ADMISSIONS = pl.DataFrame(
    {
        "person_id": ["a", "a"],
        "contact_id": ["1", "2"],
        "started_at": ["2025-03-01T10:00", "2025-04-01T10:00"],
        "sector": ["somatic"] * 2,
        "admission_type": ["acute"] * 2,
    }
)
END, CUT = datetime(2026, 1, 1), datetime(2025, 6, 1)


@pytest.fixture(scope="module")
def region():
    return hold(sr.simulate(persons=300, seed=3))


@pytest.fixture(scope="module")
def lake(region, tmp_path_factory):
    """A lake with the region as it was in June and, as a later version, as it was at the end."""
    folder = tmp_path_factory.mktemp("lake")
    write_delta(cut(region), folder)
    between = datetime.now(UTC)
    time.sleep(0.01)
    write_delta(region, folder)
    return folder, between


def cut(region):
    """The region of June."""
    moment = {name: "birth_date" if name == "persons" else "started_at" for name in region.tables}
    first = {name: frame.filter(pl.col(moment[name]) < CUT) for name, frame in region.tables.items()}
    return replace(region, tables=first, data_end=CUT)


def assert_same(read, expected):
    assert list(read.tables) == list(expected.tables)
    for name, frame in expected.tables.items():
        assert_frame_equal(read.table(name).collect().sort(pl.all()), frame.collect().sort(pl.all()))


def test_what_is_written_is_what_is_read(region, lake):
    assert_same(from_delta(lake[0], data_end=END), region)


def test_an_independent_reader_reads_the_same(region, lake):
    read = pl.DataFrame(deltalake.DeltaTable(lake[0] / "admissions").to_pyarrow_table())
    assert sorted(read["contact_id"]) == sorted(region.admissions.collect()["contact_id"])


def test_a_version_by_number_by_table_or_by_moment(region, lake):
    folder, between = lake
    for version in (0, dict.fromkeys(region.tables, 0)):
        assert_same(from_delta(folder, version=version, data_end=END), cut(region))
    danish = between.astimezone(ZoneInfo("Europe/Copenhagen"))
    for version in (between, danish, danish.replace(tzinfo=None)):
        assert_same(from_delta(folder, version=version, data_end=END), cut(region))
    assert_same(from_delta(folder, version=datetime(2200, 1, 1), data_end=END), region)


def test_stores_come_from_a_lake(region, lake, tmp_path):
    ingest(scan_delta(lake[0], version=0, data_end=CUT), tmp_path / "store", buckets=3)
    assert_same(scan_store(tmp_path / "store"), cut(region))
    changes = append(scan_delta(lake[0], data_end=END), tmp_path / "store", delivered_at=datetime(2026, 1, 5))
    assert set(changes["change"]) == {"added"}
    assert_same(scan_store(tmp_path / "store"), region)
    assert verify_store(tmp_path / "store").is_empty()


def test_a_store_goes_to_a_lake(region, tmp_path):
    write_store(region, tmp_path / "store", buckets=3)
    write_delta(scan_store(tmp_path / "store"), tmp_path / "lake")
    assert_same(from_delta(tmp_path / "lake", data_end=END), region)


def test_scores_are_written_with_their_reasons_and_can_be_added_to(tmp_path):
    reasons = [[{"theme": "hospital_use", "contribution": 0.25, "text": "Tre akutte"}], []]
    scores = pl.DataFrame(
        {
            "person_id": ["a", "b"],
            "index_time": [END, END],
            "risk": [0.1 + 0.2, 1e-300],
            "known_or_new": pl.Series(["known", "new"], dtype=pl.Enum(["known", "new"])),
            "reasons": reasons,
            "warnings": [["x"], []],
        }
    )
    write_delta_table(scores, tmp_path / "scores")
    with pytest.raises(SourceError, match="exists already"):
        write_delta_table(scores, tmp_path / "scores")
    write_delta_table(scores.lazy(), tmp_path / "scores", mode="append")
    read = pl.read_delta(tmp_path / "scores")
    expected = scores.with_columns(pl.col("known_or_new").cast(pl.String))
    assert_frame_equal(read.sort("person_id"), pl.concat([expected] * 2).sort("person_id"), check_exact=True)
    write_delta_table(scores, tmp_path / "scores", mode="overwrite")
    assert pl.read_delta(tmp_path / "scores").height == 2


# --- What goes wrong


def test_a_folder_without_delta_tables_is_refused(tmp_path):
    with pytest.raises(SourceError, match="holds none of the Delta tables"):
        from_delta(tmp_path)


@pytest.mark.parametrize("version", [7, datetime(2000, 1, 1)])
def test_a_version_that_is_not_there_is_refused(lake, version):
    with pytest.raises(SourceError, match=r"persons (cannot be read|had no version yet)"):
        from_delta(lake[0], version=version)


@pytest.mark.parametrize("bad", [b"PAR1 but not for long", bytes(10_000_000)])
def test_a_damaged_table_is_named_and_no_store_is_left(region, tmp_path, bad):
    write_delta(region, tmp_path / "lake")
    for file in (tmp_path / "lake" / "admissions").glob("*.parquet"):
        file.write_bytes(bad)
    for read in (from_delta, lambda folder: ingest(scan_delta(folder), tmp_path / "store")):
        with pytest.raises(SourceError, match=r"lake/admissions cannot be read"):
            read(tmp_path / "lake")
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


ODD_NAMES = ("a b", "år", "50%", "x#1", "x[12]", "q?", "e*", "a%20b", "file:x")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_lake_is_written_and_read_under_its_own_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    early = sr.from_frames(persons=PERSONS, admissions=ADMISSIONS.head(1))
    late = sr.from_frames(persons=PERSONS, admissions=ADMISSIONS)
    write_delta(early, name)
    write_delta(late, name)
    write_delta_table(ADMISSIONS, Path(name) / "more")
    write_delta_table(ADMISSIONS, Path(name) / "more", mode="append")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert sorted(from_delta(name).admissions.collect()["contact_id"]) == ["1", "2"]
    assert from_delta(name, version=0).admissions.collect()["contact_id"].to_list() == ["1"]
    ingest(scan_delta(name), "store")
    assert scan_store("store").admissions.collect().height == 2
    files = {file.name for file in (Path(name) / "more").iterdir()}
    assert len(files) == 3
    assert not any(file.startswith(".") for file in files)
    with pytest.raises(SourceError, match="exists already"):
        write_delta_table(ADMISSIONS, Path(name) / "more")


def test_a_version_that_another_run_wrote_meanwhile_is_not_written_over(tmp_path):
    folder = tmp_path / "a b"
    write_delta_table(ADMISSIONS, folder)
    writing = open_for_writing(folder)
    named = writing.__enter__()
    write_delta_table(ADMISSIONS.head(1), folder, mode="append")
    ADMISSIONS.write_delta(named, mode="append")
    with pytest.raises(SourceError, match="written by another run meanwhile"):
        writing.__exit__(None, None, None)
    with open_for_reading(folder) as read:
        assert pl.read_delta(read).height == 3


def test_fewer_rows_than_the_log_counts_are_refused(tmp_path):
    write_delta(sr.from_frames(persons=PERSONS, admissions=ADMISSIONS), tmp_path)
    (log,) = (tmp_path / "admissions" / "_delta_log").glob("*.json")
    log.write_text(log.read_text().replace('\\"numRecords\\":2', '\\"numRecords\\":3'))
    for read in (from_delta, lambda folder: list(scan_delta(folder).tables["admissions"].read())):
        with pytest.raises(SourceError, match="says that it has 3 rows, and 2 can be read"):
            read(tmp_path)


def test_other_columns_are_not_added(tmp_path):
    write_delta_table(pl.DataFrame({"a": [1]}), tmp_path / "scores")
    with pytest.raises(SourceError, match="cannot be written"):
        write_delta_table(pl.DataFrame({"b": ["x"]}), tmp_path / "scores", mode="append")


def test_the_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "deltalake", None)
    for call in (
        lambda: from_delta(tmp_path),
        lambda: write_delta_table(pl.DataFrame({"a": [1]}), tmp_path / "x"),
    ):
        with pytest.raises(ConfigError, match=r'pip install "somv-risk\[delta\]"'):
            call()
