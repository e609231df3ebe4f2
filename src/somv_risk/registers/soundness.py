"""Soundness: whether so much of the data is missing, or so old, that somebody must hear of it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import polars as pl

from somv_risk.calls.notices import give_notice
from somv_risk.errors import (
    ConfigError,
    IndexTimeError,
    QuarantineWarning,
    StaleDataWarning,
    TooManySetAsideError,
)
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.registers.span import Span

WARNED_FROM: Final = 0.01  # share of a table's rows that was set aside
A_DAY: Final = timedelta(days=1)
A_YEAR: Final = timedelta(days=365)
INDEX_TIME: Final = "index-time"


class TableCount(NamedTuple):
    """Rows of a table: set aside, kept without an attribute, and delivered."""

    set_aside: int
    kept_without: int
    delivered: int


Counts = Mapping[str, TableCount]


@dataclass(frozen=True, slots=True)
class Limit:
    """The share (0 to 1) of a table's rows that may be set aside; small tables may lose all.

    Raises
    ------
    ConfigError
        If the share is not between 0 and 1.
    """

    share: float
    least_rows: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"max_set_aside is {self.share}. Give a share from 0 to 1, such as 0.05.")


USUAL_LIMIT: Final = Limit(0.05, least_rows=100)  # of fewer rows, a few are many per cent
NO_LIMIT: Final = Limit(1)


def check_set_aside(counts: Counts, rules: pl.DataFrame, limit: Limit) -> None:
    """Check that not too much of a table was set aside.

    Parameters
    ----------
    rules
        Rows set aside by `table` and `rule`.

    Raises
    ------
    TooManySetAsideError
        If more was.
    """
    beyond = [
        table
        for table, count in counts.items()
        if count.delivered >= limit.least_rows and count.set_aside > limit.share * count.delivered
    ]
    if beyond:
        raise TooManySetAsideError(
            f"Set aside were {_describe_lost(beyond, counts, rules)}: above {limit.share:.3g} of a table. "
            "Mend the delivery, or allow more (--max-set-aside); nothing was written."
        )


def read_counts(rows: Iterable[Mapping[str, Any]]) -> dict[str, TableCount]:
    """Read counts by table as the manifest of a store has them."""
    return {row["table"]: TableCount(row["set_aside"], row["kept_without"], row["delivered"]) for row in rows}


def warn_of_rows(counts: Counts, rules: pl.DataFrame) -> None:
    """Warn, in one sentence, of the tables of which more than 1 % was set aside or lost an attribute."""
    lost = [t for t, count in counts.items() if count.set_aside > WARNED_FROM * count.delivered]
    poorer = [t for t, count in counts.items() if count.kept_without > WARNED_FROM * count.delivered]
    told = [
        *([f"set aside were {_describe_lost(lost, counts, rules)}"] if lost else []),
        *([f"kept without an attribute were {_describe_poorer(poorer, counts, rules)}"] if poorer else []),
    ]
    if told:
        sentence = "; ".join(told)
        give_notice(f"{sentence[0].upper()}{sentence[1:]}. Look at the quarantine.", QuarantineWarning)


def warn_of_quarantine(histories: Histories) -> None:
    """Warn of the tables of histories of which more than 1 % was set aside."""
    quarantine = histories.quarantine
    if quarantine.rows:
        counts = {table: _count_table(histories, table) for table in quarantine.rows}
        warn_of_rows(counts, quarantine.summary())


def _count_table(histories: Histories, table: str) -> TableCount:
    quarantine = histories.quarantine
    aside, delivered = quarantine.count_set_aside(table), quarantine.delivered.get(table)
    if delivered is None:
        delivered = aside + int(histories.table(table).select(pl.len()).collect().item())
    return TableCount(aside, quarantine.count_kept_without(table), delivered)


def _describe_lost(tables: Collection[str], counts: Counts, rules: pl.DataFrame) -> str:
    lost = rules.filter(~s.keeps_row(pl.col(s.RULE)))
    return ", ".join(_describe_table(t, counts[t].set_aside, counts[t].delivered, lost) for t in tables)


def _describe_poorer(tables: Collection[str], counts: Counts, rules: pl.DataFrame) -> str:
    poorer = rules.filter(s.keeps_row(pl.col(s.RULE)))
    return ", ".join(_describe_table(t, counts[t].kept_without, counts[t].delivered, poorer) for t in tables)


def _describe_table(table: str, rows: int, delivered: int, rules: pl.DataFrame) -> str:
    own = rules.filter(pl.col("table") == table).sort("rows", s.RULE, descending=[True, False])
    told = ", ".join(f"{rule}: {count:,}" for rule, count in own.select(s.RULE, "rows").iter_rows())
    return f"{rows:,} of {delivered:,} rows of {table} ({told})"


def check_index_time(histories: Histories, index_time: datetime, allow: Collection[str]) -> None:
    """Check that an index moment does not lie a day or more after the end of the data.

    A store knows that end, given or inferred. Other histories may be those of few persons, and their last
    contact is no end of the data: there, and where it is allowed, there is a warning.

    Raises
    ------
    IndexTimeError
        If it does in a store, and that is not allowed.
    """
    end = find_known_end(histories)
    if histories.span is not None:
        check_span(histories.span, index_time, allow)
    elif end is not None:
        check_span(Span(None, end, is_given=True, guards=False), index_time, allow)
    elif (last := find_silence(histories, index_time)) is not None:
        _warn_of_silence(last, index_time)


def check_span(span: Span, index_time: datetime, allow: Collection[str]) -> None:
    """Check that an index moment does not lie a day or more after the end of a span, if that guards.

    Raises
    ------
    IndexTimeError
        If it does, and that is not allowed; if it is, or the end does not guard, there is a warning.
    """
    if span.end is None or index_time - span.end < A_DAY:
        return
    if span.guards and INDEX_TIME not in allow:
        how = (
            ""
            if span.is_given
            else " (inferred: the last hospital contact; ingest takes another, --data-end)"
        )
        raise IndexTimeError(
            f"The index moment {index_time} lies after the end of the data, {span.end}{how}. Give an earlier "
            'one, or allow it (allow=["index-time"], --allow index-time): every score then has a warning.'
        )
    if span.is_known:
        days = (index_time - span.end).days
        give_notice(f"The data end {span.end}, {days} days before {index_time}.", StaleDataWarning)
    elif index_time - span.end >= A_YEAR:
        _warn_of_silence(span.end, index_time)


def _warn_of_silence(last: datetime, index_time: datetime) -> None:
    give_notice(
        f"The last event of these histories is of {last}, {(index_time - last).days} days before "
        f"{index_time}. Give data_end if the data go on until then.",
        StaleDataWarning,
    )


def find_known_end(histories: Histories) -> datetime | None:
    """Find the end of the data: given, or inferred by a store."""
    is_known = histories.span is not None and histories.span.is_known
    return histories.data_end or (histories.span.end if histories.span and is_known else None)


def find_silence(histories: Histories, index_time: datetime) -> datetime | None:
    """Find the last event, where nothing says when the data end and a year has gone since."""
    if find_known_end(histories) is not None:
        return None
    last = histories.span.end if histories.span else _find_last_event(histories)
    return last if last is not None and index_time - last >= A_YEAR else None


def add_span(histories: Histories) -> Histories:
    """Add the span until the last event, where nothing says when the data end: it is then looked for once."""
    if histories.span is not None or find_known_end(histories) is not None:
        return histories
    return replace(histories, span=Span(None, _find_last_event(histories), guards=False))


def _find_last_event(histories: Histories) -> datetime | None:
    events = [frame for table, frame in histories.tables.items() if table in s.EVENT_TABLES]
    starts = pl.concat([frame.select(s.STARTED_AT) for frame in events])
    last: datetime | None = starts.select(pl.col(s.STARTED_AT).max()).collect().item()
    return last
