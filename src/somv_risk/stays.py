"""Stays: hospital contacts of one person that overlap or lie at most 4 hours apart, merged."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from somv_risk import schema as s
from somv_risk.intervals import SPELL, add_spell, find_latest_ending

MERGE_GAP = timedelta(hours=4)
ADMISSION_MINIMUM = timedelta(hours=12)

UNTIL = "until"
IS_ADMISSION = "is_admission"
IS_ACUTE = "is_acute"
HAS_PSYCHIATRIC = "has_psychiatric"
LASTED = "lasted"
_END_SO_FAR = "end_so_far"


def build_stays(contacts: pl.LazyFrame, *, by: Sequence[str]) -> pl.LazyFrame:
    """Build one row per stay from hospital contacts of both sectors.

    Parameters
    ----------
    contacts
        Columns of table `admissions` and `until`, the moment up to which an open contact has lasted.
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
    ended = in_order.with_columns(pl.col(s.ENDED_AT).fill_null(pl.col(UNTIL)).alias(_END_SO_FAR))
    spelled = add_spell(ended, by=by, start=s.STARTED_AT, end=_END_SO_FAR, gap=MERGE_GAP)
    carried = spelled.with_columns(pl.col(s.DISCHARGE).gather(find_latest_ending([SPELL], _END_SO_FAR)))
    owner = [pl.col(name).first() for name in by]
    stays = carried.group_by(SPELL).agg(*owner, *_describe_stay()).sort(SPELL).drop(SPELL)
    return stays.with_columns(_has_lasted_enough())


def _describe_stay() -> list[pl.Expr]:
    is_open = pl.col(s.ENDED_AT).is_null().any()
    end_so_far = pl.col(_END_SO_FAR).max()
    return [
        pl.col(s.STARTED_AT).first(),
        pl.when(is_open).then(None).otherwise(end_so_far).alias(s.ENDED_AT),
        pl.col(s.SECTOR).first(),
        pl.col(s.DIAGNOSIS).first(),
        (pl.col(s.ADMISSION_TYPE).first() == "acute").alias(IS_ACUTE),
        (pl.col(s.SECTOR) == "psychiatric").any().alias(HAS_PSYCHIATRIC),
        pl.when(is_open).then(None).otherwise(pl.col(s.DISCHARGE).last()).alias(s.DISCHARGE),
        (end_so_far - pl.col(s.STARTED_AT).first()).alias(LASTED),
    ]


def _has_lasted_enough() -> pl.Expr:
    return (pl.col(LASTED) >= ADMISSION_MINIMUM).alias(IS_ADMISSION)
