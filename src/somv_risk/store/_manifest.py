"""Manifest: what a store says of itself. Only files that it names belong to the store."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import SourceError, StoreVersionError
from somv_risk.files.parquet import DAMAGE, scan_parquet
from somv_risk.files.private_files import make_private_file
from somv_risk.registers import schema as s
from somv_risk.registers.identity import Pseudonyms
from somv_risk.registers.span import END, START, Span, infer_span
from somv_risk.store._files import BUCKET, CHECKSUM, compute_checksum, hash_file, name_file

STORE_VERSION: Final = 4
MANIFEST: Final = "manifest.json"
GUARDS: Final = "guards"
MANIFEST_KEYS: Final = (
    *("buckets", "tables", "data_end", "rows", "quarantine", "dropped"),
    *("files", "quarantine_files", "deliveries", "edition", "ends"),
)
PSEUDONYMS: Final = "pseudonyms"  # stores written before it do not say

Entry = dict[str, Any]  # table, bucket, file, rows, bytes, sha256, crc32


def is_store(path: str | Path) -> bool:
    """Tell whether a folder is a store.

    Raises
    ------
    SourceError
        If it may not be looked into.
    """
    try:
        return (Path(path) / MANIFEST).is_file()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}). Mend its permissions.") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a store says of itself.

    Raises
    ------
    SourceError
        If there is no manifest, or it says too little.
    StoreVersionError
        If it is of another version.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SourceError(
            f"{folder} is not a store: its {MANIFEST} cannot be read. Write it with ingest."
        ) from None
    found = manifest.get("store_version") if isinstance(manifest, dict) else None
    if found != STORE_VERSION:
        raise StoreVersionError(
            f"Store {folder} has version {found}; this library reads {STORE_VERSION}. Ingest again."
        )
    missing = [key for key in MANIFEST_KEYS if key not in manifest]
    if missing:
        raise SourceError(f"The {MANIFEST} of store {folder} lacks {missing}. Ingest again.")
    return dict(manifest)


def list_bucket_files(folder: Path, bucket: int, table: str | None = None) -> list[Path]:
    """List the files that a bucket should have, one for each table of the store, or that of one table."""
    return [
        folder / entry["file"]
        for entry in read_manifest(folder)["files"]
        if entry["bucket"] == bucket and table in (None, entry["table"])
    ]


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest at once and whole: this is the moment at which a store becomes another."""
    unfinished = folder / f".{MANIFEST}"
    try:
        with make_private_file(unfinished).open("w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(folder / MANIFEST)
    finally:
        unfinished.unlink(missing_ok=True)


def hash_store(path: str | Path) -> str:
    """Hash what a store holds: the same files, buckets and data end give the same text.

    Raises
    ------
    SourceError
        As `scan_store`.
    """
    manifest = read_manifest(Path(path))
    held = sorted((file["table"], file["bucket"], file["sha256"]) for file in manifest["files"])
    return sha256(json.dumps([manifest["buckets"], manifest["data_end"], held]).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a store holds, as its manifest says it.

    `delivered` counts of each table (`table`) how many rows were `delivered`, and how many of them were
    `kept`, `set_aside` or `left` by the source: the three add up to the first. `span` is from when until
    when there are data, by the hospital contacts. `warnings` are what whoever made the store was warned of:
    `category` and `sentence`.
    """

    files: Sequence[Entry]
    buckets: int
    tables: Iterable[str]
    ends: Mapping[str, datetime | None]
    quarantine: pl.DataFrame
    dropped: pl.DataFrame
    delivered: Iterable[Mapping[str, Any]] = ()
    span: Span | None = None
    warnings: Iterable[Mapping[str, str]] = ()
    quarantine_files: Iterable[Entry] = ()
    deliveries: Iterable[Mapping[str, Any]] = ()
    edition: int = 0
    timezone: str = TIMEZONE
    pseudonyms: Pseudonyms | None = None

    def state(self) -> dict[str, Any]:
        """State the manifest."""
        names, seen = list(self.tables), self.span or Span(None, None)
        return {
            "store_version": STORE_VERSION,
            "edition": self.edition,
            "timezone": self.timezone,
            "buckets": self.buckets,
            "tables": names,
            "data_end": _write_moment(self.ends.get(s.ADMISSIONS)),  # outcomes are admissions
            "ends": {name: _write_moment(self.ends.get(name)) for name in names},
            "inferred": {START: _write_moment(seen.start), END: _write_moment(seen.end), GUARDS: seen.guards},
            "rows": {name: self._count_rows(name) for name in names},
            "quarantine": self.quarantine.to_dicts(),
            "dropped": self.dropped.to_dicts(),
            "delivered": [dict(row) for row in self.delivered],
            "warnings": [dict(one) for one in self.warnings],
            "deliveries": list(self.deliveries),
            PSEUDONYMS: None if self.pseudonyms is None else asdict(self.pseudonyms),
            "files": list(self.files),
            "quarantine_files": list(self.quarantine_files),
        }

    def _count_rows(self, table: str) -> int:
        return sum(file["rows"] for file in self.files if file["table"] == table)


def describe_file(folder: Path, table: str, bucket: int, rows: int, delivery: int = 0) -> Entry:
    """Say what a file of a bucket holds."""
    return {"table": table, BUCKET: bucket} | _describe(folder, name_file(table, bucket, delivery), rows)


def describe_quarantine(folder: Path, table: str, bucket: int, name: str, rows: int) -> Entry:
    """Say what a file of rows set aside holds."""
    return {"table": table, BUCKET: bucket} | _describe(folder, name, rows)


def read_data_end(manifest: Mapping[str, Any]) -> datetime | None:
    """Return the moment until which the store's outcomes are known."""
    return _read_moment(manifest["data_end"])


def read_span(folder: Path, manifest: Mapping[str, Any]) -> Span:
    """Return from when until when the store has data; a delivery's own word counts more than its contacts."""
    told, end = manifest.get("inferred"), read_data_end(manifest)
    if told is None:  # the store is of an earlier version of the library
        seen = infer_stored_span(folder, manifest["files"]) if end is None else Span(None, None)
    else:
        seen = Span(_read_moment(told[START]), _read_moment(told[END]), guards=told.get(GUARDS, True))
    return Span(seen.start, end or seen.end, is_given=end is not None, guards=seen.guards)


def infer_stored_span(folder: Path, entries: Iterable[Entry]) -> Span:
    """Infer from the hospital contacts in files of a store from when until when there are data.

    Files that cannot be read say nothing: whoever reads their rows is told of them.
    """
    files = [folder / entry["file"] for entry in entries if entry["table"] == s.ADMISSIONS]
    if not files:
        return Span(None, None)
    try:
        start, end = infer_span(scan_parquet(files)).collect().row(0)
    except DAMAGE:
        return Span(None, None)
    return Span(start, end)


def read_ends(manifest: Mapping[str, Any]) -> dict[str, datetime | None]:
    """Return the moment until which each table was delivered."""
    return {table: _read_moment(moment) for table, moment in manifest["ends"].items()}


def _read_moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def read_timezone(manifest: Mapping[str, Any]) -> str:
    """Return the zone of the store's clocks; what older stores do not say is the usual one."""
    return str(manifest.get("timezone", TIMEZONE))


def read_pseudonyms(manifest: Mapping[str, Any]) -> Pseudonyms | None:
    """Return how the store's ids became pseudonyms; None if they did not, or it does not say."""
    told = manifest.get(PSEUDONYMS)
    return Pseudonyms(rule=told["rule"], key_check=told["key_check"]) if told else None


def _write_moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _describe(folder: Path, name: str, rows: int) -> Entry:
    file = folder / name
    return {
        "file": name,
        "rows": rows,
        "bytes": file.stat().st_size,
        "sha256": hash_file(file),
        CHECKSUM: compute_checksum(file),
    }
