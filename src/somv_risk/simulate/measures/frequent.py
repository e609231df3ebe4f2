"""Frequent admission: how many persons are admitted how often in a year, and who stays so."""

from typing import Final

import polars as pl

from somv_risk.registers import schema as s
from somv_risk.simulate.measures.basis import AGE_YEARS, YEAR, Basis
from somv_risk.simulate.measures.figure import Figure

SOMATIC_LEVELS: Final = (1, 2, 3, 4, 5, 8, 10, 15, 20)
AMONG_ADMITTED_LEVELS: Final = (2, 3, 5, 10)
PSYCHIATRIC_LEVELS: Final = (2, 3, 5, 10)
WORKING_AGE_LEVELS: Final = (3, 5)
FREQUENT: Final = 3
LAGS_YEARS: Final = (1, 2, 3, 4, 5)
WORKING_AGES: Final = (18, 64)

FIGURES: Final = (
    Figure("residents_admitted_share", "admitted", "years"),
    *(
        Figure(f"residents_{least}_or_more_acute_somatic_share", f"acute_somatic_{least}", "years")
        for least in SOMATIC_LEVELS
    ),
    Figure("residents_3_or_more_acute_share", "acute_3", "years"),
    Figure("residents_3_or_more_acute_to_acute_somatic_ratio", "acute_3", "acute_somatic_3"),
    *(
        Figure(f"admitted_{least}_or_more_acute_somatic_share", f"acute_somatic_{least}", "acute_somatic_1")
        for least in AMONG_ADMITTED_LEVELS
    ),
    *(
        Figure(f"working_age_{least}_or_more_acute_share", f"working_acute_{least}", "working_years")
        for least in WORKING_AGE_LEVELS
    ),
    Figure("psychiatric_inpatients_share", "psychiatric_1", "years"),
    *(
        Figure(f"psychiatric_inpatients_{least}_or_more_share", f"psychiatric_{least}", "psychiatric_1")
        for least in PSYCHIATRIC_LEVELS
    ),
    *(
        Figure(f"frequent_again_after_{lag}_years_share", f"again_after_{lag}", f"frequent_before_{lag}")
        for lag in LAGS_YEARS
    ),
)


def count_frequent(basis: Basis) -> pl.DataFrame:
    """Count each person's years of residence by how often the person was admitted in them."""
    years = basis.person_years.group_by(s.PERSON_ID).agg(*_count_years())
    return years.join(_count_persistence(basis), on=s.PERSON_ID, how="left")


def _count_years() -> list[pl.Expr]:
    working = pl.col(AGE_YEARS).is_between(*WORKING_AGES)
    return [
        pl.len().alias("years"),
        (pl.col("admissions") > 0).sum().alias("admitted"),
        (pl.col("acute") >= FREQUENT).sum().alias("acute_3"),
        *((pl.col("acute_somatic") >= n).sum().alias(f"acute_somatic_{n}") for n in SOMATIC_LEVELS),
        *((pl.col("psychiatric") >= n).sum().alias(f"psychiatric_{n}") for n in (1, *PSYCHIATRIC_LEVELS)),
        working.sum().alias("working_years"),
        *((working & (pl.col("acute") >= n)).sum().alias(f"working_acute_{n}") for n in WORKING_AGE_LEVELS),
    ]


def _count_persistence(basis: Basis) -> pl.DataFrame:
    """Count years with frequent admission, for who is still resident when they close, and their repeats."""
    keys = [s.PERSON_ID, YEAR]
    years = basis.person_years.select(*keys, (pl.col("acute") >= FREQUENT).alias("again"))
    remains = years.select(s.PERSON_ID, pl.col(YEAR) + 1)
    frequent = years.filter(pl.col("again")).select(keys).join(remains, on=keys, how="semi")
    for lag in LAGS_YEARS:
        later = years.select(s.PERSON_ID, pl.col(YEAR) + lag, pl.col("again").alias(f"after_{lag}"))
        frequent = frequent.join(later, on=keys, how="left")
    return frequent.group_by(s.PERSON_ID).agg(
        *((pl.col(YEAR) >= lag).sum().alias(f"frequent_before_{lag}") for lag in LAGS_YEARS),
        *(pl.col(f"after_{lag}").sum().alias(f"again_after_{lag}") for lag in LAGS_YEARS),
    )
