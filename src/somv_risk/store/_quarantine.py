"""The quarantine of a store: rows set aside, in the bucket of their person, read when they are asked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.files.parquet import read_parquet, write_parquet
from somv_risk.files.private_files import make_inner_folder, make_private_file
from somv_risk.registers import schema as s
from somv_risk.registers.histories import KEPT_WITHOUT, SET_ASIDE, Counted, Quarantine
from somv_risk.store._files import BUCKET, is_as_written
from somv_risk.store._manifest import Entry, describe_quarantine
from somv_risk.store._places import find_bucket

QUARANTINE: Final = "quarantine"
DELIVERED_AT: Final = "delivered_at"


@dataclass(frozen=True, slots=True)
class StoredRows(Mapping[str, pl.DataFrame]):
    """Rows set aside by table, of some buckets of a store or of all; only what is asked for is read."""

    folder: Path
    entries: tuple[Entry, ...]
    buckets: int
    chosen: tuple[int, ...]

    def __getitem__(self, table: str) -> pl.DataFrame:
        entries = [entry for entry in self.entries if entry["table"] == table]
        if not entries:
            raise KeyError(table)
        rows = _join([self._read(entry) for entry in entries])
        order = [name for name in (DELIVERED_AT, s.ROW, s.RULE) if name in rows.columns]
        return rows.sort(order, maintain_order=True) if len(entries) > 1 else rows

    def __iter__(self) -> Iterator[str]:
        held = {entry["table"] for entry in self.entries}
        return iter([table for table in s.TABLES if table in held])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def read_of(self, person_ids: pl.Series) -> Iterable[pl.DataFrame]:
        """Read the frames in which persons may stand, one after the other."""
        if not self.entries:
            return
        homes = pl.DataFrame({s.PERSON_ID: person_ids}).select(find_bucket(self.buckets))[BUCKET]
        wanted = set(homes.unique())
        for entry in self.entries:
            if entry.get(BUCKET) in wanted or BUCKET not in entry:
                yield self._read(entry)

    def _read(self, entry: Entry) -> pl.DataFrame:
        rows = _read_file(self.folder, entry)
        # Earlier versions of the library wrote one file for all buckets.
        if BUCKET in entry or len(self.chosen) == self.buckets:
            return rows
        return rows.filter(find_home(rows, self.buckets).is_in(self.chosen))


def scan_quarantine(folder: Path, manifest: Mapping[str, Any], bucket: int | None) -> Quarantine:
    """Scan what was set aside, of a bucket or of all; rows of a later delivery say when it was made.

    Raises
    ------
    SourceError
        If a file is missing or damaged.
    """
    buckets = manifest["buckets"]
    files = manifest["quarantine_files"]
    entries = tuple(entry for entry in files if bucket is None or entry.get(BUCKET, bucket) == bucket)
    for entry in entries:
        _check_file(folder, entry)
    chosen = tuple(range(buckets)) if bucket is None else (bucket,)
    rows = StoredRows(folder, entries, buckets, chosen)
    # A store that an earlier version of the library began does not have all counts.
    if bucket is not None or "delivered" not in manifest or any(BUCKET not in entry for entry in entries):
        return Quarantine(rows)
    delivered = {row["table"]: row["delivered"] for row in manifest["delivered"]}
    return Quarantine(rows, delivered, _read_counts(manifest))


def _read_counts(manifest: Mapping[str, Any]) -> Counted:
    summary = pl.DataFrame(manifest["quarantine"], schema=Quarantine().summary().schema)
    set_aside, kept_without = (
        {row["table"]: row[key] for row in manifest["delivered"]} for key in (SET_ASIDE, KEPT_WITHOUT)
    )
    return Counted(summary.sort("table", s.RULE), set_aside, kept_without)


def write_quarantine(quarantine: Quarantine, folder: Path, buckets: int, edition: int = 0) -> list[Entry]:
    """Write rows set aside into the buckets of their persons, and say what was written."""
    make_inner_folder(folder / QUARANTINE)
    return [
        write_aside(folder, table, bucket, rows, edition)
        for table, frame in quarantine.rows.items()
        for bucket, rows in _part(frame, buckets)
    ]


def add_up(
    kept: Mapping[str, int],
    aside: Mapping[str, int],
    poorer: Mapping[str, int],
    dropped: pl.DataFrame,
) -> list[dict[str, Any]]:
    """Add up of each table what became of its rows: `delivered` is `kept` and `set_aside` and `left`.

    Of those kept, `kept_without` lost an attribute. A source leaves rows of its own tables (`dropped`), which
    count here where they have the name of one here.
    """
    left: dict[str, int] = dict(dropped.group_by("source_table").agg(pl.col("rows").sum()).iter_rows())
    found = [table for table in s.TABLES if table in {*kept, *aside, *left}]
    return [
        _add_up(table, *(counts.get(table, 0) for counts in (kept, aside, poorer, left))) for table in found
    ]


def _add_up(table: str, kept: int, aside: int, poorer: int, left: int) -> dict[str, Any]:
    whole = {"table": table, "delivered": kept + aside + left, "kept": kept}
    return whole | {KEPT_WITHOUT: poorer, SET_ASIDE: aside, "left": left}


def write_aside(folder: Path, table: str, bucket: int, rows: pl.DataFrame, edition: int) -> Entry:
    """Write the rows of a table that were set aside in a bucket, and say what was written."""
    later = "" if edition == 0 else f".{edition}"
    name = f"{QUARANTINE}/{BUCKET}={bucket:02d}/{table}{later}.parquet"
    make_inner_folder((folder / name).parent)
    write_parquet(rows, make_private_file(folder / name))
    return describe_quarantine(folder, table, bucket, name, rows.height)


def part_quarantine(quarantine: Quarantine, buckets: int) -> dict[tuple[str, int], pl.DataFrame]:
    """Part rows set aside by table and bucket."""
    return {
        (table, bucket): rows
        for table, frame in quarantine.rows.items()
        for bucket, rows in _part(frame, buckets)
    }


def join_aside(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put rows set aside below each other."""
    return _join(list(frames))


