"""Verifying: whether a store still holds what its manifest says, and every row keeps the rules."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.errors import IdentityError, InputError
from somv_risk.files.parquet import DAMAGE, read_parquet, scan_parquet
from somv_risk.registers import schema as s
from somv_risk.registers.histories import CONTACT, NOBODY, PERSON, Histories, Quarantine
from somv_risk.store._files import BUCKET, hash_file
from somv_risk.store._manifest import MANIFEST, Entry, read_manifest
from somv_risk.store._places import NUMBERS, find_bucket, list_order
from somv_risk.store._quarantine import find_home

FINDINGS: Final = (
    "file_missing",  # a file that the manifest names is not there
    "file_unreadable",  # it is there and is no Parquet file, or not to its end
    "file_altered",  # its bytes are not those that were written
    "columns_differ",  # it has other columns or types than the table
    "row_count_differs",  # it has another number of rows than the manifest says
    "person_twice",  # a person has two rows in the persons of one bucket
    "person_in_two_buckets",  # rows of a person lie in the bucket of the person's hash and in another
    "person_in_wrong_bucket",  # rows of a person lie in another bucket only
    "not_in_order",  # rows do not lie by person and time
    "numbers_differ",  # the number beside a person's id is not that of the person
    "rule_broken",  # rows break a rule of the table
    "rows_do_not_add_up",  # rows kept, set aside and left are not those delivered or those there
)
_SCHEMA: Final = {"file": pl.String, "finding": pl.String, "rows": pl.Int64}


@dataclass(frozen=True, slots=True)
class _Finding:
    """Something that is not as it should be, and of how many rows."""

    file: str
    finding: str
    rows: int | None = None


def verify_store(path: str | Path) -> pl.DataFrame:
    """Hold every file of a store against its manifest and every row against the rules, a bucket at a time.

    Returns
    -------
    One row per `file` and `finding` (a name of `FINDINGS`), with the number of `rows` it is true of, null
    where it is true of the file. Without rows if the store is sound.

    Raises
    ------
    SourceError
        If the manifest is missing, of another version, or says too little.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    found = [
        *_verify_buckets(folder, manifest),
        *_verify_quarantine(folder, manifest),
        *_verify_counts(manifest),
    ]
    rows = [{"file": one.file, "finding": one.finding, "rows": one.rows} for one in found]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _verify_buckets(folder: Path, manifest: Mapping[str, Any]) -> Iterator[_Finding]:
    named = {(entry["table"], entry[BUCKET]): entry for entry in manifest["files"]}
    strangers: list[tuple[Entry, pl.DataFrame]] = []
    for bucket in range(manifest["buckets"]):
        tables: dict[str, pl.DataFrame] = {}
        for table in manifest["tables"]:
            if (table, bucket) not in named:
                yield _Finding(f"{BUCKET}={bucket:02d}/{table}.parquet", "file_missing")
                continue
            entry = named[table, bucket]
            rows, found = _verify_file(folder, entry)
            yield from found
            if rows is not None:
                tables[table] = rows
                strangers += _find_strangers(entry, rows, manifest["buckets"])
        entries = {table: named[table, bucket] for table in tables}
        yield from _verify_numbers(tables, entries)
        yield from _verify_rules(tables, entries)
    yield from _place_strangers(folder, strangers, named)


def _verify_file(folder: Path, entry: Entry) -> tuple[pl.DataFrame | None, list[_Finding]]:
    """Read a file of a table, and tell what is wrong with its bytes, columns, rows' number or their order."""
    rows, found = _verify_bytes(folder, entry)
    if rows is None:
        return None, found
    name, table = entry["file"], entry["table"]
    if not _has_columns(rows, table):
        return None, [*found, _Finding(name, "columns_differ")]
    out_of_order = _count_out_of_order(rows, table)
    return rows, [*found, *([_Finding(name, "not_in_order", out_of_order)] if out_of_order else [])]


def _has_columns(rows: pl.DataFrame, table: str) -> bool:
    """Whether a file has the columns of its table, and those that it must have among them."""
    held, known = rows.drop(NUMBERS, strict=False).schema.items(), s.get_columns(table).items()
    return set(held) <= set(known) and {PERSON, *s.get_required_columns(table)} <= set(rows.columns)


def _verify_bytes(folder: Path, entry: Entry) -> tuple[pl.DataFrame | None, list[_Finding]]:
    """Read a file, and tell what is wrong with its bytes or the number of its rows."""
    name, file = entry["file"], folder / entry["file"]
    if not file.is_file():
        return None, [_Finding(name, "file_missing")]
    try:
        is_altered = hash_file(file) != entry["sha256"]
        found = [_Finding(name, "file_altered")] if is_altered else []
        rows = scan_parquet(file).collect()
    except DAMAGE:
        return None, [_Finding(name, "file_unreadable")]
    if rows.height != entry["rows"]:
        found.append(_Finding(name, "row_count_differs", abs(rows.height - entry["rows"])))
    return rows, found


def _count_out_of_order(rows: pl.DataFrame, table: str) -> int:
    """Count the rows that another one should have stood in place of."""
    order = list_order(table)
    key = rows.select(order)
    in_order = key.sort(order, maintain_order=True)
    return int(key.select(pl.struct(pl.all()).ne_missing(in_order.to_struct())).sum().item())


def _find_strangers(entry: Entry, rows: pl.DataFrame, buckets: int) -> list[tuple[Entry, pl.DataFrame]]:
    """Find the rows whose person belongs into another bucket."""
    homes = rows.select(s.PERSON_ID, find_bucket(buckets)).filter(pl.col(BUCKET) != entry[BUCKET])
    return [(entry, homes)] if homes.height else []


