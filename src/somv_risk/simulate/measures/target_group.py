"""Target group: adults like those whom "Sammen om min vej" was for."""

from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk.registers import schema as s
from somv_risk.registers.codes import in_group
from somv_risk.simulate.measures.basis import AGE_YEARS, YEAR, YEAR_DAYS, Basis
from somv_risk.simulate.measures.figure import Figure
from somv_risk.simulate.measures.frequent import FREQUENT

ADULT_AGE: Final = 18
ON_ONES_OWN: Final = ("self_support", "education", "pension")
FIGURES: Final = (Figure("adults_like_those_of_somv_share", "like_somv", "adult"),)


def count_target_group(basis: Basis) -> pl.DataFrame:
    """Mark the adults of the last year who are in the target group.

    They have at least 3 acute admissions in the year, at any time a diagnosis or treatment for harmful use of
    alcohol or drugs or a psychiatric diagnosis, and live outside the labour market when the year begins.
    """
    adults = basis.person_years.filter(pl.col(YEAR) == 0, pl.col(AGE_YEARS) >= ADULT_AGE)
    is_frequent = pl.col("acute") >= FREQUENT
    burdened, supported = _find_burdened(basis), _find_supported(basis)
    return adults.select(
        s.PERSON_ID,
        pl.lit(value=True).alias("adult"),
        (is_frequent & _is_among(burdened) & _is_among(supported)).alias("like_somv"),
    )


def _is_among(persons: pl.Series) -> pl.Expr:
    return pl.col(s.PERSON_ID).is_in(persons.implode())


def _find_burdened(basis: Basis) -> pl.Series:
    code = pl.col(s.CODE)
    is_psychiatric = code.str.starts_with("F") & ~code.str.starts_with("F0")
    coded = is_psychiatric | in_group(code, "alcohol") | in_group(code, "drugs")
    treated = basis.histories.substance_abuse.select(s.PERSON_ID).collect()
    found = basis.collect_codes().filter(coded).select(s.PERSON_ID)
    return pl.concat([found, treated]).get_column(s.PERSON_ID).unique()


def _find_supported(basis: Basis) -> pl.Series:
    begin = basis.data_end - timedelta(days=YEAR_DAYS)
    runs = (pl.col(s.STARTED_AT) <= begin) & (pl.col(s.ENDED_AT).fill_null(basis.data_end) > begin)
    spells = basis.histories.social_benefits.filter(runs, ~pl.col(s.BENEFIT).is_in(list(ON_ONES_OWN)))
    return spells.select(s.PERSON_ID).unique().collect().get_column(s.PERSON_ID)
