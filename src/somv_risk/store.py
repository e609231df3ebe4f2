"""The store: checked histories on disk, persons hashed into buckets, each bucket whole in itself."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from somv_risk import schema as s
from somv_risk.errors import ConfigError, InputError, SourceError, StoreVersionError
from somv_risk.histories import CONTACT, NOBODY, PERSON, Histories, Layout, Quarantine
from somv_risk.identity import hash_person

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

STORE_VERSION = 3
DEFAULT_BUCKETS = 8
MANIFEST = "manifest.json"
MANIFEST_KEYS = ("buckets", "tables", "data_end", "rows", "quarantine", "dropped")
BUCKET = "bucket"
_SALT = "somv_risk.store"
_NUMBERS: Final = (PERSON, CONTACT)
_WITH_CONTACTS: Final = (s.ADMISSIONS, s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS)
_TIMES: Final = (s.STARTED_AT, s.ENDED_AT, s.KNOWN_AT)
_MORE_THAN_CONTACTS: Final = 2**32
_ROWS_WAITING: Final = 8_000_000  # of all files together
_LEAST_ROWS_PER_GROUP: Final = 10_000


def is_store(path: Path) -> bool:
    """Tell whether a folder is a store.

    Raises
    ------
    SourceError
        If it may not be looked into.
    """
    try:
        return (path / MANIFEST).is_file()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}). Mend its permissions.") from None


def write_store(histories: Histories, path: str | Path, *, buckets: int = DEFAULT_BUCKETS) -> None:
    """Write histories as a store: `bucket=07/admissions.parquet`, sorted by person and time.

    The store appears under its name only when it is complete. What was set aside goes along in
    `quarantine/`, so that nothing is lost.

    Raises
    ------
    SourceError
        If the folder exists already or cannot be written.
    ConfigError
        If the number of buckets is not a whole number from 1.
    """
    _check_buckets(buckets)
    with make_folder(Path(path), "store") as folder:
        _write_tables(histories, folder, buckets)
        _write_quarantine(histories.quarantine, folder)
        _write_manifest(folder, _describe(histories) | {"buckets": buckets})


def write_blocks(
    blocks: Iterable[Mapping[str, pl.DataFrame]],
    path: str | Path,
    *,
    data_end: datetime,
    buckets: int = DEFAULT_BUCKETS,
) -> None:
    """Write a store from blocks of persons, one after the other, in memory that does not grow with them.

    Parameters
    ----------
    blocks
        Checked tables of whole persons, sorted by person and time; each block's persons come after
        those of the blocks before it.
    data_end
        The moment at which the delivery ends.

    Raises
    ------
    SourceError, ConfigError
        As `write_store`.
    InputError
        If there are no persons, or a block's persons do not come after those before.
    """
    _check_buckets(buckets)
    with make_folder(Path(path), "store") as folder:
        rows = _append_blocks(blocks, folder, buckets)
        _write_quarantine(Quarantine(), folder)
        _write_manifest(folder, _state_manifest(rows, data_end) | {"buckets": buckets})


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
    parts = tuple(_scan_buckets(folder, manifest, [number]) for number in chosen)
    whole = _scan_buckets(folder, manifest, list(chosen)) if len(parts) > 1 else parts[0]
    numbered = whole.numbered if len(parts) == 1 else {}
    layout = Layout(whole.tables, parts if len(parts) > 1 else (), numbered)
    return replace(whole, quarantine=_read_quarantine(folder), layout=layout)


def _scan_buckets(folder: Path, manifest: Mapping[str, Any], buckets: list[int]) -> Histories:
    numbered = {table: _scan_table(folder, table, buckets) for table in manifest["tables"]}
    tables = {table: frame.drop(_NUMBERS, strict=False) for table, frame in numbered.items()}
    return Histories(
        tables=tables,
        data_end=datetime.fromisoformat(manifest["data_end"]) if manifest["data_end"] else None,
        dropped=pl.DataFrame(
            manifest["dropped"], schema={"source_table": pl.String, "reason": pl.String, "rows": pl.Int64}
        ),
        layout=Layout(tables, numbered=numbered),
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
        raise StoreVersionError(
            f"Store {folder} has version {found}; this library reads {STORE_VERSION}. Ingest again."
        )
    missing = [key for key in MANIFEST_KEYS if key not in manifest]
    if missing:
        raise SourceError(f"The {MANIFEST} of store {folder} lacks {missing}. Ingest again.")
    return dict(manifest)


def check_is_new(folder: Path, what: str) -> None:
    """Check that a folder can be made for what it is to hold, such as a "store".

    Raises
    ------
    SourceError
        If something has that name, or nothing can have it.
    """
    try:
        folder.lstat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(
            f"The {what} {folder} cannot be written ({reason}). Choose another folder."
        ) from None
    raise SourceError(f"{folder} exists already. Name a new folder for the {what}, or remove the old one.")


@contextmanager
def make_folder(folder: Path, what: str) -> Iterator[Path]:
    """Give a folder to fill; it takes its name when it is complete, and goes if it never is.

    Raises
    ------
    SourceError
        If the folder exists already or cannot be written.
    """
    check_is_new(folder, what)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(folder)
    except OSError as error:
        raise SourceError(
            f"The {what} {folder} cannot be written ({error.strerror}). Free space or choose a folder."
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_buckets(buckets: int) -> None:
    if isinstance(buckets, bool) or not isinstance(buckets, int) or buckets < 1:
        raise ConfigError(
            f"The buckets of a store must be a whole number from 1, not {buckets!r}. Give an integer from 1."
        )


def _write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(facts, indent=2), encoding="utf-8")


class _GrowingFile:
    """A Parquet file to which rows are added in large groups."""

    def __init__(self, path: Path, rows_per_group: int) -> None:
        self._path = path
        self._rows_per_group = rows_per_group
        self._waiting: list[pl.DataFrame] = []
        self._writer: ParquetWriter | None = None

    def append(self, rows: pl.DataFrame) -> None:
        # An empty file still has columns, which the first rows tell; later empty ones would only pile up.
        if rows.is_empty() and (self._waiting or self._writer):
            return
        self._waiting.append(rows)
        if sum(frame.height for frame in self._waiting) >= self._rows_per_group:
            self._write()

    def close(self) -> None:
        self._write()
        if self._writer is not None:
            self._writer.close()

    def _write(self) -> None:
        # Polars writes whole Parquet files only; pyarrow can add to an open one.
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - a quarter of a second to import

        if not self._waiting:
            return
        table = pl.concat(self._waiting).to_arrow()
        if self._writer is None:
            # Times one after the other differ little: small as differences, and read twice as fast as zstd.
            times = {name: "DELTA_BINARY_PACKED" for name in table.column_names if name in _TIMES}
            others = [name for name in table.column_names if name not in _TIMES]
            self._writer = ParquetWriter(
                self._path, table.schema, compression="lz4", use_dictionary=others, column_encoding=times
            )
        self._writer.write_table(table)
        self._waiting = []


def _append_blocks(
    blocks: Iterable[Mapping[str, pl.DataFrame]], folder: Path, buckets: int
) -> dict[str, int]:
    """Write the blocks' rows, and count them by table."""
    rows: Counter[str] = Counter()
    numbered: Counter[int] = Counter()
    keys = list(product(s.SCHEMAS, range(buckets)))
    group = max(_LEAST_ROWS_PER_GROUP, _ROWS_WAITING // len(keys))
    with ExitStack() as growing:
        files = {
            key: growing.enter_context(closing(_GrowingFile(_name_file(folder, *key), group))) for key in keys
        }
        for block in _check_order(blocks):
            homes = _find_homes(block[s.PERSONS], buckets, numbered)
            housed = {
                table: frame.join(homes, on=s.PERSON_ID, maintain_order="left")
                for table, frame in block.items()
            }
            for table, frame in _number_contacts(housed).items():
                parts = _order(frame, table).partition_by(BUCKET, as_dict=True, include_key=False)
                for bucket in range(buckets):
                    files[table, bucket].append(parts.get((bucket,), frame.clear().drop(BUCKET)))
                rows[table] += frame.height
    return dict(rows)


def _find_homes(persons: pl.DataFrame, buckets: int, numbered: Counter[int]) -> pl.DataFrame:
    """Find each person's bucket, and give a number within it; `numbered` counts those given before."""
    bucket = find_home(buckets).alias(BUCKET)
    before = pl.col(BUCKET).replace_strict(range(buckets), [numbered[n] for n in range(buckets)])
    number = (pl.int_range(pl.len()).over(BUCKET) + before).cast(pl.Int32).alias(PERSON)
    homes = persons.select(s.PERSON_ID, bucket).with_columns(number)
    numbered.update(homes[BUCKET].to_list())
    return homes


def _check_order(blocks: Iterable[Mapping[str, pl.DataFrame]]) -> Iterator[Mapping[str, pl.DataFrame]]:
    """Pass on the blocks as long as each one's persons come after those before."""
    latest: str | None = None
    for block in blocks:
        ids = block[s.PERSONS][s.PERSON_ID]
        if not ids.is_empty():
            if latest is not None and str(ids.min()) <= latest:
                raise InputError("A block of persons is out of order. Give blocks in the order of person_id.")
            latest = str(ids.max())
        yield block
    if latest is None:
        raise InputError("There are no persons to write. Give at least one block with persons.")


def _name_file(folder: Path, table: str, bucket: int) -> Path:
    """Name a table's file in a bucket whose folder exists from now on."""
    target = _bucket_file(folder, table, bucket)
    target.parent.mkdir(exist_ok=True)
    return target


def _write_tables(histories: Histories, folder: Path, buckets: int) -> None:
    persons = histories.persons.select(s.PERSON_ID).sort(s.PERSON_ID).collect()
    numbers = _find_homes(persons, buckets, Counter()).drop(BUCKET).lazy()
    with_contacts = [table for table in _WITH_CONTACTS if table in histories.tables]
    others = [[table] for table in histories.tables if table not in with_contacts]
    for tables in [with_contacts, *others]:
        housed = {table: _house(histories.tables[table], numbers, buckets) for table in tables}
        for table, frame in _number_contacts(housed).items():
            in_order = _order(frame, table)
            for bucket in range(buckets):
                part = in_order.filter(pl.col(BUCKET) == bucket).drop(BUCKET)
                with closing(_GrowingFile(_name_file(folder, table, bucket), _ROWS_WAITING)) as file:
                    file.append(part)


def _house(rows: pl.LazyFrame, numbers: pl.LazyFrame, buckets: int) -> pl.DataFrame:
    """Add the bucket and the number of each row's person."""
    return (
        rows.with_columns(find_home(buckets).alias(BUCKET))
        .join(numbers, on=s.PERSON_ID, how="left", maintain_order="left")
        .with_columns(pl.col(PERSON).fill_null(NOBODY))
        .collect()
    )


def _order(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    """Put rows in order of person and time."""
    if table == s.PERSONS:
        return rows.sort(PERSON)
    return rows.sort(PERSON, s.STARTED_AT, *s.ORDER_OF_TIES[table], maintain_order=True)


def _number_contacts(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Number the contacts of each person from 0, alike in all tables that name one."""
    texts = pl.Categorical(pl.Categories.random())
    ids = {table: frame[s.CONTACT_ID].cast(texts) for table, frame in tables.items() if s.CONTACT_ID in frame}
    keys = {
        table: tables[table][PERSON].cast(pl.Int64).to_numpy() * _MORE_THAN_CONTACTS
        + text.to_physical().to_numpy()
        for table, text in ids.items()
    }
    contacts = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *keys.values()]))
    person = contacts // _MORE_THAN_CONTACTS
    number = (np.arange(len(contacts)) - np.searchsorted(person, person)).astype(np.int32)
    numbered = {
        table: tables[table].with_columns(pl.Series(CONTACT, number[np.searchsorted(contacts, found)]))
        for table, found in keys.items()
    }
    return {**tables, **numbered}


def find_home(buckets: int) -> pl.Expr:
    """Find the bucket in which a person (`person_id`) stands in a store of so many."""
    return hash_person(_SALT) % buckets


def list_bucket_files(folder: Path, bucket: int) -> list[Path]:
    """List the files that a bucket should have, one for each table of the store."""
    return [_bucket_file(folder, table, bucket) for table in read_manifest(folder)["tables"]]


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


def _describe(histories: Histories) -> dict[str, Any]:
    rows = {table: frame.select(pl.len()).collect().item() for table, frame in histories.tables.items()}
    return _state_manifest(rows, histories.data_end) | {
        "quarantine": histories.quarantine.summary().to_dicts(),
        "dropped": histories.dropped.to_dicts(),
    }


def _state_manifest(rows: Mapping[str, int], data_end: datetime | None) -> dict[str, Any]:
    return {
        "store_version": STORE_VERSION,
        "tables": list(rows),
        "data_end": data_end.isoformat() if data_end else None,
        "rows": dict(rows),
        "quarantine": [],
        "dropped": [],
    }
