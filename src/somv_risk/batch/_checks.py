"""Checks: what would spoil a whole run is found before it begins."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import polars as pl

from somv_risk.errors import EmptyBucketError, IndexTimeError
from somv_risk.files.parquet import DAMAGE, scan_parquet
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Quarantine
from somv_risk.registers.soundness import check_span, read_counts, warn_of_rows
from somv_risk.scoring.score import Allowed, refuse_absent
from somv_risk.store import list_bucket_files, read_manifest, read_span


def check_tables(model: RiskModel, store: Path, allow: Collection[Allowed]) -> None:
    """Check that no table is absent that the model was trained with.

    Raises
    ------
    OtherTablesError
        If one is, and that is not allowed; where it is, a warning says so.
    """
    delivered = read_manifest(store)["tables"]
    refuse_absent([table for table in model.tables if table not in delivered], allow)


def check_index_time(store: Path, index_time: datetime, allow: Collection[Allowed]) -> None:
    """Check that the index moment lies within the data.

    Raises
    ------
    IndexTimeError
        If it lies before the first event, or a day or more after the end and that is not allowed.
    """
    check_span(read_span(store, read_manifest(store)), index_time, allow)
    first = _find_first_event(store)
    if first is not None and index_time <= first:
        raise IndexTimeError(
            f"The index moment {index_time} lies before the data: nothing had happened yet. Give a later one."
        )


def check_rows(store: Path) -> None:
    """Warn if more than 1 % of a table was set aside."""
    manifest = read_manifest(store)
    summary = pl.DataFrame(manifest["quarantine"], schema=Quarantine().summary().schema)
    warn_of_rows(read_counts(manifest.get("delivered", ())), summary)


def _find_first_event(store: Path) -> datetime | None:
    """Find the day of the earliest event of the buckets that can be read."""
    firsts = [
        first
        for bucket in range(read_manifest(store)["buckets"])
        for file in list_bucket_files(store, bucket)
        if file.stem != s.PERSONS and (first := _read_first(file)) is not None
    ]
    return min(firsts, default=None)


def _read_first(file: Path) -> datetime | None:
    try:
        first: datetime | None = scan_parquet(file).select(pl.col(s.STARTED_AT).min()).collect().item()
    except DAMAGE:
        return None
    return first


def count_persons(store: Path) -> dict[int, int]:
    """Count the persons of each bucket that can be read.

    Raises
    ------
    EmptyBucketError
        If all can be read, one is empty, and the persons are fewer than the store says.
    """
    manifest = read_manifest(store)
    counts = {bucket: _count(store, bucket) for bucket in range(manifest["buckets"])}
    known = {bucket: count for bucket, count in counts.items() if count is not None}
    empty = [bucket for bucket, count in known.items() if not count]
    if empty and len(known) == len(counts) and sum(known.values()) < manifest["rows"][s.PERSONS]:
        raise EmptyBucketError(
            f"Bucket {', '.join(map(str, empty))} of store {store} is empty, and its persons are missing: "
            f"the store counts {manifest['rows'][s.PERSONS]:,}, its buckets hold {sum(known.values()):,}. "
            "Ingest again."
        )
    return known


def _count(store: Path, bucket: int) -> int | None:
    try:
        persons = scan_parquet(list_bucket_files(store, bucket, s.PERSONS))
        return int(persons.select(pl.len()).collect().item())
    except DAMAGE:
        return None