def _place_strangers(
    folder: Path, strangers: list[tuple[Entry, pl.DataFrame]], named: Mapping[tuple[str, int], Entry]
) -> Iterator[_Finding]:
    """Tell whether persons in a wrong bucket are in the right one too."""
    for entry, rows in strangers:
        both = 0
        for (bucket,), part in rows.partition_by(BUCKET, as_dict=True).items():
            home = named.get((s.PERSONS, bucket))
            if home is None or not (folder / home["file"]).is_file():
                continue
            ids = read_parquet(folder / home["file"], [s.PERSON_ID])
            both += part.join(ids, on=s.PERSON_ID, how="semi").height
        if both:
            yield _Finding(entry["file"], "person_in_two_buckets", both)
        if rows.height > both:
            yield _Finding(entry["file"], "person_in_wrong_bucket", rows.height - both)


def _verify_numbers(tables: Mapping[str, pl.DataFrame], entries: Mapping[str, Entry]) -> Iterator[_Finding]:
    """Hold the numbers beside the ids against the persons and contacts of the bucket."""
    if s.PERSONS not in tables:
        return
    persons = tables[s.PERSONS]
    repeated = persons.height - persons[s.PERSON_ID].n_unique()
    if repeated:
        yield _Finding(entries[s.PERSONS]["file"], "person_twice", repeated)
        return
    expected = persons.select(s.PERSON_ID).sort(s.PERSON_ID).with_row_index("_expected")
    for table, rows in tables.items():
        numbers = rows.select(s.PERSON_ID, PERSON).join(expected, on=s.PERSON_ID, how="left")
        is_other = pl.col(PERSON) != pl.col("_expected").cast(pl.Int32).fill_null(NOBODY)
        wrong = numbers.filter(is_other.fill_null(value=True)).height
        if wrong:
            yield _Finding(entries[table]["file"], "numbers_differ", wrong)
    yield from _verify_contacts(tables, entries)


def _verify_contacts(tables: Mapping[str, pl.DataFrame], entries: Mapping[str, Entry]) -> Iterator[_Finding]:
    """Check that a person's contact has one number, and a number one contact, in all tables."""
    told = {table: rows for table, rows in tables.items() if CONTACT in rows.columns}
    if not told:
        return
    pairs = pl.concat([rows.select(PERSON, s.CONTACT_ID, CONTACT) for rows in told.values()]).unique()
    others = pairs.filter((pl.len().over(PERSON, s.CONTACT_ID) > 1) | (pl.len().over(PERSON, CONTACT) > 1))
    for table, rows in told.items():
        wrong = rows.join(others, on=[PERSON, s.CONTACT_ID, CONTACT], how="semi").height
        if wrong:
            yield _Finding(entries[table]["file"], "numbers_differ", wrong)


def _verify_rules(tables: Mapping[str, pl.DataFrame], entries: Mapping[str, Entry]) -> Iterator[_Finding]:
    """Hold the rows of a bucket against the rules of their tables."""
    if not set(s.REQUIRED_TABLES) <= set(tables) or tables[s.PERSONS].is_empty():
        return
    frames = {table: rows.drop(NUMBERS, strict=False).lazy() for table, rows in tables.items()}
    try:
        broken = Histories(frames).check().quarantine
    except (InputError, IdentityError):
        yield _Finding(entries[s.PERSONS]["file"], "rule_broken")
        return
    for table, rows in broken.rows.items():
        yield _Finding(entries[table]["file"], "rule_broken", rows[s.ROW].n_unique())


def _verify_quarantine(folder: Path, manifest: Mapping[str, Any]) -> Iterator[_Finding]:
    """Hold the files of rows set aside against the manifest, and their rows against its count."""
    there: Counter[str] = Counter()
    lost = set()
    for entry in manifest["quarantine_files"]:
        rows, found = _verify_bytes(folder, entry)
        yield from found
        if rows is None:
            lost.add(entry["table"])
        elif BUCKET in entry:
            there.update(Quarantine({entry["table"]: rows}).count_tables())
            if homes := _count_misplaced(rows, entry, manifest["buckets"]):
                yield _Finding(entry["file"], "person_in_wrong_bucket", homes)
    for table, counted in _count_dated(manifest).items():
        if counted != there[table] and table not in lost:
            yield _Finding(MANIFEST, "rows_do_not_add_up", abs(counted - there[table]))


def _count_misplaced(rows: pl.DataFrame, entry: Entry, buckets: int) -> int:
    """Count the rows set aside whose person belongs into another bucket."""
    return int((find_home(rows, buckets) != entry[BUCKET]).sum())


def _count_dated(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Count the rows set aside as the manifest says; an earlier version of the library did not count."""
    return {row["table"]: row["set_aside"] for row in manifest.get("delivered", ())}


def _verify_counts(manifest: Mapping[str, Any]) -> Iterator[_Finding]:
    """Check that what was kept, set aside and left is what was delivered, of a first one what is there."""
    is_first = manifest["edition"] == 0
    for row in manifest.get("delivered", ()):
        missing = row["delivered"] - row["kept"] - row["set_aside"] - row["left"]
        other = row["kept"] - manifest["rows"].get(row["table"], 0) if is_first else 0
        if missing or other:
            yield _Finding(MANIFEST, "rows_do_not_add_up", max(abs(missing), abs(other)))
