"""Staging: a delivery's rows, converted and laid out by bucket on disk, so that each can be checked alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import polars as pl

from somv_risk.files.parquet import read_parquet
from somv_risk.files.private_files import make_inner_folder
from somv_risk.registers import schema as s
from somv_risk.registers.checks import (
    Delivered,
    Surroundings,
    check_persons,
    convert_rows,
    find_delivered_numbers,
    keep_passed,
    settle,
)
from somv_risk.registers.histories import Histories
from somv_risk.registers.identity_checks import add_found, check_identity
from somv_risk.registers.span import Span, infer_span
from somv_risk.store._delivery import Delivery
from somv_risk.store._files import BUCKET, GrowingFile
from somv_risk.store._merge import Moves
from somv_risk.store._places import find_bucket

# Ids of these tables may come with two persons, who may be in two buckets.
GIVEN_ONCE: Final = tuple(
    name for name, table in s.TABLES.items() if table.unique_by and s.PERSON_ID not in table.unique_by
)
_DELIVERED, _FAILED, _PLACE = "_delivered", "_failed", "_place"
_NEW_BUCKET: Final = f"{BUCKET}_new"
_ROWS_WAITING: Final = 400_000  # of all files together
_LEAST_ROWS_PER_GROUP: Final = 2_000


@dataclass(frozen=True, slots=True)
class Staged:
    """A folder with a delivery's rows by bucket, and what all of them tell."""

    folder: Path
    buckets: int
    tables: tuple[str, ...]
    rows: Mapping[tuple[str, int], int]
    fingerprint: str

    def is_empty(self, bucket: int) -> bool:
        """Whether no delivered row belongs into a bucket."""
        return not any(self.rows.get((table, bucket)) for table in self.tables)

    def count(self) -> dict[str, int]:
        """Count the delivered rows of each table."""
        return {
            table: sum(self.rows.get((table, bucket), 0) for bucket in range(self.buckets))
            for table in self.tables
        }

    def check(self, bucket: int, persons: pl.DataFrame, latest: datetime) -> Histories:
        """Check the rows of a bucket; `persons` are those whom the store has there."""
        needed = {*self.tables, *s.REQUIRED_TABLES}
        rows = [self._read(table, bucket) for table in s.TABLES if table in needed]
        repeats = {table: read_part(self.folder, "repeats", table, bucket) for table in GIVEN_ONCE}
        numbers = {t: pl.Series() if frame is None else frame[s.ROW] for t, frame in repeats.items()}
        return settle(rows, latest=latest, around=Surroundings(persons, numbers))

    def _read(self, table: str, bucket: int) -> Delivered:
        wide = read_part(self.folder, "rows", table, bucket)
        if wide is None:
            none = pl.DataFrame(schema={s.ROW: pl.UInt32, **s.get_columns(table)})
            return Delivered(table, none.select(s.ROW), none, none.select(s.ROW, pl.lit("").alias(s.RULE)))
        failures = wide.select(s.ROW, pl.col(_FAILED).alias(s.RULE)).drop_nulls().explode(s.RULE)
        typed = wide.select(s.ROW, *s.get_columns(table))
        return Delivered(table, wide.select(s.ROW, _DELIVERED).unnest(_DELIVERED), typed, failures)


def stage(delivery: Delivery, folder: Path, buckets: int) -> Staged:
    """Convert a delivery's rows and write them by bucket, in memory that does not grow with them.

    Raises
    ------
    InputError
        If there are no rows of persons where the table was delivered.
    IdentityError
        If a column holds civil registration numbers.
    """
    rows: Counter[tuple[str, int]] = Counter()
    digest = sha256(f"{delivery.data_end}".encode())
    for table in delivery.tables:
        digest.update(table.encode())
        found: list[pl.DataFrame] = []
        with Shelf(folder, buckets) as shelf:
            for converted in _convert(delivery, table):
                digest.update(converted.typed.drop(s.ROW).write_csv(include_header=False).encode())
                found = [add_found([*found, find_delivered_numbers(converted)])]
                rows.update(_shelve(shelf, converted, buckets))
        for numbers in found:
            check_identity(table, numbers)
        if table == s.PERSONS:
            check_persons(sum(rows[table, bucket] for bucket in range(buckets)))
        if table in GIVEN_ONCE:
            _find_repeats(folder, table, buckets)
    return Staged(folder, buckets, tuple(delivery.tables), rows, digest.hexdigest())


def find_moves(folder: Path, table: str, buckets: int, stored: Iterator[pl.DataFrame]) -> None:
    """Find the ids that the store has in another bucket than the checked rows: `gone` and `come`.

    `stored` gives the rows of the store, bucket after bucket.
    """
    key = list(s.TABLES[table].version_key)
    with Shelf(folder, buckets) as shelf:
        for bucket, frame in enumerate(stored):
            ids = frame.select(key).unique().with_columns(_state_bucket(bucket))
            shelf.put("stored", table, ids, _share(key, buckets))
    with Shelf(folder, buckets) as shelf:
        for share in range(buckets):
            old, new = (read_part(folder, what, table, share) for what in ("stored", "accepted"))
            if old is None or new is None:
                continue
            moved = old.join(new.unique(key, keep="first", maintain_order=True), on=key, suffix="_new")
            moved = moved.filter(pl.col(BUCKET) != pl.col(_NEW_BUCKET))
            shelf.put("gone", table, moved.select(*key, BUCKET), pl.col(BUCKET))
            shelf.put("come", table, moved.select(*key, pl.col(_NEW_BUCKET)), pl.col(_NEW_BUCKET))


