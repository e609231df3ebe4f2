"""Benefits: who of working age lives on public support at a moment in the middle of the period."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from somv_risk.cohort.bounds import UNTIL
from somv_risk.cohort.cohort import compute_age_years
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_municipalities
from somv_risk.simulate.measures.basis import SINCE, Basis
from somv_risk.simulate.measures.figure import Figure
from somv_risk.simulate.measures.frequent import WORKING_AGES

NOT_PUBLIC_SUPPORT: Final = ("self_support", "education")
MIX: Final = ("early_retirement", "flex_job", "sickness", "unemployment")

FIGURES: Final = (
    Figure("on_benefits_share", "on_benefits", "working_age"),
    *(
        Figure(f"on_benefits_share_{code}", f"on_benefits_in_{code}", f"working_age_in_{code}")
        for code in load_municipalities()
    ),
    *(Figure(f"{benefit}_share_of_benefits", benefit, "on_benefits") for benefit in MIX),
)


def count_benefits(basis: Basis) -> pl.DataFrame:
    """Mark each resident of 18 to 64 years at mid-period by place and benefit."""
    moment = basis.data_end - timedelta(days=(basis.data_end - basis.period_start).days // 2)
    return (
        basis.persons.with_columns(pl.lit(moment).alias(s.INDEX_TIME))
        .filter(
            pl.col(SINCE) <= moment, pl.col(UNTIL) > moment, compute_age_years().is_between(*WORKING_AGES)
        )
        .join(_find_benefits(basis, moment), on=s.PERSON_ID, how="left")
        .with_columns(pl.lit(basis.years > 0).alias("working_age"))
        .with_columns(*(pl.col(name) & pl.col("working_age") for name in ("on_benefits", *MIX)))
        .with_columns(*_mark_places())
    )


def _find_benefits(basis: Basis, moment: datetime) -> pl.DataFrame:
    running = (pl.col(s.STARTED_AT) <= moment) & (pl.col(s.ENDED_AT).fill_null(basis.data_end) > moment)
    benefit = pl.col(s.BENEFIT)
    return (
        basis.histories.social_benefits.filter(running)
        .group_by(s.PERSON_ID)
        .agg(
            (~benefit.is_in(list(NOT_PUBLIC_SUPPORT))).any().alias("on_benefits"),
            *((benefit == name).any().alias(name) for name in MIX),
        )
        .collect()
    )


def _mark_places() -> list[pl.Expr]:
    places = {code: pl.col(s.MUNICIPALITY) == code for code in load_municipalities()}
    return [
        (pl.col(column) & lives_there).alias(f"{column}_in_{code}")
        for column in ("working_age", "on_benefits")
        for code, lives_there in places.items()
    ]
