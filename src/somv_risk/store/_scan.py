"""Scanning: a store, whole or one bucket, as lazy histories."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.files.parquet import DAMAGE
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories, Layout
from somv_risk.registers.span import Span
from somv_risk.store._files import BUCKET, is_as_written
from somv_risk.store._manifest import (
    Entry,
    read_data_end,
    read_manifest,
    read_pseudonyms,
    read_span,
    read_timezone,
)
from somv_risk.store._places import NUMBERS, scan_rows
from somv_risk.store._quarantine import scan_quarantine


def scan_store(path: str | Path, bucket: int | None = None) -> Histories:
    """Scan a store lazily, whole or one bucket.

    What was scanned stays as it is while one delivery is appended; its files go with the next one.

    Raises
    ------
    SourceError
        If the store is incomplete, of another version, or has no such bucket.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if bucket is not None and not 0 <= bucket < manifest["buckets"]:
        raise SourceError(
            f"Store {folder} has no bucket {bucket}. It has buckets 0 to {manifest['buckets'] - 1}."
        )
    chosen = range(manifest["buckets"]) if bucket is None else [bucket]
    span = read_span(folder, manifest)
    parts = tuple(_scan_buckets(folder, manifest, [number], span) for number in chosen)
    whole = _scan_buckets(folder, manifest, list(chosen), span) if len(parts) > 1 else parts[0]
    numbered = whole.numbered if len(parts) == 1 else {}
    layout = Layout(whole.tables, parts if len(parts) > 1 else (), numbered)
    return replace(whole, quarantine=scan_quarantine(folder, manifest, bucket), layout=layout)


def read_table(
    folder: Path,
    manifest: Mapping[str, Any],
    table: str,
    bucket: int,
    columns: Collection[str] | None = None,
) -> pl.DataFrame:
    """Read a table's rows in one bucket, without the numbers; all columns or some.

    Raises
    ------
    SourceError
        If the file is missing or damaged.
    """
    rows = _scan_table(folder, manifest, table, [bucket])
    entry = next(e for e in manifest["files"] if (e["table"], e[BUCKET]) == (table, bucket))
    try:
        read = rows.select(columns or list(s.get_columns(table))).collect()
    except DAMAGE:
        read = None
    if read is None or read.height != entry["rows"]:
        raise SourceError(f"Store {folder} has a damaged file {entry['file']}. Ingest again.")
    return read


def _scan_buckets(folder: Path, manifest: Mapping[str, Any], buckets: list[int], span: Span) -> Histories:
    numbered = {table: _scan_table(folder, manifest, table, buckets) for table in manifest["tables"]}
    tables = {table: frame.drop(NUMBERS, strict=False) for table, frame in numbered.items()}
    return Histories(
        tables=tables,
        data_end=read_data_end(manifest),
        dropped=pl.DataFrame(
            manifest["dropped"], schema={"source_table": pl.String, "reason": pl.String, "rows": pl.Int64}
        ),
        layout=Layout(tables, numbered=numbered),
        timezone=read_timezone(manifest),
        pseudonyms=read_pseudonyms(manifest),
        span=span,
    )


def _scan_table(folder: Path, manifest: Mapping[str, Any], table: str, buckets: list[int]) -> pl.LazyFrame:
    own = {entry[BUCKET]: entry for entry in manifest["files"] if entry["table"] == table}
    entries = [own[bucket] for bucket in buckets if bucket in own]
    if len(entries) < len(buckets):
        raise SourceError(
            f"Store {folder} names no {table} file for {len(buckets) - len(entries)} of its buckets. "
            "Ingest again."
        )
    _check_files(folder, table, entries)
    return scan_rows(table, [folder / entry["file"] for entry in entries])


def _check_files(folder: Path, table: str, entries: list[Entry]) -> None:
    damaged = [entry["file"] for entry in entries if not is_as_written(folder, entry)]
    if damaged:
        raise SourceError(
            f"Store {folder} has {len(damaged)} {table} files missing or damaged, the first {damaged[0]}. "
            "Ingest again."
        )
