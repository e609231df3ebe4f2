"""Applying: a staged delivery is merged bucket by bucket, and then, at once, the store is another."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.calls.notices import list_notices
from somv_risk.errors import SourceError
from somv_risk.files.parquet import read_parquet, write_parquet
from somv_risk.files.private_files import make_inner_folder, make_private_file
from somv_risk.registers import schema as s
from somv_risk.registers.emptied import check_left
from somv_risk.registers.histories import Quarantine
from somv_risk.store._delivery import Delivery
from somv_risk.store._files import BUCKET
from somv_risk.store._manifest import (
    Entry,
    infer_stored_span,
    read_ends,
    read_manifest,
    read_timezone,
    state_manifest,
    write_manifest,
)
from somv_risk.store._merge import CHANGES, Merged, Moment, merge_events, merge_persons
from somv_risk.store._places import WITH_CONTACTS, number_bucket
from somv_risk.store._quarantine import (
    DELIVERED_AT,
    QUARANTINE,
    add_up,
    join_aside,
    part_quarantine,
    write_aside,
)
from somv_risk.store._scan import read_table, scan_store
from somv_risk.store._staging import (
    GIVEN_ONCE,
    Shelf,
    Staged,
    find_moves,
    keep_checked,
    read_moves,
    read_part,
)
from somv_risk.store._write import write_table

NO_CHANGES: Final = pl.DataFrame(schema={"table": pl.String, "change": pl.String, "rows": pl.Int64})


@dataclass(frozen=True, slots=True)
class Before:
    """A store as it is before a delivery; one without tables if there is none yet."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.manifest["tables"])

    @property
    def edition(self) -> int:
        """How many deliveries were put into it since it was made; -1 if it was not."""
        return int(self.manifest["edition"]) if self.tables else -1

    def read(self, table: str, bucket: int, columns: Collection[str] | None = None) -> pl.DataFrame:
        """Read a table's rows in a bucket; a table that the store does not have is empty."""
        if table in self.tables:
            return read_table(self.folder, self.manifest, table, bucket, columns)
        return pl.DataFrame(schema=s.get_columns(table))

    def find_ends(self) -> dict[str, datetime | None]:
        """Find until when the store has each table; where it does not say, until its last contact."""
        ends = read_ends(self.manifest)
        if None in ends.values():
            last = scan_store(self.folder).admissions.select(pl.col(s.STARTED_AT).max()).collect().item()
            ends = {table: end or last for table, end in ends.items()}
        return ends


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks of a delivery came to.

    Attributes
    ----------
    aside
        Files of the rows that the checks set aside, by table and bucket.
    own
        Rows that the source had set aside, by table and bucket.
    summary
        Rows set aside by `table` and `rule`.
    rows
        Of each table, how many rows were `delivered`, `kept`, `kept_without` an attribute, `set_aside`, and
        `left` by the source.
    """

    aside: Mapping[tuple[str, int], Path]
    own: Mapping[tuple[str, int], pl.DataFrame]
    summary: pl.DataFrame
    rows: list[dict[str, Any]]


def check_rows(old: Before, delivery: Delivery, staged: Staged) -> Checked:
    """Check all buckets' rows before any is merged; what is set aside lies in the staging meanwhile.

    Raises
    ------
    SourceError
        If the rows kept and set aside are not all that were delivered.
    InputError
        If more than half of a required table was set aside.
    """
    own = delivery.quarantine
    aside: dict[tuple[str, int], Path] = {}
    kept: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    poorer: Counter[str] = Counter(own.count_poorer())
    summaries = [own.summary()]
    with Shelf(staged.folder, staged.buckets) as shelf:
        for bucket in range(staged.buckets):
            if staged.is_empty(bucket):
                continue
            checked = staged.check(bucket, old.read(s.PERSONS, bucket), delivery.latest)
            kept.update(keep_checked(shelf, checked, staged.tables, bucket))
            lost.update(checked.quarantine.count_tables())
            poorer.update(checked.quarantine.count_poorer())
            summaries.append(checked.quarantine.summary())
            aside.update(_keep_aside(staged.folder, bucket, checked.quarantine))
    _check_sum(staged, kept, lost)
    _check_left(delivery, staged, aside, lost)
    lost.update(own.count_tables())
    summary = pl.concat(summaries).group_by("table", s.RULE).sum().sort("table", s.RULE)
    tables = {table: kept[table] for table in staged.tables}
    return Checked(
        aside, part_quarantine(own, staged.buckets), summary, add_up(tables, lost, poorer, delivery.dropped)
    )


def _keep_aside(folder: Path, bucket: int, found: Quarantine) -> dict[tuple[str, int], Path]:
    """Keep what the checks set aside in a bucket, a file for each table."""
    files = {}
    for table, rows in found.rows.items():
        files[table, bucket] = folder / "aside" / f"{table}.{bucket}.parquet"
        make_inner_folder(files[table, bucket].parent)
        write_parquet(rows, make_private_file(files[table, bucket]))
    return files


def _check_left(
    delivery: Delivery, staged: Staged, aside: Mapping[tuple[str, int], Path], lost: Mapping[str, int]
) -> None:
    """Check that most rows are left; those set aside are read only of a table that lost most of its rows."""
    delivered = {table: rows for table, rows in staged.count().items() if 2 * lost[table] > rows}
    frames = {
        table: join_aside(read_parquet(file) for (own, _), file in aside.items() if own == table)
        for table in delivered
    }
    rows = {table: frame.sort(s.ROW, s.RULE) for table, frame in frames.items()}
    check_left(Quarantine(rows), delivered, latest=delivery.latest, data_end=delivery.data_end)


def _check_sum(staged: Staged, kept: Mapping[str, int], aside: Mapping[str, int]) -> None:
    for table in staged.tables:
        delivered, found = staged.count()[table], kept[table] + aside[table]
        if delivered != found:
            raise SourceError(
                f"Table {table} was delivered with {delivered:,} rows, and {found:,} were kept or set aside. "
                "Report this with the form of the delivery; nothing was written."
            )


def apply(
    old: Before, delivery: Delivery, staged: Staged, checked: Checked, delivered_at: datetime | None
) -> pl.DataFrame:
    """Merge a checked delivery bucket by bucket, and then, at once, let the manifest tell of it.

    Without a moment of delivery it is the first.
    """
    for table in GIVEN_ONCE if old.tables else ():
        if table in staged.tables:
            key = s.TABLES[table].version_key
            stored = (old.read(table, bucket, key) for bucket in range(staged.buckets))
            find_moves(staged.folder, table, staged.buckets, stored)
    entries = {(entry["table"], entry[BUCKET]): entry for entry in old.manifest["files"]}
    changes, ends = [NO_CHANGES], old.find_ends()
    moments = {table: Moment(delivered_at, ends.get(table)) for table in staged.tables}
    try:
        for bucket in range(staged.buckets):
            merged = _merge_bucket(old, staged, bucket, moments)
            entries.update(_write_bucket(old, merged, bucket))
            changes += [_count(table, merged[table]) for table in merged]
        told = pl.concat(changes).group_by("table", "change", maintain_order=True).sum()
        if _is_news(old, delivery, told, checked):
            write_manifest(old.folder, _state(old, delivery, staged, delivered_at, entries, told, checked))
    finally:
        _sweep(old)
    return told


def _merge_bucket(
    old: Before, staged: Staged, bucket: int, moments: Mapping[str, Moment]
) -> dict[str, Merged]:
    """Merge the delivered tables of a bucket, but for those of which nothing can have changed."""
    merged = {}
    persons = old.read(s.PERSONS, bucket)
    for table in staged.tables:
        checked = read_part(staged.folder, "checked", table, bucket)
        moves = read_moves(staged.folder, table, bucket)
        if checked is None and moves.gone.is_empty() and table in old.tables:
            continue
        stored = persons if table == s.PERSONS else old.read(table, bucket)
        new = stored.clear() if checked is None else checked
        if table == s.PERSONS:
            merged[table] = merge_persons(stored, new)
        else:
            seen = persons if table in old.tables else persons.clear()
            merged[table] = merge_events(table, stored, new, moment=moments[table], seen=seen, moves=moves)
    return merged


def _write_bucket(old: Before, merged: Mapping[str, Merged], bucket: int) -> dict[tuple[str, int], Entry]:
    """Write the files of a bucket that become others."""
    changed = {table for table, rows in merged.items() if rows.is_changed or table not in old.tables}
    if not changed:
        return {}
    held = [table for table in s.TABLES if table in old.tables or table in merged]
    if s.PERSONS in changed:
        changed = set(held)  # the persons' numbers may have moved
    if changed & set(WITH_CONTACTS):
        changed |= {table for table in WITH_CONTACTS if table in held}
    needed = {table: merged[table].rows if table in merged else old.read(table, bucket) for table in held}
    numbered = number_bucket({table: needed[table] for table in held if table in {*changed, s.PERSONS}})
    return {
        (table, bucket): write_table(old.folder, table, bucket, numbered[table], old.edition + 1)
        for table in held
        if table in changed
    }


def _count(table: str, merged: Merged) -> pl.DataFrame:
    rows = [{"table": table, "change": change, "rows": merged.counts[change]} for change in CHANGES]
    return pl.DataFrame(rows, schema=NO_CHANGES.schema).filter(pl.col("rows") > 0)


def _is_news(old: Before, delivery: Delivery, told: pl.DataFrame, checked: Checked) -> bool:
    """Whether the store is another one after the delivery."""
    ends_later = _find_later(old, delivery) != read_ends(old.manifest)
    has_new_tables = not set(delivery.tables) <= set(old.tables)
    return bool(
        told.height or checked.aside or checked.own or delivery.dropped.height or ends_later or has_new_tables
    )


def _find_later(old: Before, delivery: Delivery) -> dict[str, datetime | None]:
    """Find until when each table is delivered from now on."""
    ends = read_ends(old.manifest)
    for table in delivery.tables:
        told = [end for end in (ends.get(table), delivery.data_end) if end is not None]
        ends[table] = max(told, default=None)
    return ends


def _state(
    old: Before,
    delivery: Delivery,
    staged: Staged,
    delivered_at: datetime | None,
    entries: Mapping[tuple[str, int], Entry],
    told: pl.DataFrame,
    checked: Checked,
) -> dict[str, Any]:
    """Write what was set aside, and say what the store holds from now on."""
    aside = _write_quarantine(old, checked, delivered_at)
    record = {
        DELIVERED_AT: None if delivered_at is None else delivered_at.isoformat(),
        "fingerprint": staged.fingerprint,
        "changes": told.to_dicts(),
        "rows": checked.rows,
    }
    files = [
        entries[table, bucket]
        for table in s.TABLES
        for bucket in range(staged.buckets)
        if (table, bucket) in entries
    ]
    return state_manifest(
        files,
        buckets=staged.buckets,
        tables=[table for table in s.TABLES if table in {*old.tables, *staged.tables}],
        ends=_find_later(old, delivery),
        quarantine=_sum_up(old.manifest["quarantine"], checked.summary),
        dropped=_sum_up(old.manifest["dropped"], delivery.dropped),
        delivered=_add_delivered(old.manifest.get("delivered", ()), checked.rows),
        span=infer_stored_span(old.folder, files),
        warnings=_list_warnings(old.manifest.get("warnings", ())),
        quarantine_files=[*old.manifest["quarantine_files"], *aside],
        deliveries=[*old.manifest["deliveries"], record],
        edition=old.edition + 1,
        timezone=read_timezone(old.manifest) if old.tables else delivery.timezone,
        pseudonyms=delivery.pseudonyms,
    )


def _write_quarantine(old: Before, checked: Checked, delivered_at: datetime | None) -> list[Entry]:
    """Write what was set aside into the store; rows of a later delivery say when it was made."""
    make_inner_folder(old.folder / QUARANTINE)
    entries = []
    for table, bucket in sorted({*checked.own, *checked.aside}, key=_place):
        frames = [checked.own[table, bucket]] if (table, bucket) in checked.own else []
        if (table, bucket) in checked.aside:
            frames.append(read_parquet(checked.aside[table, bucket]))
        rows = join_aside(frames)
        if delivered_at is not None:
            rows = rows.with_columns(pl.lit(delivered_at, pl.Datetime("us")).alias(DELIVERED_AT))
        entries.append(write_aside(old.folder, table, bucket, rows, old.edition + 1))
    return entries


def _place(key: tuple[str, int]) -> tuple[int, int]:
    table, bucket = key
    return list(s.TABLES).index(table), bucket


def _add_delivered(
    before: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Add counts of what became of the rows of each table."""
    sums: dict[str, Counter[str]] = {}
    for row in (*before, *now):
        counts = {name: count for name, count in row.items() if name != "table"}
        sums.setdefault(row["table"], Counter()).update(counts)
    return [{"table": table, **sums[table]} for table in s.TABLES if table in sums]


def _list_warnings(before: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """List what was warned of when the store was made, and in this delivery."""
    now = list_notices()
    return [*(dict(one) for one in before if dict(one) not in now), *now]


def _sum_up(before: list[dict[str, Any]], now: pl.DataFrame) -> pl.DataFrame:
    """Add counts of rows that have the same names."""
    whole = pl.concat([pl.DataFrame(before, schema=now.schema), now])
    return whole.group_by(pl.exclude("rows"), maintain_order=True).agg(pl.col("rows").sum())


def _sweep(old: Before) -> None:
    """Remove files of which neither the store before nor the one now knows."""
    if old.edition < 0:
        return
    now = read_manifest(old.folder)
    if now["edition"] == old.edition and not any(old.folder.rglob(f"*.{old.edition + 1}.parquet")):
        return
    lists = [manifest[key] for manifest in (old.manifest, now) for key in ("files", "quarantine_files")]
    known = {entry["file"] for entries in lists for entry in entries}
    for file in [*old.folder.glob("*/*.parquet"), *old.folder.glob(f"{QUARANTINE}/*/*.parquet")]:
        if file.relative_to(old.folder).as_posix() not in known:
            file.unlink(missing_ok=True)
