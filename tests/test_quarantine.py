"""The quarantine of a store: by bucket of the person, read when it is asked for, and counted."""

import hashlib
import json
import random
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from somv_risk.errors import QuarantineWarning, TooManySetAsideError
from somv_risk.registers.histories import Histories
from somv_risk.registers.identity import hash_person
from somv_risk.registers.soundness import Limit
from somv_risk.sources import from_frames, read_histories, scan_folder
from somv_risk.store import (
    Delivery,
    append,
    check_only,
    deliver_frames,
    ingest,
    scan_store,
    verify_store,
    write_store,
)

BUCKETS = 4
END = datetime(2026, 1, 1)
LATER = datetime(2026, 2, 1)
PERSONS = [f"p{number:02d}" for number in range(30)]


FAULTS = (
    *({"person_id": ""}, {"person_id": None}, {"person_id": "stranger"}, {"contact_id": None}),
    *({"contact_id": "twice"}, {"started_at": "never"}, {"started_at": "2031-01-01"}),
    *({"ended_at": "2020-01-01"}, {"sector": "Somatisk"}, {"sector": None, "started_at": None}),
)


def draw_tables(seed: int, *, contacts: int = 300) -> dict[str, pl.DataFrame]:
    """Draw persons and contacts, some with every kind of fault, some without a person."""
    drawn = random.Random(seed)
    rows = [
        {
            "person_id": drawn.choice([*PERSONS, *(f" {person} " for person in PERSONS)]),
            "contact_id": f"c{seed}-{number}",
            "started_at": "2024-05-01T10:00",
            "ended_at": drawn.choice(["2025-06-01", None]),
            "sector": "somatic",
            "admission_type": "acute",
        }
        | (drawn.choice(FAULTS) if drawn.random() < 0.3 else {})
        for number in range(contacts)
    ]
    persons = {"person_id": PERSONS, "birth_date": "1980-05-01", "sex": "male"}
    return {"persons": pl.DataFrame(persons), "admissions": pl.DataFrame(rows)}


def deliver(tables: dict[str, pl.DataFrame], end: datetime = END) -> Delivery:
    frames = {table: frame.lazy() for table, frame in tables.items()}
    return Delivery(deliver_frames(frames), latest=end, data_end=end)


@pytest.fixture
def store(tmp_path) -> Path:
    ingest(deliver(draw_tables(1)), tmp_path / "store", buckets=BUCKETS)
    return tmp_path / "store"


def read_manifest(store: Path) -> dict:
    return json.loads((store / "manifest.json").read_text())


def find_home(person: str | None) -> int:
    """Find the bucket by the hash of one id; without an id it is the first."""
    text = (person or "").strip()
    if not text:
        return 0
    one = pl.DataFrame({"person_id": [text]}).select(hash_person("somv_risk.store")).item()
    return int(one) % BUCKETS


# --- By bucket


def test_rows_set_aside_lie_in_the_bucket_of_their_person(store):
    found = Counter()
    for bucket in range(BUCKETS):
        rows = pl.read_parquet(store / "quarantine" / f"bucket={bucket:02d}" / "admissions.parquet")
        assert {find_home(person) for person in rows["person_id"]} == {bucket}
        found.update(rows["row"].unique())
    assert sorted(found) == sorted(scan_store(store).quarantine["admissions"]["row"].unique())
    assert set(found.values()) == {1}


def test_a_bucket_has_its_own_quarantine(store):
    whole = scan_store(store).quarantine["admissions"]
    parts = [scan_store(store, bucket).quarantine["admissions"] for bucket in range(BUCKETS)]
    assert pl.concat(parts).sort("row", "rule").equals(whole)
    for bucket, part in enumerate(parts):
        assert {find_home(person) for person in part["person_id"]} <= {bucket}


def test_what_is_counted_is_what_is_there(store):
    quarantine = scan_store(store).quarantine
    rows = quarantine["admissions"]
    assert quarantine.count() == rows["row"].n_unique()
    counts = Counter(rows["rule"])
    assert dict(quarantine.summary().select("rule", "rows").iter_rows()) == dict(counts)


def test_only_the_buckets_of_the_persons_asked_for_are_read(store, monkeypatch):
    quarantine, read = scan_store(store).quarantine, []
    room = "somv_risk.store._quarantine.read_parquet"
    monkeypatch.setattr(room, lambda file: (read.append(file.parent.name), pl.read_parquet(file))[1])
    quarantine.summary(), quarantine.count()
    assert read == []
    quarantine.count_by_person(pl.Series(["p00"]))
    assert read == [f"bucket={find_home('p00'):02d}"]


