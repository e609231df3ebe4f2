"""One record a table: what it says is what every part does, and new tables change no score of before."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import somv_risk as sr
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.store import scan_store, verify_store, write_store
from somv_risk.testing.people import PEOPLE, mix

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "simulated"
INDEX = datetime(2026, 1, 1)
# Tables and columns that no feature reads.
NEW_TABLES = ("residence", "programme_events", "plans", "referrals", "responses")
NEW_COLUMNS = {
    "persons": ["known_at"],
    "admissions": ["cost"],
    "psychiatric_contacts": ["cost"],
    "social_services": ["hours_per_week"],
    "primary_care": ["cost"],
}
TIMES = ("started_at", "ended_at", "known_at")


def drop_new_columns(tables):
    return {
        name: frame.drop(NEW_COLUMNS.get(name, []))
        for name, frame in tables.items()
        if name not in NEW_TABLES
    }


@pytest.fixture(scope="module")
def tables():
    """Some persons in a crowd, in tables as they were before."""
    crowd = {name: frame.collect() for name, frame in sr.simulate(persons=300, seed=3).tables.items()}
    return drop_new_columns(mix(crowd, *(person(INDEX) for person in PEOPLE.values())))


@pytest.fixture(scope="module")
def fuller(tables):
    """The same, with every new column filled and every new table delivered."""
    ids = tables["persons"]["person_id"]
    rows = pl.DataFrame(ids).with_columns(started_at=pl.lit(datetime(2025, 3, 1)))
    numbers = pl.int_range(pl.len()).cast(pl.String)
    filled = {
        name: frame.with_columns(pl.lit(37.5).alias(column) for column in NEW_COLUMNS.get(name, []))
        for name, frame in tables.items()
    }
    filled["persons"] = tables["persons"].with_columns(known_at=pl.lit(datetime(2020, 1, 1)))
    return filled | {
        "residence": rows.with_columns(municipality=pl.lit("376")),
        "programme_events": rows.with_columns(programme=pl.lit("somv"), event=pl.lit("enrolled")),
        "plans": rows.with_columns(plan_id=numbers, kind=pl.lit("sip"), owner=pl.lit("psychiatry")),
        "referrals": rows.with_columns(referral_id=numbers, kind=pl.lit("booking")),
        "responses": rows.with_columns(
            response_id=numbers, instrument=pl.lit("who5"), item=pl.lit("1"), moment=pl.lit("baseline")
        ),
    }


def score(tables, **options):
    histories = sr.from_frames(**tables, data_end=INDEX)
    assert histories.quarantine.count() == 0
    return sr.score(sr.load_model(MODEL), histories, index_time=INDEX, explain="all", **options)


def test_new_tables_and_columns_change_no_score_and_no_reason_of_a_model(tables, fuller):
    before = score(tables)
    assert before.height >= 200
    assert_frame_equal(score(fuller), before)


def test_new_tables_and_columns_change_no_feature(tables, fuller):
    one, other = (sr.from_frames(**given, data_end=INDEX) for given in (tables, fuller))
    cohort = sr.make_cohort(one, index_times=[INDEX])
    assert_frame_equal(sr.build_features(one, cohort).collect(), sr.build_features(other, cohort).collect())


def test_what_new_tables_and_columns_say_is_kept(fuller, tmp_path):
    histories = sr.from_frames(**fuller, data_end=INDEX)
    write_store(histories, tmp_path / "store", buckets=3)
    read = scan_store(tmp_path / "store")
    assert read.absent == ()
    assert verify_store(tmp_path / "store").height == 0
    for name in fuller:
        columns = list(s.get_columns(name))
        order = [column for column in columns if column != "known_at"]
        assert_frame_equal(
            read.table(name).collect().sort(order), histories.table(name).collect().sort(order)
        )
    assert read.table("admissions").collect()["cost"].unique().to_list() == [37.5]


def write_as_before(tables, folder):
    """Write a store whose files lack the new columns, as the library wrote them before it had them."""
    write_store(sr.from_frames(**tables, data_end=INDEX), folder, buckets=2)
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["files"]:
        file = folder / entry["file"]
        pl.read_parquet(file).drop(NEW_COLUMNS.get(entry["table"], [])).write_parquet(file)
    return folder


def test_a_store_written_before_the_columns_were_there_is_read_with_nulls_in_them(
    tables, tmp_path, monkeypatch
):
    monkeypatch.setattr("somv_risk.store._scan.is_as_written", lambda *_: True)
    monkeypatch.setattr("somv_risk.store._verify.hash_file", lambda *_: None)
    old = write_as_before(tables, tmp_path / "old")
    names = pl.read_parquet(next(old.glob("**/admissions*.parquet"))).columns
    assert "cost" not in names
    assert "diagnosis" in names
    read = scan_store(old)
    write_store(sr.from_frames(**tables, data_end=INDEX), tmp_path / "new", buckets=2)
    for name in tables:
        assert_frame_equal(read.table(name).collect(), scan_store(tmp_path / "new").table(name).collect())
    assert set(verify_store(old)["finding"]) <= {"file_altered"}
    scores = (
        sr.score(sr.load_model(MODEL), scan_store(tmp_path / name), index_time=INDEX)
        for name in ("old", "new")
    )
    assert_frame_equal(*scores)


@pytest.mark.parametrize("table", s.EVENT_TABLES)
def test_a_record_names_columns_that_its_table_has(table):
    record, columns = s.TABLES[table], s.get_columns(table)
    assert columns.keys() >= {"person_id", *TIMES}
    named = (record.unique_by, record.version_key, record.learnt_at_end, record.ties, record.codes)
    assert all(set(names) <= columns.keys() for names in named)
    assert record.version_key
    # A version says something else under the same key, so that the key says nothing learnt later.
    assert not set(record.version_key) & {"ended_at", "known_at", *record.learnt_at_end}
    assert set(record.learnt_at_end).isdisjoint(s.get_required_columns(table)) or table in (
        "diagnoses",
        "psychiatric_contacts",
    )


@pytest.mark.parametrize(
    "table", [name for name, record in s.TABLES.items() if isinstance(record.party, s.PartyBy)]
)
def test_every_value_of_the_column_that_tells_the_party_has_one(table):
    party = s.TABLES[table].party
    dtype = s.get_columns(table)[party.column]
    assert set(party.parties) == set(dtype.categories.to_list())
    assert set(party.parties.values()) <= set(s.PARTIES)


def test_parties_of_whole_tables_are_parties():
    named = {record.party for record in s.TABLES.values() if isinstance(record.party, str)}
    assert named == {"psychiatry", "substance_treatment"}
    assert named <= set(s.PARTIES)


# A table is added by adding its record, and nothing else: done here in a copy of the package.

RECORD = """
            Table(
                "visits_by_nurse",
                "One row per visit of a nurse at home; a point event.",
                {
                    "visit_id": _id(),
                    "purpose": _one_of(("wound", "medicine")),
                    "finding": _text(),
                    "minutes": dy.Float64(nullable=True, min=0.0),
                },
                unique_by=("visit_id",),
                version_key=("visit_id",),
                learnt_at_end=("finding",),
                ties=("visit_id",),
                party="home_care_and_nursing",
                is_point=True,
            ),
