"""Basis: persons, their stays and their years, from which every figure is counted."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

import polars as pl

from somv_risk.cohort.bounds import UNTIL
from somv_risk.cohort.cohort import compute_age_years
from somv_risk.cohort.outcomes import build_outcome_stays
from somv_risk.cohort.stays import IS_ACUTE, IS_ADMISSION, LASTED
from somv_risk.errors import InputError
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

YEAR_DAYS: Final = 365
YEAR: Final = "year"
AGE_YEARS: Final = "age_years"
SINCE: Final = "since"
IS_SOMATIC: Final = "is_somatic"
IS_HOSPITAL: Final = "is_hospital"


@dataclass(frozen=True, slots=True)
class Basis:
    """What all figures share.

    `persons`: one row each, resident in [`since`, `until`). `stays`: one row per stay, with `year`.
    `person_years`: one row per person and whole year at whose start (`index_time`) the person is alive and
    resident, with `age_years` at that moment and counts of the admissions that start in the year. Years
    count back from the data end: year 0 is the last 365 days.
    """

    histories: Histories
    data_end: datetime
    years: int
    persons: pl.DataFrame
    stays: pl.DataFrame
    person_years: pl.DataFrame

    @property
    def period_start(self) -> datetime:
        """Start of the first whole year."""
        return self.data_end - timedelta(days=YEAR_DAYS * self.years)

    @property
    def admissions(self) -> pl.DataFrame:
        """Stays of at least 12 hours."""
        return self.stays.filter(pl.col(IS_ADMISSION))

    @property
    def is_in_period(self) -> pl.Expr:
        """Whether a stay starts in one of the whole years."""
        return pl.col(YEAR).is_between(0, self.years - 1)

    def collect_codes(self) -> pl.DataFrame:
        """Collect every diagnosis: `person_id`, `started_at`, `code`, and whether from a hospital contact."""
        tables = (
            (self.histories.admissions, s.DIAGNOSIS, True),
            (self.histories.diagnoses, s.CODE, True),
            (self.histories.psychiatric_contacts, s.DIAGNOSIS, False),
        )
        codes = [
            table.select(
                s.PERSON_ID, s.STARTED_AT, pl.col(column).alias(s.CODE), pl.lit(hospital).alias(IS_HOSPITAL)
            )
            for table, column, hospital in tables
        ]
        return pl.concat(codes).drop_nulls(s.CODE).unique().collect()

    def overlap_years(self, spells: pl.LazyFrame) -> pl.DataFrame:
        """Build one row per spell and year of residence in which it runs."""
        year_end = pl.col(s.INDEX_TIME) + timedelta(days=YEAR_DAYS)
        running = pl.col(s.STARTED_AT) < year_end
        ended = pl.col(s.ENDED_AT).fill_null(datetime.max)
        years = self.person_years.lazy().select(s.PERSON_ID, YEAR, s.INDEX_TIME)
        return spells.join(years, on=s.PERSON_ID).filter(running, ended > pl.col(s.INDEX_TIME)).collect()


def build_basis(histories: Histories, data_start: datetime | None = None) -> Basis:
    """Build the basis of the figures of these persons.

    Raises
    ------
    InputError
        If there is no end of the data, or nobody whose residence has a start.
    """
    data_end = histories.follow_up_end().collect().item()
    persons = _build_persons(histories.persons).collect()
    start = data_start or persons[SINCE].min()
    if data_end is None or not isinstance(start, datetime):
        raise InputError("Figures need a start and an end of the data. Deliver residence and admissions.")
    years = max(0, (data_end - start) // timedelta(days=YEAR_DAYS))
    stays = _build_stays(histories, data_end).collect()
    person_years = _build_person_years(persons, stays, data_end, years)
    return Basis(histories, data_end, years, persons, stays, person_years)


def _build_persons(persons: pl.LazyFrame) -> pl.LazyFrame:
    """Add the residence as moments; the day of death is still a day of life."""
    since = pl.col(s.OBSERVED_FROM).fill_null(pl.col(s.BIRTH_DATE))
    until = pl.min_horizontal(s.OBSERVED_UNTIL, pl.col(s.DEATH_DATE) + timedelta(days=1))
    return persons.select(
        *(s.PERSON_ID, s.BIRTH_DATE, s.SEX, s.MUNICIPALITY, s.DEATH_DATE),
        since.cast(pl.Datetime("us")).alias(SINCE),
        until.cast(pl.Datetime("us")).fill_null(datetime.combine(datetime.max, time())).alias(UNTIL),
    )


def _build_stays(histories: Histories, data_end: datetime) -> pl.LazyFrame:
    before_end = (data_end - pl.col(s.STARTED_AT)).dt.total_microseconds() - 1
    year = before_end // pl.lit(timedelta(days=YEAR_DAYS)).dt.total_microseconds()
    return (
        build_outcome_stays(histories)
        .with_columns(year.alias(YEAR), (pl.col(s.SECTOR) == "somatic").alias(IS_SOMATIC))
        .with_columns(pl.col(LASTED).dt.total_minutes().alias("minutes"))
        .sort(s.PERSON_ID, s.STARTED_AT)
    )


def _build_person_years(
    persons: pl.DataFrame, stays: pl.DataFrame, data_end: datetime, years: int
) -> pl.DataFrame:
    starts = [data_end - timedelta(days=YEAR_DAYS * (year + 1)) for year in range(years)]
    calendar = pl.DataFrame(
        {YEAR: range(years), s.INDEX_TIME: starts}, schema={YEAR: pl.Int64, s.INDEX_TIME: pl.Datetime("us")}
    )
    is_resident = (pl.col(SINCE) <= pl.col(s.INDEX_TIME)) & (pl.col(s.INDEX_TIME) < pl.col(UNTIL))
    counts = _count_admissions(stays.lazy())
    return (
        persons.lazy()
        .join(calendar.lazy(), how="cross")
        .filter(is_resident)
        .select(s.PERSON_ID, YEAR, s.INDEX_TIME, s.SEX, s.MUNICIPALITY, compute_age_years().alias(AGE_YEARS))
        .join(counts, on=[s.PERSON_ID, YEAR], how="left")
        .with_columns(pl.col("admissions", "acute", "acute_somatic", "psychiatric").fill_null(0))
        .collect()
    )


def _count_admissions(stays: pl.LazyFrame) -> pl.LazyFrame:
    somatic, acute = pl.col(IS_SOMATIC), pl.col(IS_ACUTE)
    return (
        stays.filter(pl.col(IS_ADMISSION))
        .group_by(s.PERSON_ID, YEAR)
        .agg(
            pl.len().cast(pl.Int64).alias("admissions"),
            acute.sum().cast(pl.Int64).alias("acute"),
            (acute & somatic).sum().cast(pl.Int64).alias("acute_somatic"),
            (~somatic).sum().cast(pl.Int64).alias("psychiatric"),
        )
    )
