"""The time line: what was known of each person before each index moment, placed by age."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY, Lags, cut_to_known
from somv_risk.features._rows import LARGE_TABLES
from somv_risk.histories import NOBODY, PERSON
from somv_risk.stays import UNTIL, build_stays
from somv_risk.windows import Lookback

MOMENT = "moment"
START_AGE = "start_age"
END_AGE = "end_age"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Known events seen from index moments.

    `moments` has one row per person and index moment: `moment` (its number from 0, in this order),
    `person` (the person's number), `person_id`, `index_time`. `known` holds the as-of view of each event
    table; its rows are in order of moment and time, except those of a large table.
    `stays` is what the known hospital contacts were part of, an open one lasting until the index.
    `persons` is the table of that name, and `reach` the longest window that is asked for.
    """

    moments: pl.LazyFrame
    known: Mapping[str, pl.LazyFrame]
    stays: pl.LazyFrame
    persons: pl.LazyFrame
    reach: Lookback | None = None

    def reaching(self, window: Lookback | None) -> "Timeline":
        """Return the same time line with another longest window."""
        return replace(self, reach=window)

    def keep_reachable(self, placed: pl.LazyFrame) -> pl.LazyFrame:
        """Keep the events that are open, or of which some part may lie in the longest window."""
        if self.reach is None:
            return placed
        reach = self.reach.microseconds
        return placed.filter(
            pl.col(END_AGE).is_null() | (pl.col(END_AGE) <= reach) | (pl.col(START_AGE) <= reach)
        )


def look_back(
    moments: pl.DataFrame, rows: Mapping[str, pl.DataFrame], persons: pl.DataFrame, lags: Lags
) -> Timeline:
    """Look back from the moments upon prepared rows: cut them to what was known, then build the stays."""
    known = {
        table: cut_to_known(_see(frame, table, moments), table, lags.of(table))
        for table, frame in rows.items()
    }
    stays = build_known_stays(known) if s.ADMISSIONS in known else pl.LazyFrame()
    return Timeline(moments.lazy(), known, stays, persons.lazy())


def _see(rows: pl.DataFrame, table: str, moments: pl.DataFrame) -> pl.LazyFrame:
    """Put each row beside the moments from which its person looks back."""
    seen_from = moments.select(MOMENT, PERSON, s.INDEX_TIME)
    if table in LARGE_TABLES and moments[PERSON].is_unique().all():
        return _look_up(rows, seen_from)
    order: Literal["right", "left_right"] = "right" if table in LARGE_TABLES else "left_right"
    return seen_from.lazy().join(rows.lazy(), on=PERSON, how="inner", maintain_order=order)


def _look_up(rows: pl.DataFrame, seen_from: pl.DataFrame) -> pl.LazyFrame:
    """Do what the join does where each person has one moment: looking up by place needs no hashing."""
    persons, looking = seen_from[PERSON].to_numpy(), rows[PERSON].to_numpy()
    numbers = np.full(max(persons.max(initial=0), looking.max(initial=0)) + 2, NOBODY, dtype=np.int32)
    numbers[persons] = seen_from[MOMENT].to_numpy()  # the last one stays free, for nobody's place is -1
    moment = pl.Series(MOMENT, numbers[looking])
    times = seen_from[s.INDEX_TIME]
    index = pl.lit(times[0]) if times.n_unique() == 1 else pl.lit(_gather(times, moment))
    seen = rows.lazy().with_columns(moment, index.alias(s.INDEX_TIME)).filter(pl.col(MOMENT) != NOBODY)
    return seen.with_columns(pl.col(MOMENT).cast(pl.UInt32))


def _gather(values: pl.Series, places: pl.Series) -> pl.Series:
    """Return the value at each place, null for nobody's."""
    return values.gather(places.replace(NOBODY, None))


def build_known_stays(known: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Build one row per moment and stay made of known contacts; an open one has lasted until the index."""
    contacts = known[s.ADMISSIONS].with_columns(pl.col(s.INDEX_TIME).alias(UNTIL))
    return build_stays(contacts, by=[MOMENT, s.INDEX_TIME])


def number_moments(cohort: pl.DataFrame) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """Number the moments of a cohort in order of index time and person, and the persons in that of their ids.

    Returns
    -------
    The moments, as `Timeline` has them, and for each cohort row the number of its moment.
    """
    rows = cohort.select(KEY)
    if _is_in_order(rows):
        moments, places = rows, np.arange(rows.height)
    else:
        moments = rows.unique().sort(s.INDEX_TIME, s.PERSON_ID)
        found = rows.lazy().join(
            moments.lazy().with_row_index(MOMENT), on=KEY, how="left", maintain_order="left"
        )
        places = found.collect(engine="in-memory")[MOMENT].cast(pl.Int64).to_numpy()
    # With one index time, the moments are in order of persons already.
    person = (
        pl.int_range(pl.len())
        if moments[s.INDEX_TIME].n_unique() <= 1
        else pl.col(s.PERSON_ID).rank("dense") - 1
    )
    return moments.with_row_index(MOMENT).with_columns(person.cast(pl.Int32).alias(PERSON)), places


def _is_in_order(rows: pl.DataFrame) -> bool:
    """Whether each row comes after the one before it, by index time and person."""
    index, person = pl.col(s.INDEX_TIME), pl.col(s.PERSON_ID)
    rises = (index > index.shift(1)) | ((index == index.shift(1)) & (person > person.shift(1)))
    return bool(rows.select(rises.slice(1).all()).item())


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
