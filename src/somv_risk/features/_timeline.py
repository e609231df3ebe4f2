"""The time line: what was known of each person before each index moment, placed by age."""

from dataclasses import dataclass

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import NO_LAGS, Lags, build_asof_view
from somv_risk.histories import Histories

START_AGE = "start_age"
END_AGE = "end_age"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Known events seen from index moments; `moments` has each `person_id, index_time` once."""

    histories: Histories
    moments: pl.LazyFrame
    lags: Lags = NO_LAGS

    def known(self, table: str) -> pl.LazyFrame:
        """Return the as-of view of one table, one row per moment and known event."""
        return build_asof_view(self.histories.table(table), self.moments, table, self.lags.of(table))


def place(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add `start_age` and `end_age`: microseconds from the event's start and end to the index.

    The index is 0 and the past is positive; `end_age` is null while the end is unknown.
    """
    index = pl.col(s.INDEX_TIME)
    return events.with_columns(
        _microseconds(index - pl.col(s.STARTED_AT)).alias(START_AGE),
        _microseconds(index - pl.col(s.ENDED_AT)).alias(END_AGE),
    )


def _microseconds(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds()
