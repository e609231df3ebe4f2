"""The as-of view: what was known before the index moment, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
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
    visible = seen.filter(pl.col(s.STARTED_AT) < index, _row_is_known(index, lag))
    end_is_known = (_end(table) + lag < index).fill_null(value=False)
    learnt = {name: pl.col(name) for name in s.list_learnt_at_end(table)} | {s.ENDED_AT: _end(table)}
    return visible.with_columns(pl.when(end_is_known).then(told).alias(name) for name, told in learnt.items())


def _row_is_known(index: pl.Expr, lag: timedelta) -> pl.Expr:
    by_lag = pl.col(s.STARTED_AT) + lag < index
    return pl.when(pl.col(s.KNOWN_AT).is_null()).then(by_lag).otherwise(pl.col(s.KNOWN_AT) < index)


def _end(table: str) -> pl.Expr:
    """The moment an event is over: a point event is over when it starts."""
    ended_at = pl.col(s.ENDED_AT)
    return ended_at.fill_null(pl.col(s.STARTED_AT)) if s.TABLES[table].is_point else ended_at