def _part(frame: pl.DataFrame, buckets: int) -> list[tuple[int, pl.DataFrame]]:
    homes = frame.with_columns(find_home(frame, buckets).alias("_home"))
    parts = homes.partition_by("_home", as_dict=True, include_key=False)
    return sorted(((int(home), rows) for (home,), rows in parts.items()), key=lambda part: part[0])


def find_home(rows: pl.DataFrame, buckets: int) -> pl.Series:
    """Find the bucket of each row's person; rows without one that can be read lie in the first."""
    if s.PERSON_ID not in rows.columns:
        return pl.repeat(0, rows.height, dtype=pl.UInt32, eager=True)
    ids = rows.select(pl.col(s.PERSON_ID).cast(pl.String, strict=False).str.strip_chars())
    return ids.select(find_bucket(buckets).fill_null(0))[BUCKET]


def _read_file(folder: Path, entry: Entry) -> pl.DataFrame:
    _check_file(folder, entry)
    return read_parquet(folder / entry["file"])


def _check_file(folder: Path, entry: Entry) -> None:
    if not is_as_written(folder, entry):
        raise SourceError(
            f"Store {folder} has 1 {entry['table']} files missing or damaged, the first {entry['file']}. "
            "Ingest again."
        )


def _join(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Put rows of several files below each other; a column of differing types is text."""
    if len(frames) == 1:
        return frames[0]
    types: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, dtype in frame.schema.items():
            types.setdefault(name, set()).add(dtype)
    texts = [name for name, found in types.items() if len(found - {pl.Null()}) > 1]
    return pl.concat(
        [
            frame.with_columns(pl.col(n).cast(pl.String) for n in texts if n in frame.columns)
            for frame in frames
        ],
        how="diagonal_relaxed",
    )
