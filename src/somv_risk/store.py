"""The store: checked histories on disk, persons hashed into buckets, each bucket whole in itself."""

import json
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from somv_risk import schema as s
from somv_risk.errors import ConfigError, SourceError
from somv_risk.histories import Histories, Quarantine
from somv_risk.identity import hash_person

STORE_VERSION = 1
DEFAULT_BUCKETS = 8
MANIFEST = "manifest.json"
MANIFEST_KEYS = ("buckets", "tables", "data_end", "rows", "quarantine", "dropped")
BUCKET = "bucket"
_SALT = "somv_risk.store"
_ORDER = (s.PERSON_ID, s.STARTED_AT)


def is_store(path: Path) -> bool:
    """Tell whether a folder is a store."""
    return (path / MANIFEST).is_file()


def write_store(histories: Histories, path: str | Path, *, buckets: int = DEFAULT_BUCKETS) -> None:
    """Write histories as a store: `bucket=07/admissions.parquet`, sorted by person and time.

    The store appears under its name only when it is complete. What was set aside goes along in
    `quarantine/`, so that nothing is lost.

    Raises
    ------
    SourceError
        If the folder exists already or cannot be written.
    ConfigError
        If there is to be no bucket.
    """
    folder = Path(path)
    if folder.exists():
        raise SourceError(f"{folder} exists already. Name a new folder for the store, or remove the old one.")
    if buckets < 1:
        raise ConfigError(f"A store of {buckets} buckets holds nobody. Give at least 1 bucket.")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _write_all(histories, unfinished, buckets)
        unfinished.rename(folder)
    except OSError as error:
        raise SourceError(
            f"The store {folder} cannot be written ({error.strerror}). Free space or choose a folder."
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def scan_store(path: str | Path, bucket: int | None = None) -> Histories:
    """Scan a store lazily, whole or one bucket.

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
    return Histories(
        tables={table: _scan_table(folder, table, list(chosen)) for table in manifest["tables"]},
        data_end=datetime.fromisoformat(manifest["data_end"]) if manifest["data_end"] else None,
        quarantine=_read_quarantine(folder),
        dropped=pl.DataFrame(
            manifest["dropped"], schema={"source_table": pl.String, "reason": pl.String, "rows": pl.Int64}
        ),
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a store says of itself."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SourceError(
            f"{folder} is not a store: its {MANIFEST} cannot be read. Write it with ingest."
        ) from None
    found = manifest.get("store_version") if isinstance(manifest, dict) else None
    if found != STORE_VERSION:
        raise SourceError(
            f"Store {folder} has version {found}; this library reads {STORE_VERSION}. Ingest again."
        )
    missing = [key for key in MANIFEST_KEYS if key not in manifest]
    if missing:
        raise SourceError(f"The {MANIFEST} of store {folder} lacks {missing}. Ingest again.")
    return dict(manifest)


def _write_all(histories: Histories, folder: Path, buckets: int) -> None:
    folder.mkdir(parents=True)
    _write_tables(histories, folder, buckets)
    _write_quarantine(histories.quarantine, folder)
    manifest = json.dumps(_describe(histories, buckets), indent=2)
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")


def _write_tables(histories: Histories, folder: Path, buckets: int) -> None:
    for table, frame in histories.tables.items():
        numbered = frame.with_columns((hash_person(_SALT) % buckets).alias(BUCKET)).collect()
        order = [name for name in _ORDER if name in numbered.columns]
        for bucket in range(buckets):
            part = numbered.filter(pl.col(BUCKET) == bucket).drop(BUCKET).sort(order)
            target = _bucket_file(folder, table, bucket)
            target.parent.mkdir(exist_ok=True)
            part.write_parquet(target)


def _bucket_file(folder: Path, table: str, bucket: int) -> Path:
    return folder / f"{BUCKET}={bucket:02d}" / f"{table}.parquet"


def _scan_table(folder: Path, table: str, buckets: list[int]) -> pl.LazyFrame:
    files = [_bucket_file(folder, table, bucket) for bucket in buckets]
    damaged = [file for file in files if not _is_readable(file)]
    if damaged:
        raise SourceError(
            f"Store {folder} has {len(damaged)} {table} files missing or damaged. Ingest again."
        )
    return pl.scan_parquet(files, hive_partitioning=False)


def _is_readable(file: Path) -> bool:
    try:
        pl.read_parquet_schema(file)
    except (OSError, pl.exceptions.PolarsError):
        return False
    return True


def _write_quarantine(quarantine: Quarantine, folder: Path) -> None:
    (folder / "quarantine").mkdir()
    for table, frame in quarantine.rows.items():
        frame.write_parquet(folder / "quarantine" / f"{table}.parquet")


def _read_quarantine(folder: Path) -> Quarantine:
    files = sorted((folder / "quarantine").glob("*.parquet"))
    return Quarantine({file.stem: pl.read_parquet(file) for file in files})


def _describe(histories: Histories, buckets: int) -> Mapping[str, Any]:
    return {
        "store_version": STORE_VERSION,
        "buckets": buckets,
        "tables": list(histories.tables),
        "data_end": histories.data_end.isoformat() if histories.data_end else None,
        "rows": {table: frame.select(pl.len()).collect().item() for table, frame in histories.tables.items()},
        "quarantine": histories.quarantine.summary().to_dicts(),
        "dropped": histories.dropped.to_dicts(),
    }
