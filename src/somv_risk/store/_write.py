"""Writing: histories held in memory, or made block by block, become a store."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.errors import ConfigError, InputError
from somv_risk.files.private_files import make_inner_folder
from somv_risk.registers import schema as s
from somv_risk.registers.histories import NOBODY, NOTHING_DROPPED, PERSON, Histories, Quarantine
from somv_risk.registers.span import Span
from somv_risk.store._files import BUCKET, GrowingFile, make_folder, name_file
from somv_risk.store._manifest import (
    Entry,
    describe_file,
    infer_stored_span,
    state_manifest,
    write_manifest,
)
from somv_risk.store._places import (
    WITH_CONTACTS,
    find_bucket,
    find_homes,
    number_contacts,
    order_rows,
)
from somv_risk.store._quarantine import add_up, write_quarantine

DEFAULT_BUCKETS: Final = 8
_ROWS_WAITING: Final = 8_000_000  # of all files together
_LEAST_ROWS_PER_GROUP: Final = 10_000


def write_store(
    histories: Histories,
    path: str | Path,
    *,
    buckets: int = DEFAULT_BUCKETS,
    group_readable: bool = False,
    span: Span | None = None,
) -> None:
    """Write histories as a store: `bucket=07/admissions.parquet`, sorted by person and time.

    The store appears under its name only when it is complete. What was set aside goes along in
    `quarantine/`, so that nothing is lost. Nobody else can look into it, or the group if asked.

    Parameters
    ----------
    span
        From when until when there are data; by default what the hospital contacts say, which then guards.

    Raises
    ------
    SourceError
        If the folder exists already, cannot be written, or is being written by another run.
    ConfigError
        If the number of buckets is not a whole number from 1.
    """
    check_buckets(buckets)
    with make_folder(Path(path), "store", group_readable=group_readable) as folder:
        files = _write_tables(histories, folder, buckets)
        manifest = state_manifest(
            files,
            buckets=buckets,
            tables=histories.tables,
            ends=dict.fromkeys(histories.tables, histories.data_end),
            quarantine=histories.quarantine.summary(),
            dropped=histories.dropped,
            delivered=count_written(files, histories.quarantine, histories.dropped),
            span=span or infer_stored_span(folder, files),
            quarantine_files=write_quarantine(histories.quarantine, folder, buckets),
            timezone=histories.timezone,
            pseudonyms=histories.pseudonyms,
        )
        write_manifest(folder, manifest)


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
    check_buckets(buckets)
    with make_folder(Path(path), "store") as folder:
        rows = _append_blocks(blocks, folder, buckets)
        tables = [table for table in s.TABLES if any(table == written for written, _ in rows)]
        files = [describe_file(folder, *key, rows[key]) for key in product(tables, range(buckets))]
        manifest = state_manifest(
            files,
            buckets=buckets,
            tables=tables,
            ends=dict.fromkeys(tables, data_end),
            quarantine=Quarantine().summary(),
            dropped=NOTHING_DROPPED,
            delivered=count_written(files, Quarantine(), NOTHING_DROPPED),
            span=infer_stored_span(folder, files),
        )
        write_manifest(folder, manifest)


def count_written(
    files: Iterable[Entry], quarantine: Quarantine, dropped: pl.DataFrame
) -> list[dict[str, Any]]:
    """Count of each table how many rows were delivered, as far as the rows written and set aside say."""
    kept: Counter[str] = Counter()
    for entry in files:
        kept[entry["table"]] += entry["rows"]
    return add_up(kept, quarantine.count_tables(), quarantine.count_poorer(), dropped)


def check_buckets(buckets: int) -> None:
    """Check a number of buckets.

    Raises
    ------
    ConfigError
        If it is not a whole number from 1.
    """
    if isinstance(buckets, bool) or not isinstance(buckets, int) or buckets < 1:
        raise ConfigError(
            f"The buckets of a store must be a whole number from 1, not {buckets!r}. Give an integer from 1."
        )


def write_table(folder: Path, table: str, bucket: int, rows: pl.DataFrame, delivery: int = 0) -> Entry:
    """Write a table's rows in one bucket, and say what was written."""
    file = place_file(folder, table, bucket, delivery)
    with closing(GrowingFile(file, _ROWS_WAITING)) as growing:
        growing.append(rows)
    return describe_file(folder, table, bucket, rows.height, delivery)


def place_file(folder: Path, table: str, bucket: int, delivery: int = 0) -> Path:
    """Give the path of a table's file in a bucket whose folder exists from now on."""
    file = folder / name_file(table, bucket, delivery)
    make_inner_folder(file.parent)
    return file


def _append_blocks(
    blocks: Iterable[Mapping[str, pl.DataFrame]], folder: Path, buckets: int
) -> Counter[tuple[str, int]]:
    """Write the blocks' rows, and count them by table and bucket."""
    rows: Counter[tuple[str, int]] = Counter()
    numbered: Counter[int] = Counter()
    files: dict[tuple[str, int], GrowingFile] = {}
    with ExitStack() as growing:
        for block in _check_order(blocks):
            group = max(_LEAST_ROWS_PER_GROUP, _ROWS_WAITING // (len(block) * buckets))
            for key in set(product(block, range(buckets))) - set(files):
                files[key] = growing.enter_context(closing(GrowingFile(place_file(folder, *key), group)))
            homes = find_homes(block[s.PERSONS], buckets, numbered)
            housed = {
                table: frame.join(homes, on=s.PERSON_ID, maintain_order="left")
                for table, frame in block.items()
            }
            for table, frame in number_contacts(housed).items():
                parts = order_rows(frame, table).partition_by(BUCKET, as_dict=True, include_key=False)
                for bucket in range(buckets):
                    own = parts.get((bucket,), frame.clear().drop(BUCKET))
                    files[table, bucket].append(own)
                    rows[table, bucket] += own.height
    return rows


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


def _write_tables(histories: Histories, folder: Path, buckets: int) -> list[Entry]:
    persons = histories.persons.select(s.PERSON_ID).sort(s.PERSON_ID).collect()
    numbers = find_homes(persons, buckets, Counter()).drop(BUCKET).lazy()
    with_contacts = [table for table in WITH_CONTACTS if table in histories.tables]
    others = [[table] for table in histories.tables if table not in with_contacts]
    entries = {}
    for tables in [with_contacts, *others]:
        housed = {table: _house(histories.tables[table], numbers, buckets) for table in tables}
        for table, frame in number_contacts(housed).items():
            in_order = order_rows(frame, table)
            for bucket in range(buckets):
                part = in_order.filter(pl.col(BUCKET) == bucket).drop(BUCKET)
                entries[table, bucket] = write_table(folder, table, bucket, part)
    return [entries[key] for key in product(histories.tables, range(buckets))]


def _house(rows: pl.LazyFrame, numbers: pl.LazyFrame, buckets: int) -> pl.DataFrame:
    """Add the bucket and the number of each row's person."""
    return (
        rows.with_columns(find_bucket(buckets))
        .join(numbers, on=s.PERSON_ID, how="left", maintain_order="left")
        .with_columns(pl.col(PERSON).fill_null(NOBODY))
        .collect()
    )
