"""Bounds: until when a contact without an end is believed, and that nothing counts after a death.

Nothing is changed in the tables. What is said here is asked whenever rows are looked at from a moment, so
that an end which arrives later, or a corrected date of death, undoes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags, build_asof_view
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

UNTIL: Final = "until"
ALIVE_UNTIL: Final = "alive_until"
END_ASSUMED: Final = "end_assumed"
AFTER_DEATH: Final = "after_death"
COUNTS: Final = (END_ASSUMED, AFTER_DEATH)
_DAY: Final = timedelta(days=1)
_NO_LATER_START: Final = datetime(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class Bound:
    """How many days an open contact is believed, and where the number comes from."""

    days: int
    status: Literal["sourced", "derived", "assumed"]
    source: str

    @property
    def length(self) -> timedelta:
        """The number of days as a duration."""
        return timedelta(days=self.days)


BOUNDS: Final[Mapping[str, Bound]] = MappingProxyType(
    {
        "somatic": Bound(120, "assumed", "longer than 998 in 1,000 somatic contacts of the simulated region"),
        "psychiatric": Bound(400, "assumed", "longer than every psychiatric contact of the simulated region"),
    }
)


def compute_alive_until() -> pl.Expr:
    """Compute 24:00 of the day of death, null for whoever is not known to have died."""
    return (pl.col(s.DEATH_DATE).cast(pl.Datetime("us")) + _DAY).alias(ALIVE_UNTIL)


def add_alive_until(rows: pl.LazyFrame, persons: pl.LazyFrame) -> pl.LazyFrame:
    """Add the column `alive_until` to rows about persons, in their order."""
    return rows.join(_list_dead(persons), on=s.PERSON_ID, how="left", maintain_order="left")


def _list_dead(persons: pl.LazyFrame) -> pl.LazyFrame:
    return persons.filter(pl.col(s.DEATH_DATE).is_not_null()).select(s.PERSON_ID, compute_alive_until())


def bound_events(events: pl.LazyFrame) -> pl.LazyFrame:
    """Drop events that start after the death, and end at the death those that outlast it.

    Parameters
    ----------
    events
        Columns of an event table, `until` (the moment from which they are looked at) and `alive_until`.
    """
    return events.filter(~_is_after_death()).with_columns(_end_at_death().alias(s.ENDED_AT))


def bound_contacts(in_order: pl.LazyFrame, *, by: Sequence[str]) -> pl.LazyFrame:
    """Bound hospital contacts: those after the death are dropped, those open for too long come to an end.

    A contact whose end is not known is too long if it has been open for more than the bound of its sector
    at `until`, or at the death. It ends when the next contact of the same owner starts, or at the bound,
    whichever is first; nothing is then known of its discharge.

    Parameters
    ----------
    in_order
        Columns of table `admissions`, `until` (the moment from which they are looked at) and `alive_until`,
        in order of `by` and `started_at`.
    by
        Columns that name the owner of a contact.

    Returns
    -------
    The contacts that count, in the same order, with `end_assumed`.
    """
    return in_order.filter(~_is_after_death()).with_columns(_describe_bounds(tuple(by)))


@cache  # the expressions take longer to write than a citizen's contacts to bound
def _describe_bounds(by: tuple[str, ...]) -> tuple[pl.Expr, ...]:
    is_too_long = is_open_too_long()
    ended_at = (
        pl.when(is_too_long)
        .then(pl.min_horizontal(_find_bound(), _find_later_start(by)))
        .otherwise(_end_at_death())
    )
    ended_by_bound = is_too_long | (_end_is_unknown() & (pl.col(ALIVE_UNTIL) < pl.col(UNTIL)))
    return (
        ended_at.alias(s.ENDED_AT),
        pl.when(~ended_by_bound.fill_null(value=False)).then(s.DISCHARGE).alias(s.DISCHARGE),
        is_too_long.alias(END_ASSUMED),
    )


def _is_after_death() -> pl.Expr:
    return (pl.col(s.STARTED_AT) > pl.col(ALIVE_UNTIL)).fill_null(value=False)


def _end_is_unknown() -> pl.Expr:
    """Whether no end is known; one that lies ahead is an intention, such as the year 2209."""
    return (pl.col(s.ENDED_AT) > pl.col(UNTIL)).fill_null(value=True)


def _end_at_death() -> pl.Expr:
    """Return the end, at the death at the latest; an open event ends there once the death has come."""
    ended_at, alive_until = pl.col(s.ENDED_AT), pl.col(ALIVE_UNTIL)
    return (
        pl.when(ended_at.is_not_null())
        .then(pl.min_horizontal(ended_at, alive_until))
        .when(alive_until < pl.col(UNTIL))
        .then(alive_until)
    )


def is_open_too_long() -> pl.Expr:
    """Whether a contact has been open for more than its bound, from `until` and `alive_until`."""
    has_lasted_until = pl.min_horizontal(UNTIL, ALIVE_UNTIL)
    return (_end_is_unknown() & (_find_bound() < has_lasted_until)).fill_null(value=False)


def _find_bound() -> pl.Expr:
    lengths = [
        pl.when(pl.col(s.SECTOR) == sector).then(pl.lit(bound.length)) for sector, bound in BOUNDS.items()
    ]
    return pl.col(s.STARTED_AT) + pl.coalesce(lengths)


def _find_later_start(by: Sequence[str]) -> pl.Expr:
    """Find when the next contact of the owner starts; contacts that start together have the same next."""
    started_at = pl.col(s.STARTED_AT)
    following = started_at.shift(-1)
    is_last = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in by)
    found = (
        pl.when(is_last)
        .then(pl.lit(_NO_LATER_START, pl.Datetime("us")))
        .when(following > started_at)
        .then(following)
    )
    return found.backward_fill()


def build_bounded_view(
    events: pl.LazyFrame, moments: pl.LazyFrame, persons: pl.LazyFrame, table: str, lag: timedelta
) -> pl.LazyFrame:
    """Build the as-of view of an event table within bounds.

    Returns
    -------
    The rows that `build_asof_view` gives and that count, with the ends that count; of `admissions` in order
    of person, index moment and start, with `end_assumed`.
    """
    seen = build_unbounded_view(events, moments, persons, table, lag)
    if table != s.ADMISSIONS:
        return bound_events(seen).drop(UNTIL, ALIVE_UNTIL)
    in_order = seen.sort(*KEY, s.STARTED_AT, *s.TABLES[table].ties)
    return bound_contacts(in_order, by=KEY).drop(UNTIL, ALIVE_UNTIL)


def build_unbounded_view(
    events: pl.LazyFrame, moments: pl.LazyFrame, persons: pl.LazyFrame, table: str, lag: timedelta
) -> pl.LazyFrame:
    """Build the as-of view with what bounds are found by: `until`, which is the index, and `alive_until`."""
    seen = build_asof_view(events, add_alive_until(moments, persons), table, lag)
    return seen.with_columns(pl.col(s.INDEX_TIME).alias(UNTIL))


def see_all_contacts(histories: Histories) -> pl.LazyFrame:
    """See all hospital contacts from the data end, known or not, with `until` and `alive_until`."""
    contacts = add_alive_until(histories.admissions, histories.persons)
    data_end = histories.follow_up_end().rename({"data_end": UNTIL})
    return contacts.join(data_end, how="cross").with_columns(
        pl.max_horizontal(UNTIL, s.STARTED_AT).alias(UNTIL)
    )


def count_bounded(histories: Histories, moments: pl.DataFrame, lags: Lags = NO_LAGS) -> pl.LazyFrame:
    """Count the rows that were known at each moment and are held within bounds.

    Parameters
    ----------
    moments
        Rows of `person_id`, `index_time`, each pair once.

    Returns
    -------
    One row per moment that has any: `person_id`, `index_time`, `end_assumed` (hospital contacts that were
    open for too long) and `after_death` (events of all tables that start after the death), Int32.
    """
    counts = [count_assumed_ends(histories, moments, lags), _count_after_death(histories, moments, lags)]
    both = pl.concat(counts, how="diagonal")
    return both.group_by(KEY).agg(pl.col(COUNTS).sum()).sort(KEY)


def count_assumed_ends(histories: Histories, moments: pl.DataFrame, lags: Lags = NO_LAGS) -> pl.LazyFrame:
    """Count the hospital contacts whose end is assumed: `person_id`, `index_time`, `end_assumed` (Int32).

    A moment that has none has no row.
    """
    lag = lags.of(s.ADMISSIONS)
    contacts = list_long_contacts(histories, moments[s.INDEX_TIME], lags)
    seen = build_unbounded_view(contacts, moments.lazy(), histories.persons, s.ADMISSIONS, lag)
    return _count(seen.filter(~_is_after_death(), is_open_too_long()), END_ASSUMED)


def list_long_contacts(histories: Histories, index_times: pl.Series, lags: Lags = NO_LAGS) -> pl.LazyFrame:
    """List the hospital contacts that can have been open for too long at one of the index moments."""
    shortest = min(bound.length for bound in BOUNDS.values())
    is_open = pl.col(s.ENDED_AT) + lags.of(s.ADMISSIONS) >= pl.lit(index_times.min())
    return histories.admissions.filter(
        is_open.fill_null(value=True), pl.col(s.STARTED_AT) + shortest < pl.lit(index_times.max())
    )


def _count_after_death(histories: Histories, moments: pl.DataFrame, lags: Lags) -> pl.LazyFrame:
    has_died = pl.col(ALIVE_UNTIL) < pl.col(s.INDEX_TIME)
    dead = add_alive_until(moments.lazy(), histories.persons).filter(has_died)
    seen = [
        build_asof_view(histories.table(table), dead, table, lags.of(table)).filter(_is_after_death())
        for table in s.EVENT_TABLES
    ]
    return _count(pl.concat(rows.select(KEY) for rows in seen), AFTER_DEATH)


def _count(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    return rows.group_by(KEY).agg(pl.len().cast(pl.Int32).alias(name))


def sum_bounded(histories: Histories) -> pl.LazyFrame:
    """Sum up what the outcomes hold within bounds, as of the data end: one row of all persons.

    Returns
    -------
    `end_assumed` (hospital contacts) and `after_death` (events of all tables), Int64.
    """
    contacts = see_all_contacts(histories).filter(~_is_after_death(), is_open_too_long())
    late = [
        histories.table(table)
        .join(_list_dead(histories.persons), on=s.PERSON_ID)
        .filter(_is_after_death())
        .select(s.PERSON_ID)
        for table in s.EVENT_TABLES
    ]
    sums = [
        rows.select(pl.len().cast(pl.Int64).alias(name))
        for name, rows in ((END_ASSUMED, contacts), (AFTER_DEATH, pl.concat(late)))
    ]
    return pl.concat(sums, how="horizontal")
