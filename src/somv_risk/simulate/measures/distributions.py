"""Distributions: how many persons, or years of persons, have each value."""

from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk.registers import schema as s
from somv_risk.simulate.measures.basis import YEAR, YEAR_DAYS, Basis

ACUTE_IN_A_YEAR: Final = "acute_admissions_in_a_year"
BED_HOURS: Final = "bed_hours_in_the_last_year"

DISTRIBUTION: Final = "distribution"
GROUP: Final = "group"
VALUE: Final = "value"
PERSONS: Final = "persons"


def count_distributions(basis: Basis) -> pl.DataFrame:
    """Count years of residence by acute admissions, and residents of the last year by bed hours."""
    years = basis.person_years
    return pl.concat(
        [
            _count_values(years, ACUTE_IN_A_YEAR, "both sectors", "acute"),
            _count_values(years, ACUTE_IN_A_YEAR, "somatic", "acute_somatic"),
            _count_values(_add_bed_hours(basis), BED_HOURS, "both sectors", "bed_hours"),
        ]
    )


def _count_values(rows: pl.DataFrame, distribution: str, group: str, column: str) -> pl.DataFrame:
    return (
        rows.group_by(pl.col(column).cast(pl.Int64).alias(VALUE))
        .agg(pl.len().cast(pl.Int64).alias(PERSONS))
        .select(pl.lit(distribution).alias(DISTRIBUTION), pl.lit(group).alias(GROUP), VALUE, PERSONS)
        .sort(VALUE)
    )


def _add_bed_hours(basis: Basis) -> pl.DataFrame:
    """Add to the residents of the last year the whole hours they spent admitted in it."""
    year_start = basis.data_end - timedelta(days=YEAR_DAYS)
    begins = pl.max_horizontal(s.STARTED_AT, pl.lit(year_start))
    ends = pl.col(s.ENDED_AT).fill_null(basis.data_end)
    hours = (
        basis.admissions.filter(ends > year_start)
        .group_by(s.PERSON_ID)
        .agg((ends - begins).sum().dt.total_hours().alias("bed_hours"))
    )
    residents = basis.person_years.filter(pl.col(YEAR) == 0).select(s.PERSON_ID)
    return residents.join(hours, on=s.PERSON_ID, how="left").with_columns(pl.col("bed_hours").fill_null(0))