"""
USE = """
import sys
from datetime import datetime
from pathlib import Path
import polars as pl
import somv_risk as sr
from somv_risk.cohort.asof import build_asof_view
from somv_risk.cli import app
from somv_risk.testing import assert_no_future_leakage
from somv_risk.store import scan_store, verify_store
from datetime import timedelta
from typer.testing import CliRunner

out, model = Path(sys.argv[1]), sys.argv[2]
index = datetime(2026, 1, 1)
region = {name: frame.collect() for name, frame in sr.simulate(persons=200, seed=3).tables.items()}
ids = region["persons"]["person_id"]
visits = pl.DataFrame({
    "Person_ID": ids, "visit_id": [f"v{n}" for n in range(200)], "started_at": ["2025-05-01T10:00"] * 200,
    "purpose": ["wound"] * 199 + ["dance"], "finding": ["better"] * 200, "minutes": ["20", "-5"] * 100,
})
histories = sr.from_frames(**region, visits_by_nurse=visits, data_end=index)
rows = histories.table("visits_by_nurse").collect()
assert rows.height == 199, rows.height
assert histories.quarantine.summary().rows() == [
    ("visits_by_nurse", "kept_without_minutes|out_of_range", 99),
    ("visits_by_nurse", "purpose|unknown_value", 1),
], histories.quarantine.summary().rows()

def ingest(name, tables, options):
    (out / name).mkdir()
    for table, frame in tables.items():
        frame.write_csv(out / name / f"{table}.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.6f")
    command = f"ingest -i {out / name} -s {out / 'store'} {options}"
    assert CliRunner().invoke(app, command.split()).exit_code == 0

ingest("first", region | {"visits_by_nurse": visits}, "--buckets 2 --data-end 2026-01-01")
assert scan_store(out / "store").table("visits_by_nurse").collect().height == 199
changed = {"visits_by_nurse": visits.head(1).with_columns(finding=pl.lit("worse"))}
ingest("second", changed, "--append --data-end 2026-02-01 --delivered-at 2026-02-01")
again = scan_store(out / "store").table("visits_by_nurse").filter(visit_id="v0").collect()
assert again["finding"].to_list() == ["worse"], again
assert verify_store(out / "store").height == 0

moments = pl.LazyFrame({"person_id": ids[:1], "index_time": [datetime(2025, 5, 1, 10)]}).with_columns(
    pl.col("index_time").cast(pl.Datetime("us")))
seen = lambda after: build_asof_view(
    histories.table("visits_by_nurse"), moments.with_columns(pl.col("index_time") + after),
    "visits_by_nurse", timedelta(0)).collect()
assert seen(timedelta(0)).height == 0
assert seen(timedelta(microseconds=1))["finding"].to_list() == ["better"]
assert_no_future_leakage(histories, index)
one, other = (
    sr.score(sr.load_model(model), given, index_time=index)["risk"]
    for given in (histories, sr.from_frames(**region, data_end=index))
)
assert one.equals(other)
print("every part knows it")
"""


@pytest.fixture(scope="module")
def package_with_a_table_more(tmp_path_factory):
    source = tmp_path_factory.mktemp("copied")
    shutil.copytree(
        ROOT / "src" / "somv_risk", source / "somv_risk", ignore=shutil.ignore_patterns("__pycache__")
    )
    schema = source / "somv_risk" / "registers" / "schema.py"
    last = "\n            Table(\n                RESPONSES,"
    text = schema.read_text(encoding="utf-8")
    assert text.count(last) == 1
    schema.write_text(text.replace(last, RECORD.rstrip("\n") + last), encoding="utf-8")
    return source


def test_a_table_is_added_in_one_place(package_with_a_table_more, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(package_with_a_table_more)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", USE, str(tmp_path), str(MODEL)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("every part knows it\n"), done.stderr[-3000:]


def test_the_records_are_of_the_tables_that_histories_know():
    frames = {name: pl.LazyFrame(schema=s.get_columns(name)) for name in s.TABLES}
    assert Histories(frames).absent == ()
    assert s.REQUIRED_TABLES == ("persons", "admissions")
