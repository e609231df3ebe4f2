"""Merging: the rows of a store and of a later delivery, and since when each row was known.

A delivery says how things are now. What it says again changes nothing; what it says otherwise takes the place
of what was said before; what it does not name stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from somv_risk.registers import schema as s

UNCHANGED, ADDED, COMPLETED, CORRECTED, REPLACED = "unchanged", "added", "completed", "corrected", "replaced"
CHANGES: Final = (ADDED, COMPLETED, CORRECTED, REPLACED)  # the last: rows of the store that went
_OLD, _NEW, _COPY = "_old", "_new", "_copy"
_HAD, _BEFORE, _OPEN, _OPEN_SINCE, _SEEN = "_had", "_before", "_open", "_open_since", "_seen"
_IS_COMPLETED, _IS_CORRECTED = pl.col(COMPLETED), pl.col(CORRECTED)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a delivery was made (None: it is the first), and until when the store has had the table."""

    delivered_at: datetime | None
    store_end: datetime | None


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows of one table after a delivery, and how many changed in which way."""

    rows: pl.DataFrame
    counts: Mapping[str, int]

    @property
    def is_changed(self) -> bool:
        """Whether anything is other than before."""
        return any(self.counts[change] for change in CHANGES)


@dataclass(frozen=True, slots=True)
class Moves:
    """Ids that changed persons between buckets: a table's keys gone from this bucket or come to it."""

    gone: pl.DataFrame
    come: pl.DataFrame


def merge_persons(old: pl.DataFrame, new: pl.DataFrame) -> Merged:
    """Merge the persons of a bucket: the delivered row is the person's row from now on."""
    again = new.join(old, on=old.columns, how="semi", nulls_equal=True)
    other = new.join(again, on=s.PERSON_ID, how="anti")
    replaced = old.join(other, on=s.PERSON_ID, how="semi")
    kept = old.join(other, on=s.PERSON_ID, how="anti", maintain_order="left")
    counts = {
        UNCHANGED: again.height,
        ADDED: other.height - replaced.height,
        COMPLETED: 0,
        CORRECTED: replaced.height,
        REPLACED: replaced.height,
    }
    return Merged(pl.concat([kept, other.select(old.columns)]), counts)


def merge_events(
    table: str, old: pl.DataFrame, new: pl.DataFrame, *, moment: Moment, seen: pl.DataFrame, moves: Moves
) -> Merged:
    """Merge the events of a bucket.

    Parameters
    ----------
    old, new
        Rows of the store and of the delivery.
    seen
        Persons (`person_id`) of whom the store could have had rows of this table.
    moves
        Ids that the delivery gives to a person of another bucket than the store does.
    """
    if old.is_empty() and seen.is_empty() and moves.come.is_empty():
        return Merged(new.select(old.columns), dict.fromkeys((UNCHANGED, *CHANGES), 0) | {ADDED: new.height})
    key = list(s.TABLES[table].version_key)
    stored, delivered = old.with_row_index(_OLD), new.select(old.columns).with_row_index(_NEW)
    again = _match(stored, delivered)
    other = delivered.join(again, on=_NEW, how="anti", maintain_order="left")
    named = pl.concat([delivered.select(key), moves.gone.select(key)])
    rest = stored.join(again, on=_OLD, how="anti")
    replaced = rest.join(named, on=key, how="semi", nulls_equal=True)
    kept = stored.join(replaced, on=_OLD, how="anti", maintain_order="left")
    told = _judge(table, _look_back(table, other, stored, replaced, seen, moves), moment)
    dated = told.with_columns(_date(table, moment).alias(s.KNOWN_AT))
    counts = {
        UNCHANGED: again.height,
        ADDED: told.filter(~_IS_COMPLETED, ~_IS_CORRECTED).height,
        COMPLETED: told.filter(_IS_COMPLETED).height,
        CORRECTED: told.filter(_IS_CORRECTED).height,
        REPLACED: replaced.height,
    }
    return Merged(pl.concat([kept.select(old.columns), dated.select(old.columns)]), counts)


