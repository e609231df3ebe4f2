"""The as-of view: what was known before the index moment, and nothing else.

The rule of when a row is known stands here alone, as expressions; the index is a column or one moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.registers import schema as s

KEY = (s.PERSON_ID, s.INDEX_TIME)


@dataclass(frozen=True, slots=True)
class Lags:
    """Days from an event to its arrival in a source, by table; a table not named has none.

    A lag stands in for `known_at` where a row has none, and always delays what is learnt at the end.
    """

    days: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        unknown = set(self.days) - set(s.EVENT_TABLES)
        if unknown:
            raise ConfigError(
                f"Lags name unknown tables {sorted(unknown)}. Known are {list(s.EVENT_TABLES)}."
            )
        negative = [table for table, days in self.days.items() if days < 0]
        if negative:
            raise ConfigError(
                f"Lags of {negative} are negative. A source cannot know an event before it happens."
            )

    def of(self, table: str) -> timedelta:
        """Return the lag of one table."""
        return timedelta(days=self.days.get(table, 0.0))


NO_LAGS = Lags()
Index = pl.Expr | datetime


def compute_known_since(lag: timedelta) -> pl.Expr:
    """Compute since when a row is known: `known_at`, or `started_at + lag` where that is null."""
    return pl.col(s.KNOWN_AT).fill_null(pl.col(s.STARTED_AT) + lag)


def compute_end(table: str) -> pl.Expr:
    """Compute the moment at which an event is over, null if unknown: a point event is over when it starts."""
    ended_at = pl.col(s.ENDED_AT)
    return ended_at.fill_null(pl.col(s.STARTED_AT)) if s.TABLES[table].is_point else ended_at


def is_visible(index: Index, lag: timedelta) -> pl.Expr:
    """Whether a row started before the index and was known before it."""
    return (pl.col(s.STARTED_AT) < index) & (compute_known_since(lag) < index)


def is_end_known(index: Index, table: str, lag: timedelta) -> pl.Expr:
    """Whether the end of a visible row was known before the index, and with it what is learnt there."""
    return (compute_end(table) + lag < index).fill_null(value=False)


def build_asof_view(events: pl.LazyFrame, moments: pl.LazyFrame, table: str, lag: timedelta) -> pl.LazyFrame:
    """Build one row per index moment and event known before it, with unknown ends masked.

    `moments` has the columns `person_id, index_time`, each pair once. The rows of a moment stand
    together, in the order in which `events` has them.

    A row is kept if it started before the index and was known: `known_at < index`, or `started_at + lag
    < index` where `known_at` is null. What is learnt at the end of an event is null unless `ended_at + lag <
    index`; a point event ends when it starts.
    """
    index = pl.col(s.INDEX_TIME)
    seen = moments.join(events, on=s.PERSON_ID, how="inner", maintain_order="left_right")
    learnt = {name: pl.col(name) for name in s.list_learnt_at_end(table)} | {s.ENDED_AT: compute_end(table)}
    is_known = is_end_known(index, table, lag)
    return seen.filter(is_visible(index, lag)).with_columns(
        pl.when(is_known).then(value).alias(name) for name, value in learnt.items()
    )