def read_moves(folder: Path, table: str, bucket: int) -> Moves:
    """Read the ids of a table that went from a bucket to another, and that came."""
    key = list(s.TABLES[table].version_key)
    none = pl.DataFrame(schema={name: s.get_columns(table)[name] for name in key})
    found = [read_part(folder, what, table, bucket) for what in ("gone", "come")]
    return Moves(*(none if frame is None else frame.select(key) for frame in found))


def keep_checked(shelf: "Shelf", histories: Histories, tables: Iterable[str], bucket: int) -> dict[str, int]:
    """Keep a bucket's checked rows until all buckets are checked, and the ids that they accept.

    Returns the number of rows by table.
    """
    kept = {}
    for table in tables:
        rows = histories.table(table).collect()
        kept[table] = rows.height
        shelf.put("checked", table, rows, pl.lit(bucket))
        if table in GIVEN_ONCE:
            key = list(s.TABLES[table].version_key)
            ids = rows.select(key).with_columns(_state_bucket(bucket))
            shelf.put("accepted", table, ids, _share(key, shelf.buckets))
    return kept


def read_part(folder: Path, what: str, table: str, bucket: int) -> pl.DataFrame | None:
    """Read what was staged for a bucket, if anything was."""
    file = folder / what / f"{table}.{bucket}.parquet"
    return read_parquet(file) if file.exists() else None


def infer_staged_span(staged: Staged) -> Span:
    """Infer from the checked hospital contacts from when until when there are data."""
    parts = [read_part(staged.folder, "checked", s.ADMISSIONS, bucket) for bucket in range(staged.buckets)]
    none = pl.DataFrame(schema={s.STARTED_AT: pl.Datetime("us")})
    starts = pl.concat([none, *(part.select(s.STARTED_AT) for part in parts if part is not None)])
    return Span(*infer_span(starts.lazy()).collect().row(0))


def _convert(delivery: Delivery, table: str) -> Iterator[Delivered]:
    first_row = 0
    for batch in delivery.tables[table].read():
        yield convert_rows(
            table,
            batch,
            timezone=delivery.timezone,
            pseudonymise_key=delivery.pseudonymise_key,
            first_row=first_row,
        )
        first_row += batch.height


def _shelve(shelf: "Shelf", rows: Delivered, buckets: int) -> dict[tuple[str, int], int]:
    """Put rows into their buckets; those without a person, who will be set aside, into the first."""
    table = rows.table
    failed = rows.failures.group_by(s.ROW).agg(pl.col(s.RULE).alias(_FAILED))
    wide = rows.typed.with_columns(
        rows.delivered.select(pl.struct(pl.exclude(s.ROW)).alias(_DELIVERED)).to_series(),
        find_bucket(buckets).fill_null(0).cast(pl.Int64),
    ).join(failed, on=s.ROW, how="left", maintain_order="left")
    shelf.put("rows", table, wide.drop(BUCKET), wide[BUCKET])
    if table in GIVEN_ONCE:
        ids = keep_passed(rows).join(wide.select(s.ROW, BUCKET), on=s.ROW, maintain_order="left")
        key = list(s.TABLES[table].unique_by)
        ids = ids.drop_nulls(key)  # a row without an id repeats none
        shelf.put("ids", table, ids.select(*key, s.ROW, BUCKET), _share(key, buckets))
    return {(table, bucket): rows for bucket, rows in wide[BUCKET].value_counts().iter_rows()}


def _find_repeats(folder: Path, table: str, buckets: int) -> None:
    """Find the rows whose id came before, whoever's rows they are."""
    with Shelf(folder, buckets) as shelf:
        for share in range(buckets):
            ids = read_part(folder, "ids", table, share)
            if ids is not None:
                repeats = ids.filter(~pl.struct(s.TABLES[table].unique_by).is_first_distinct())
                shelf.put("repeats", table, repeats.select(s.ROW, BUCKET), pl.col(BUCKET))


def _share(key: list[str], shares: int) -> pl.Expr:
    """Share of an id, whoever's it is; it need hold for this run only."""
    return pl.struct(key).hash() % shares


def _state_bucket(bucket: int) -> pl.Expr:
    return pl.lit(bucket, pl.Int64).alias(BUCKET)


class Shelf:
    """Files by table and place that grow together."""

    def __init__(self, folder: Path, buckets: int) -> None:
        self.buckets = buckets
        self._folder = folder
        self._rows_per_group = max(_LEAST_ROWS_PER_GROUP, _ROWS_WAITING // buckets)
        self._files: dict[Path, GrowingFile] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def put(self, what: str, table: str, rows: pl.DataFrame, place: pl.Expr | pl.Series) -> None:
        """Put rows into the files of their places."""
        placed = rows.with_columns(place.cast(pl.Int64).alias(_PLACE))
        for (number,), part in placed.partition_by(_PLACE, as_dict=True, include_key=False).items():
            path = self._folder / what / f"{table}.{number}.parquet"
            if path not in self._files:
                make_inner_folder(path.parent)
                growing = GrowingFile(path, self._rows_per_group)
                self._files[path] = self._closing.enter_context(closing(growing))
            self._files[path].append(part)
