"""The time line: what was known of each person before each index moment, placed by age."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY, Lags, build_asof_view
from somv_risk.features._rows import PERSON
from somv_risk.stays import UNTIL, build_stays

MOMENT = "moment"
START_AGE = "start_age"
END_AGE = "end_age"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Known events seen from index moments.

    `moments` has one row per person and index moment: `moment` (its number from 0, in this order),
    `person` (the person's number), `person_id`, `index_time`. `known` holds the as-of view of each event
    table, the rows of a moment beside each other and in order of time; `stays` what the known hospital
    contacts were part of, an open one lasting until the index. `persons` is the table of that name.
    """

    moments: pl.LazyFrame
    known: Mapping[str, pl.LazyFrame]
    stays: pl.LazyFrame
    persons: pl.LazyFrame


def look_back(
    moments: pl.LazyFrame, rows: Mapping[str, pl.LazyFrame], persons: pl.LazyFrame, lags: Lags
) -> Timeline:
    """Look back from the moments upon prepared rows: cut them to what was known, then build the stays."""
    seen_from = moments.select(MOMENT, PERSON, s.INDEX_TIME)
    known = {
        table: build_asof_view(frame, seen_from, table, lags.of(table), on=PERSON)
        for table, frame in rows.items()
    }
    stays = build_known_stays(known) if s.ADMISSIONS in known else pl.LazyFrame()
    return Timeline(moments, known, stays, persons)


def build_known_stays(known: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Build one row per moment and stay made of known contacts; an open one has lasted until the index."""
    contacts = known[s.ADMISSIONS].with_columns(pl.col(s.INDEX_TIME).alias(UNTIL))
    return build_stays(contacts, by=[MOMENT, s.INDEX_TIME])


def number_moments(moments: pl.LazyFrame) -> pl.LazyFrame:
    """Number moments in order of index time and person, and the persons in order of their ids."""
    return (
        moments.select(KEY)
        .unique()
        .sort(s.INDEX_TIME, s.PERSON_ID)
        .with_row_index(MOMENT)
        .with_columns((pl.col(s.PERSON_ID).rank("dense") - 1).cast(pl.UInt32).alias(PERSON))
    )


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
