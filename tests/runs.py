"""Runs: how the tests of the batch and of Spark call one, and what it leaves behind."""

import json
from datetime import datetime

import polars as pl

from somv_risk.store import scan_store

BUCKETS = 4
INDEX = datetime(2026, 1, 1)
ASKED = {"capacity": 40, "language": "en"}


def read_bytes(folder):
    """All that a run leaves, but the log, which tells when it was, and what is Delta's."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.log" and "scores.delta" not in path.parts
    }


def read_log(folder, *events):
    """The lines of a run's log, or those of some events."""
    lines = [json.loads(line) for line in (folder / "run.log").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if not events or line["event"] in events]


def without_bucket(histories, store, bucket):
    """The histories of all whom a bucket of their store does not hold."""
    gone = scan_store(store, bucket).persons.select("person_id").collect()["person_id"]
    kept = histories.persons.filter(~pl.col("person_id").is_in(gone.implode()))
    return histories.keep_persons(kept.select("person_id"))
