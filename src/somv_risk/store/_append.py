"""Ingesting: a delivery of any size becomes a store, or goes into one, a bucket at a time."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import polars as pl

from somv_risk.calls.notices import one_call
from somv_risk.errors import ConfigError
from somv_risk.files.private_files import make_private_folder
from somv_risk.registers.histories import NOTHING_DROPPED, Histories, Quarantine
from somv_risk.registers.soundness import NO_LIMIT, Limit, check_set_aside, read_counts, warn_of_rows
from somv_risk.registers.span import Span
from somv_risk.store._apply import NO_CHANGES, Before, Checked, apply, check_rows
from somv_risk.store._delivery import Delivery, deliver_histories
from somv_risk.store._files import lock_folder, make_folder, tell_failing_writes
from somv_risk.store._manifest import (
    PSEUDONYMS,
    read_ends,
    read_manifest,
    read_pseudonyms,
    state_manifest,
)
from somv_risk.store._quarantine import DELIVERED_AT
from somv_risk.store._staging import infer_staged_span, stage
from somv_risk.store._write import DEFAULT_BUCKETS, check_buckets

STAGING: Final = ".staging"


@dataclass(frozen=True, slots=True)
class Review:
    """What a delivery that was only checked came to.

    Attributes
    ----------
    rows
        Of each table, how many rows were `delivered`, `kept`, `kept_without` an attribute, `set_aside`, and
        `left` by the source.
    set_aside
        Rows by `table` and `rule`.
    span
        From when until when there are hospital contacts.
    """

    rows: list[dict[str, Any]]
    set_aside: pl.DataFrame
    span: Span


@one_call()
def ingest(
    delivery: Delivery,
    path: str | Path,
    *,
    buckets: int = DEFAULT_BUCKETS,
    limit: Limit = NO_LIMIT,
    group_readable: bool = False,
) -> None:
    """Check a delivery of any size and write it as a store; memory grows with the largest bucket only.

    It holds the rows that `write_store` would write of the delivery read at once, and the same are set aside.
    It appears under its name only when it is complete. Nobody else can look into it, or the group if asked.

    Parameters
    ----------
    limit
        How much of a table may be set aside; by default all.

    Raises
    ------
    SourceError, ConfigError
        As `write_store`.
    InputError
        If a table is missing or there are no persons.
    TooManySetAsideError
        If more of a table is set aside than may be; nothing is written then.
    IdentityError
        If ids look like civil registration numbers.
    """
    check_buckets(buckets)
    Histories({table: pl.LazyFrame() for table in delivery.tables})  # fails on missing tables
    made = make_folder(Path(path), "store", group_readable=group_readable)
    with made as folder, _make_staging(folder) as staging:
        staged = stage(delivery, staging, buckets)
        old = Before(folder, _state_nothing(buckets))
        checked = check_rows(old, delivery, staged)
        _review(checked, limit)
        apply(old, delivery, staged, checked, None)


def _state_nothing(buckets: int) -> dict[str, Any]:
    return state_manifest(
        [],
        buckets=buckets,
        tables=[],
        ends={},
        quarantine=Quarantine().summary(),
        dropped=NOTHING_DROPPED,
    )


def append_store(histories: Histories, path: str | Path, *, delivered_at: datetime) -> pl.DataFrame:
    """Put the rows of a later delivery into a store; see `append`."""
    return append(deliver_histories(histories), path, delivered_at=delivered_at)


@one_call()
def append(
    delivery: Delivery, path: str | Path, *, delivered_at: datetime, limit: Limit = NO_LIMIT
) -> pl.DataFrame:
    """Put a later delivery into a store, which is the old one until it is, at once, the new one.

    A row that says what the store says changes nothing, a row that says otherwise takes the place of the
    store's (the `version_key` of its table says of which), and what the delivery does not name stays. Any
    tables may be delivered.

    Parameters
    ----------
    delivered_at
        When the delivery was made: what it corrects, or tells late, was not known before, unless the row has
        a later `known_at` of its own.
    limit
        As in `ingest`.

    Returns
    -------
    Rows by `table` and `change`: added, completed, corrected, and replaced (rows of the store that went).
    Without rows if nothing has changed.

    Raises
    ------
    ConfigError
        If the delivery was made before another that is in the store, or does not say where its data end
        though the store does; or if its pseudonyms were made in another way than the store's.
    SourceError
        If the store is incomplete, cannot be written, or is being written by another run.
    InputError, IdentityError
        If a column is missing or of an unusable type, or holds civil registration numbers.
    TooManySetAsideError
        If more of a table is set aside than may be; nothing is written then.
    """
    folder = Path(path)
    with tell_failing_writes(folder, "store"), _lock_store(folder):
        old = Before(folder, read_manifest(folder))
        _check_moment(delivery, old, delivered_at)
        _check_pseudonyms(delivery, old)
        with _make_staging(folder) as staging:
            staged = stage(delivery, staging, old.manifest["buckets"])
            if any(known["fingerprint"] == staged.fingerprint for known in old.manifest["deliveries"]):
                return NO_CHANGES
            _check_order(old, delivered_at)
            checked = check_rows(old, delivery, staged)
            _review(checked, limit)
            return apply(old, delivery, staged, checked, delivered_at)


@one_call()
def check_only(
    delivery: Delivery,
    path: str | Path | None = None,
    *,
    buckets: int = DEFAULT_BUCKETS,
    delivered_at: datetime | None = None,
    limit: Limit = NO_LIMIT,
) -> Review:
    """Check a delivery as `ingest` does, or as `append` does if it has a moment, and write nothing.

    What cannot be held in memory lies in a private folder for temporary files, and goes with it.

    Parameters
    ----------
    path
        The store into which the delivery would go, with `delivered_at`.

    Raises
    ------
    SomvRiskError
        Whatever `ingest` or `append` raises of the delivery.
    """
    check_buckets(buckets)
    old = Before(Path(), _state_nothing(buckets))
    if path is not None and delivered_at is not None:
        old = Before(Path(path), read_manifest(Path(path)))
        _check_moment(delivery, old, delivered_at)
        _check_pseudonyms(delivery, old)
        _check_order(old, delivered_at)
    else:
        Histories({table: pl.LazyFrame() for table in delivery.tables})  # fails on missing tables
    with TemporaryDirectory(prefix="somv_risk.") as staging:
        staged = stage(delivery, Path(staging), old.manifest["buckets"])
        checked = check_rows(old, delivery, staged)
        _review(checked, limit)
        return Review(checked.rows, checked.summary, infer_staged_span(staged))


@contextmanager
def _lock_store(folder: Path) -> Iterator[None]:
    read_manifest(folder)
    with lock_folder(folder, "store"):
        yield


@contextmanager
def _make_staging(folder: Path) -> Iterator[Path]:
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    try:
        make_private_folder(staging)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _review(checked: Checked, limit: Limit) -> None:
    """Refuse a delivery of which too much was set aside, and warn of one of which much was."""
    counts = read_counts(checked.rows)
    check_set_aside(counts, checked.summary, limit)
    warn_of_rows(counts, checked.summary)


def _check_moment(delivery: Delivery, old: Before, delivered_at: datetime) -> None:
    ends = [end for end in (*read_ends(old.manifest).values(), delivery.data_end) if end is not None]
    if ends and delivery.data_end is None:
        raise ConfigError(
            f"Store {old.folder} says where its data end and the delivery does not. "
            "Give the delivery's data_end."
        )
    latest = max(ends, default=None)
    if latest is not None and delivered_at < latest:
        raise ConfigError(
            f"A delivery of {delivered_at} cannot hold or follow data until {latest}. "
            "Give the moment at which it was delivered."
        )


def _check_pseudonyms(delivery: Delivery, old: Before) -> None:
    """Check that a person has the same id in the store and in the delivery."""
    if PSEUDONYMS not in old.manifest:
        return
    stored, given = read_pseudonyms(old.manifest), delivery.pseudonyms
    if stored == given:
        return
    if stored is None:
        said = "has ids as they were delivered, and a key is given. Append without a key, or ingest all anew."
    elif given is None:
        said = f"was made with a key (check value {stored.key_check}), and none is given. Give the same key."
    elif stored.key_check != given.key_check:
        said = (
            f"was made with another key (check value {stored.key_check}, not {given.key_check}). "
            "Give the same key."
        )
    else:
        said = f"has pseudonyms of rule {stored.rule}, the delivery of rule {given.rule}. Ingest all anew."
    raise ConfigError(f"Store {old.folder} {said}")


def _check_order(old: Before, delivered_at: datetime) -> None:
    moments = [known[DELIVERED_AT] for known in old.manifest["deliveries"] if known[DELIVERED_AT]]
    if moments and delivered_at < datetime.fromisoformat(max(moments)):
        raise ConfigError(
            f"Store {old.folder} has a delivery of {max(moments)} already, and this one is older. "
            "Append deliveries in the order in which they were made."
        )
