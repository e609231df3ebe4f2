"""Hospital use: how many admissions, how long, how acute, and how they end."""

from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk.cohort.stays import IS_ACUTE, IS_ADMISSION
from somv_risk.registers import schema as s
from somv_risk.registers.codes import in_group
from somv_risk.simulate.measures.basis import IS_SOMATIC, Basis
from somv_risk.simulate.measures.figure import Figure
from somv_risk.simulate.measures.population import PER_1000_YEARS, count_population

RETURN_LIMIT: Final = timedelta(days=30)
MEDIAN_SOMATIC_DAYS: Final = 1.3
LONG_STAY_DAYS: Final = 7
MINUTES_PER_DAY: Final = 1440

FIGURES: Final = (
    Figure("admissions_per_1000_person_years", "admissions", "person_days", PER_1000_YEARS),
    Figure("acute_share_of_admissions", "acute", "admissions"),
    Figure("female_share_of_admissions", "admissions_female", "admissions"),
    Figure("acute_visits_per_acute_admission", "acute_visits", "acute"),
    Figure("somatic_stay_mean_days", "somatic_minutes", "somatic_closed", 1 / MINUTES_PER_DAY),
    Figure("somatic_stays_under_1_3_days_share", "somatic_short", "somatic_closed"),
    Figure("somatic_stays_over_7_days_share", "somatic_long", "somatic_closed"),
    Figure("psychiatric_stay_mean_days", "psychiatric_minutes", "psychiatric_closed", 1 / MINUTES_PER_DAY),
    Figure("acute_somatic_readmission_30_days_share", "somatic_back", "somatic_watched"),
    Figure("psychiatric_readmission_30_days_share", "psychiatric_back", "psychiatric_watched"),
    Figure("unfinished_share", "unfinished", "closed"),
    Figure("unfinished_somatic_share", "unfinished_somatic", "somatic_closed"),
    Figure("unfinished_psychiatric_share", "unfinished_psychiatric", "psychiatric_closed"),
    Figure("unfinished_alcohol_drug_share", "unfinished_substance", "substance_closed"),
    Figure("acute_return_30_days_after_unfinished_share", "unfinished_back", "unfinished_watched"),
    Figure("acute_return_30_days_after_finished_share", "finished_back", "finished_watched"),
    Figure("unfinished_with_unfinished_before_share", "unfinished_again", "unfinished"),
)


def count_hospital_use(basis: Basis) -> pl.DataFrame:
    """Count each person's stays that start in the period, by what they were and what followed."""
    visits = basis.stays.filter(~pl.col(IS_ADMISSION), pl.col(IS_ACUTE), basis.is_in_period)
    admissions = _add_what_followed(basis).filter(basis.is_in_period)
    return (
        count_population(basis)
        .select(s.PERSON_ID, "person_days")
        .join(basis.persons.select(s.PERSON_ID, s.SEX), on=s.PERSON_ID)
        .join(admissions.group_by(s.PERSON_ID).agg(*_count_admissions()), on=s.PERSON_ID, how="left")
        .join(visits.group_by(s.PERSON_ID).agg(pl.len().alias("acute_visits")), on=s.PERSON_ID, how="left")
        .with_columns((pl.col("admissions") * (pl.col(s.SEX) == "female")).alias("admissions_female"))
    )


def _add_what_followed(basis: Basis) -> pl.DataFrame:
    """Add to each admission whether it was seen 30 days on, who came back, and what was unfinished before."""
    left = (pl.col(s.DISCHARGE) == "left_early").fill_null(value=False)
    left_before = left.cast(pl.Int64).cum_sum().over(s.PERSON_ID) - left.cast(pl.Int64)
    died = (pl.col(s.DISCHARGE) == "died").fill_null(value=False)
    seen = (pl.col(s.ENDED_AT) + RETURN_LIMIT <= basis.data_end).fill_null(value=False)
    somatic, acute = pl.col(IS_SOMATIC), pl.col(IS_ACUTE)
    return basis.admissions.with_columns(
        pl.col(s.ENDED_AT).is_not_null().alias("is_closed"),
        (seen & ~died).alias("is_watched"),
        left.alias("is_unfinished"),
        (left_before > 0).alias("was_unfinished_before"),
        _comes_back(acute).alias("back_acutely"),
        _comes_back(acute & somatic).alias("back_acutely_somatic"),
        _comes_back(~somatic).alias("back_in_psychiatry"),
        (in_group(pl.col(s.DIAGNOSIS), "alcohol") | in_group(pl.col(s.DIAGNOSIS), "drugs")).alias(
            "is_substance"
        ),
    )


def _comes_back(wanted: pl.Expr) -> pl.Expr:
    """Whether a wanted admission of the same person starts within 30 days after this one ends."""
    start = pl.when(wanted).then(pl.col(s.STARTED_AT))
    following = start.shift(-1).backward_fill().over(s.PERSON_ID)
    return (following - pl.col(s.ENDED_AT) < RETURN_LIMIT).fill_null(value=False)


def _count_admissions() -> list[pl.Expr]:
    counted = _list_volumes() | _list_returns() | _list_unfinished()
    somatic, closed, minutes = pl.col(IS_SOMATIC), pl.col("is_closed"), pl.col("minutes")
    return [
        *(is_so.sum().alias(name) for name, is_so in counted.items()),
        minutes.filter(somatic & closed).sum().alias("somatic_minutes"),
        minutes.filter(~somatic & closed).sum().alias("psychiatric_minutes"),
    ]


def _list_volumes() -> dict[str, pl.Expr]:
    somatic, closed, minutes = pl.col(IS_SOMATIC), pl.col("is_closed"), pl.col("minutes")
    return {
        "admissions": pl.col(IS_ADMISSION),
        "acute": pl.col(IS_ACUTE),
        "acute_somatic": pl.col(IS_ACUTE) & somatic,
        "closed": closed,
        "somatic_closed": somatic & closed,
        "psychiatric_closed": ~somatic & closed,
        "substance_closed": pl.col("is_substance") & closed,
        "somatic_short": somatic & closed & (minutes < MEDIAN_SOMATIC_DAYS * MINUTES_PER_DAY),
        "somatic_long": somatic & closed & (minutes > LONG_STAY_DAYS * MINUTES_PER_DAY),
    }


def _list_returns() -> dict[str, pl.Expr]:
    somatic, unfinished, watched = pl.col(IS_SOMATIC), pl.col("is_unfinished"), pl.col("is_watched")
    return {
        "somatic_watched": somatic & watched,
        "somatic_back": somatic & watched & pl.col("back_acutely_somatic"),
        "psychiatric_watched": ~somatic & watched,
        "psychiatric_back": ~somatic & watched & pl.col("back_in_psychiatry"),
        "unfinished_watched": unfinished & watched,
        "unfinished_back": unfinished & watched & pl.col("back_acutely"),
        "finished_watched": ~unfinished & watched,
        "finished_back": ~unfinished & watched & pl.col("back_acutely"),
    }


def _list_unfinished() -> dict[str, pl.Expr]:
    somatic, unfinished = pl.col(IS_SOMATIC), pl.col("is_unfinished")
    return {
        "unfinished": unfinished,
        "unfinished_somatic": unfinished & somatic,
        "unfinished_psychiatric": unfinished & ~somatic,
        "unfinished_substance": unfinished & pl.col("is_substance"),
        "unfinished_again": unfinished & pl.col("was_unfinished_before"),
    }