def test_a_store_whose_quarantine_lies_flat_is_read_by_bucket_too(store):
    """Earlier versions of the library wrote one file for each table, and no counts."""
    whole = scan_store(store).quarantine["admissions"]
    manifest = read_manifest(store)
    shutil.rmtree(store / "quarantine")
    (store / "quarantine").mkdir()
    file = store / "quarantine" / "admissions.parquet"
    whole.write_parquet(file)
    entry = {"table": "admissions", "file": "quarantine/admissions.parquet", "rows": whole.height}
    entry |= {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    for key in ("delivered", "warnings", "inferred"):
        del manifest[key]
    (store / "manifest.json").write_text(json.dumps(manifest | {"quarantine_files": [entry]}))
    old = scan_store(store)
    assert old.quarantine.count() == whole["row"].n_unique()
    assert old.quarantine.summary()["rows"].sum() == whole.height
    parts = [scan_store(store, bucket).quarantine["admissions"] for bucket in range(BUCKETS)]
    assert sorted(pl.concat(parts)["row"]) == sorted(whole["row"])
    assert all({find_home(p) for p in part["person_id"]} <= {n} for n, part in enumerate(parts))
    assert append(deliver(draw_tables(2), LATER), store, delivered_at=LATER).height
    assert scan_store(store).quarantine.count() > whole["row"].n_unique()


# --- Counted


def test_what_was_delivered_was_kept_or_set_aside(store):
    (persons, contacts) = read_manifest(store)["delivered"]
    assert persons == {
        "table": "persons",
        "delivered": 30,
        "kept": 30,
        "kept_without": 0,
        "set_aside": 0,
        "left": 0,
    }
    aside = scan_store(store).quarantine["admissions"]["row"].n_unique()
    kept = scan_store(store).admissions.select(pl.len()).collect().item()
    assert contacts == {
        "table": "admissions",
        "delivered": 300,
        "kept": kept,
        "kept_without": 0,
        "set_aside": aside,
        "left": 0,
    }
    assert kept + aside == 300


def test_later_deliveries_add_to_the_counts(store):
    append(deliver(draw_tables(2, contacts=50), LATER), store, delivered_at=LATER)
    contacts = read_manifest(store)["delivered"][1]
    assert contacts["delivered"] == 350 == contacts["kept"] + contacts["set_aside"]
    assert [known["rows"][1]["delivered"] for known in read_manifest(store)["deliveries"]] == [300, 50]
    assert verify_store(store).is_empty()


def test_histories_written_at_once_are_counted_too(tmp_path):
    histories = from_frames(**draw_tables(3), data_end=END)
    write_store(histories, tmp_path / "store", buckets=BUCKETS)
    contacts = read_manifest(tmp_path / "store")["delivered"][1]
    assert (contacts["delivered"], contacts["set_aside"]) == (300, histories.quarantine.count())
    assert verify_store(tmp_path / "store").is_empty()


@pytest.mark.parametrize(("key", "change"), [("kept", 1), ("set_aside", -1), ("delivered", 2)])
def test_counts_that_do_not_add_up_are_found(store, key, change):
    manifest = read_manifest(store)
    manifest["delivered"][1][key] += change
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert "rows_do_not_add_up" in set(verify_store(store)["finding"])


# --- Too much


def test_a_delivery_of_which_too_much_is_set_aside_makes_no_store(tmp_path):
    with pytest.raises(
        TooManySetAsideError, match=r"of 300 rows of admissions \(.*sector\|unknown_value: \d+"
    ):
        ingest(deliver(draw_tables(1)), tmp_path / "store", limit=Limit(0.05))
    assert list(tmp_path.iterdir()) == []


def test_a_delivery_of_which_too_much_is_set_aside_leaves_the_store_as_it_was(store):
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    with pytest.raises(TooManySetAsideError):
        append(deliver(draw_tables(2), LATER), store, delivered_at=LATER, limit=Limit(0.05))
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(("share", "passes"), [(0.0, False), (0.24, False), (0.25, True), (1.0, True)])
def test_a_share_that_is_met_is_not_exceeded(tmp_path, share, passes):
    tables = draw_tables(1, contacts=1)
    good = {"person_id": "p00", "started_at": "2024-05-01", "sector": "somatic", "admission_type": "acute"}
    contacts = [good | {"contact_id": str(n)} for n in range(3)] + [good | {"contact_id": "x", "sector": "?"}]
    tables["admissions"] = pl.DataFrame(contacts)
    if passes:
        ingest(deliver(tables), tmp_path / "store", limit=Limit(share))
        assert scan_store(tmp_path / "store").quarantine.count() == 1
    else:
        with pytest.raises(TooManySetAsideError):
            ingest(deliver(tables), tmp_path / "store", limit=Limit(share))


def test_a_delivery_that_is_only_checked_writes_nothing(store, tmp_path, monkeypatch):
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    with pytest.warns(QuarantineWarning):
        seen = check_only(deliver(draw_tables(2), LATER), store, delivered_at=LATER)
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before
    assert list(private.iterdir()) == []
    append(deliver(draw_tables(2), LATER), store, delivered_at=LATER)
    assert read_manifest(store)["deliveries"][1]["rows"] == seen.rows


# --- Warned of


def test_who_makes_a_store_is_warned_once_with_counts(tmp_path):
    with pytest.warns(QuarantineWarning) as caught:
        ingest(deliver(draw_tables(1)), tmp_path / "store")
    (only,) = caught
    assert only.filename == __file__
    counted = read_manifest(tmp_path / "store")["delivered"][1]["set_aside"]
    assert f"{counted} of 300 rows of admissions" in str(only.message)
    assert read_manifest(tmp_path / "store")["warnings"] == [
        {"category": "QuarantineWarning", "sentence": str(only.message)}
    ]


def test_ids_and_cells_stand_in_no_warning(tmp_path):
    with pytest.warns(QuarantineWarning) as caught:
        ingest(deliver(draw_tables(1)), tmp_path / "store")
    text = str(caught[0].message) + (tmp_path / "store" / "manifest.json").read_text()
    assert not [canary for canary in ("stranger", "Somatisk", "p0", "never") if canary in text]


def test_a_folder_read_at_once_and_by_ingest_set_the_same_aside(tmp_path):
    (tmp_path / "delivery").mkdir()
    for table, frame in draw_tables(5).items():
        frame.write_csv(tmp_path / "delivery" / f"{table}.csv")
    with pytest.warns(QuarantineWarning):
        histories: Histories = read_histories(tmp_path / "delivery", data_end=END)
    with pytest.warns(QuarantineWarning):
        ingest(scan_folder(tmp_path / "delivery", data_end=END), tmp_path / "store", buckets=BUCKETS)
    read = scan_store(tmp_path / "store").quarantine
    assert read.summary().equals(histories.quarantine.summary())
    assert read.count_tables() == histories.quarantine.count_tables()
