"""Stays: hospital contacts of one person that overlap or lie at most 4 hours apart, merged."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort.bounds import UNTIL, bound_contacts, build_unbounded_view
from somv_risk.cohort.intervals import SPELL, add_spell, find_latest_ending, is_any_so_far, is_last_of_spell
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

MERGE_GAP = timedelta(hours=4)
ADMISSION_MINIMUM = timedelta(hours=12)

IS_ADMISSION = "is_admission"
IS_ACUTE = "is_acute"
HAS_PSYCHIATRIC = "has_psychiatric"
LASTED = "lasted"
_END_SO_FAR = "end_so_far"
_LATEST = "latest"
_IS_WHOLE = "is_whole"


def build_stays(contacts: pl.LazyFrame, *, by: Sequence[str]) -> pl.LazyFrame:
    """Build one row per stay from hospital contacts of both sectors.

    Parameters
    ----------
    contacts
        Columns of table `admissions`, `until` (the moment up to which an open contact has lasted) and
        `alive_until` (24:00 of the day of death). Only what counts within bounds is merged.
    by
        Columns that name the owner of a stay: the person, or the person and the index moment.

    Returns
    -------
    One row per stay, in order of `by` and `started_at`: `by`, `started_at`, `ended_at` (null while any
    contact is open), `sector`, `diagnosis` and `is_acute` of the first contact (of several that start
    together, an acute one), `has_psychiatric`, `discharge` of the contact that ended last (of several,
    the one that comes last; null while open), `lasted` (duration up to the end or `until`) and
    `is_admission` (it has lasted at least 12 hours).
    """
    in_order = contacts.sort(*by, s.STARTED_AT, s.ADMISSION_TYPE, s.CONTACT_ID)
    bounded = bound_contacts(in_order, by=by)
    ended = bounded.with_columns(pl.col(s.ENDED_AT).fill_null(pl.col(UNTIL)).alias(_END_SO_FAR))
    spelled = add_spell(ended, by=by, start=s.STARTED_AT, end=_END_SO_FAR, gap=MERGE_GAP)
    ends_last = spelled.with_columns(find_latest_ending([SPELL], _END_SO_FAR).alias(_LATEST))
    described = ends_last.select(*by, *_describe_stay(), is_last_of_spell().alias(_IS_WHOLE))
    return described.filter(_IS_WHOLE).drop(_IS_WHOLE)


def build_known_stays(histories: Histories, moments: pl.LazyFrame, lags: Lags = NO_LAGS) -> pl.LazyFrame:
    """Build the stays of each person and index moment (each pair once) from what was known before it."""
    contacts = build_unbounded_view(
        histories.admissions, moments, histories.persons, s.ADMISSIONS, lags.of(s.ADMISSIONS)
    )
    return build_stays(contacts, by=KEY)


@cache
def _describe_stay() -> tuple[pl.Expr, ...]:
    """Describe what the contacts of a stay up to each row make together."""
    first, latest = pl.col(SPELL), pl.col(_LATEST)
    is_open = is_any_so_far(pl.col(s.ENDED_AT).is_null())
    end_so_far = pl.col(_END_SO_FAR).gather(latest)
    lasted = end_so_far - pl.col(s.STARTED_AT).gather(first)
    return (
        pl.col(s.STARTED_AT).gather(first),
        pl.when(~is_open).then(end_so_far).alias(s.ENDED_AT),
        pl.col(s.SECTOR).gather(first),
        pl.col(s.DIAGNOSIS).gather(first),
        (pl.col(s.ADMISSION_TYPE).gather(first) == "acute").alias(IS_ACUTE),
        is_any_so_far(pl.col(s.SECTOR) == "psychiatric").alias(HAS_PSYCHIATRIC),
        pl.when(~is_open).then(pl.col(s.DISCHARGE).gather(latest)).alias(s.DISCHARGE),
        lasted.alias(LASTED),
        (lasted >= ADMISSION_MINIMUM).alias(IS_ADMISSION),
    )
