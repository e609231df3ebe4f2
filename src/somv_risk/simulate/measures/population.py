"""Population: who lives in the region, and how often each age and sex comes to hospital."""

from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk.cohort.bounds import UNTIL
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_municipalities
from somv_risk.simulate.measures.basis import AGE_YEARS, SINCE, Basis
from somv_risk.simulate.measures.figure import Figure

AGE_BANDS: Final = {
    "0_17": (0, 17),
    "18_24": (18, 24),
    "25_44": (25, 44),
    "45_64": (45, 64),
    "65_79": (65, 79),
    "80_plus": (80, 200),
}
PROFILE_SEXES: Final = ("female", "male")
PER_1000_YEARS: Final = 365_000.0

FIGURES: Final = (
    Figure("deaths_per_1000_person_years", "deaths", "person_days", PER_1000_YEARS),
    Figure("male_share", "years_male", "years"),
    *(Figure(f"age_{band}_share", f"years_{band}", "years") for band in AGE_BANDS),
    *(Figure(f"population_share_{code}", f"years_in_{code}", "years") for code in load_municipalities()),
    *(
        Figure(f"age_{band}_{sex}_share", f"years_{sex}_{band}", "years")
        for sex in PROFILE_SEXES
        for band in AGE_BANDS
    ),
    *(
        Figure(f"acute_per_1000_{sex}_{band}", f"acute_{sex}_{band}", f"years_{sex}_{band}", 1000.0)
        for sex in PROFILE_SEXES
        for band in AGE_BANDS
    ),
)


def count_population(basis: Basis) -> pl.DataFrame:
    """Count each person's days and deaths in the period, and years of residence by age, sex and place."""
    start, end = basis.period_start, basis.data_end
    days = (pl.min_horizontal(UNTIL, pl.lit(end)) - pl.max_horizontal(SINCE, pl.lit(start))).dt.total_days()
    died = pl.col(s.DEATH_DATE).cast(pl.Datetime("us")).is_between(start, end - timedelta(microseconds=1))
    persons = basis.persons.select(
        s.PERSON_ID,
        days.clip(lower_bound=0).alias("person_days"),
        died.fill_null(value=False).alias("deaths"),
    )
    years = basis.person_years.group_by(s.PERSON_ID).agg(*_count_years())
    return persons.join(years, on=s.PERSON_ID, how="left")


def _count_years() -> list[pl.Expr]:
    in_band = {band: pl.col(AGE_YEARS).is_between(*ages) for band, ages in AGE_BANDS.items()}
    is_sex = {sex: pl.col(s.SEX) == sex for sex in PROFILE_SEXES}
    cells = {(sex, band): is_sex[sex] & in_band[band] for sex in PROFILE_SEXES for band in AGE_BANDS}
    return [
        pl.len().alias("years"),
        is_sex["male"].sum().alias("years_male"),
        *(within.sum().alias(f"years_{band}") for band, within in in_band.items()),
        *((pl.col(s.MUNICIPALITY) == code).sum().alias(f"years_in_{code}") for code in load_municipalities()),
        *(cell.sum().alias(f"years_{sex}_{band}") for (sex, band), cell in cells.items()),
        *(
            pl.col("acute").filter(cell).sum().alias(f"acute_{sex}_{band}")
            for (sex, band), cell in cells.items()
        ),
    ]