def _match(stored: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
    """Pair rows that say the same, whatever they say of when it became known; each is in one pair."""
    content = [name for name in stored.columns if name not in (_OLD, s.KNOWN_AT)]
    copy = pl.int_range(pl.len()).over(content).alias(_COPY)
    one, other = delivered.with_columns(copy), stored.with_columns(copy)
    return one.join(other, on=[*content, _COPY], nulls_equal=True).select(_OLD, _NEW)


def _look_back(
    table: str,
    other: pl.DataFrame,
    stored: pl.DataFrame,
    replaced: pl.DataFrame,
    seen: pl.DataFrame,
    moves: Moves,
) -> pl.DataFrame:
    """Add to rows that say something new what the store said before."""
    key = list(s.TABLES[table].version_key)
    groups = stored.group_by(key).agg(pl.col(s.KNOWN_AT).max().alias(_BEFORE))
    if moves.come.height:
        groups = pl.concat([groups, moves.come.select(key)], how="diagonal").unique(key, keep="first")
    visible = [n for n in stored.columns if n not in (_OLD, s.KNOWN_AT, *s.list_learnt_at_end(table))]
    is_open = pl.col(s.ENDED_AT).is_null() & (not s.TABLES[table].is_point)
    ongoing = replaced.filter(is_open).unique(visible, keep="first", maintain_order=True)
    flag = pl.lit(value=True)
    return (
        other.join(groups.with_columns(flag.alias(_HAD)), on=key, how="left", nulls_equal=True)
        .join(
            ongoing.select(*visible, pl.col(s.KNOWN_AT).alias(_OPEN_SINCE), flag.alias(_OPEN)),
            on=visible,
            how="left",
            nulls_equal=True,
        )
        .join(seen.select(s.PERSON_ID).unique().with_columns(flag.alias(_SEEN)), on=s.PERSON_ID, how="left")
        .with_columns(pl.col(_HAD, _OPEN, _SEEN).fill_null(value=False))
        .sort(_NEW)
    )


def _judge(table: str, told: pl.DataFrame, moment: Moment) -> pl.DataFrame:
    """Tell which rows complete one that no score has seen otherwise, and which correct one."""
    ended_before = _lies_before(pl.col(s.ENDED_AT), moment.store_end)
    completes = pl.col(_OPEN) & ~ended_before
    is_report = s.TABLES[table].is_reported_at_end
    corrects = pl.col(_HAD) & ~completes & (ended_before if is_report else pl.lit(value=True))
    return told.with_columns(completes.alias(COMPLETED), corrects.alias(CORRECTED))


def _date(table: str, moment: Moment) -> pl.Expr:
    """Since when a row was known: it says so itself, or it cannot have been before the delivery."""
    own, before, now = pl.col(s.KNOWN_AT), pl.col(_BEFORE), pl.lit(moment.delivered_at, pl.Datetime("us"))
    has_own_later = own.is_not_null() & (before.is_null() | (own > before))
    reported = pl.col(s.ENDED_AT if s.TABLES[table].is_reported_at_end else s.STARTED_AT)
    is_late = pl.col(_SEEN) & _lies_before(reported, moment.store_end)
    return (
        pl.when(_IS_COMPLETED)
        .then(pl.max_horizontal(own, _OPEN_SINCE))
        .when(_IS_CORRECTED & has_own_later)
        .then(own)
        .when(_IS_CORRECTED)
        .then(pl.max_horizontal(now, before))
        .when(own.is_null() & is_late)
        .then(now)
        .otherwise(own)
    )


def _lies_before(moment: pl.Expr, end: datetime | None) -> pl.Expr:
    return (moment < pl.lit(end, pl.Datetime("us"))).fill_null(value=False)
