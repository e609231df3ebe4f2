"""Services: who is in substance treatment, in psychiatric care or in a shelter in a year."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from somv_risk.registers import schema as s
from somv_risk.registers.codes import in_group
from somv_risk.simulate.measures.basis import YEAR, YEAR_DAYS, Basis
from somv_risk.simulate.measures.figure import Figure

COUNT_WEEK: Final = (timedelta(days=35), timedelta(days=42))
MINUTES_PER_DAY: Final = 1440
DISORDERS: Final = {
    "schizophrenia": ("F2",),
    "personality_disorder": ("F60", "F61"),
    "depression": ("F32", "F33"),
    "bipolar": ("F30", "F31"),
}

FIGURES: Final = (
    Figure("alcohol_treatment_per_1000_a_year", "alcohol_years", "years", 1000.0),
    Figure("alcohol_treatment_male_share", "alcohol_years_male", "alcohol_years"),
    Figure("drug_treatment_per_1000_a_year", "drug_years", "years", 1000.0),
    Figure("shelter_residents_in_count_week_per_1000", "count_weeks", "years", 1000.0),
    Figure("shelter_users_per_1000_a_year", "shelter_years", "years", 1000.0),
    Figure("shelter_users_male_share", "shelter_years_male", "shelter_years"),
    Figure("shelter_stays_per_user_a_year", "shelter_stays", "shelter_years"),
    Figure("shelter_nights_per_user_a_year", "shelter_minutes", "shelter_years", 1 / MINUTES_PER_DAY),
    Figure("psychiatric_treated_share", "psychiatric_years", "years"),
    Figure(
        "psychiatric_treated_with_substance_use_share", "psychiatric_substance_years", "psychiatric_years"
    ),
    *(
        Figure(f"{disorder}_with_substance_use_share", f"{disorder}_substance", disorder)
        for disorder in DISORDERS
    ),
)


def count_services(basis: Basis) -> pl.DataFrame:
    """Count each person's years with treatment and in shelters, and disorders with substance use."""
    people = basis.persons.select(s.PERSON_ID, (pl.col(s.SEX) == "male").alias("is_male"))
    years = basis.person_years.group_by(s.PERSON_ID).agg(pl.len().alias("years"))
    parts = (
        years,
        _count_treatment(basis),
        _count_shelters(basis),
        _count_psychiatry(basis),
        _find_disorders(basis),
    )
    for part in parts:
        people = people.join(part, on=s.PERSON_ID, how="left")
    uses = pl.col("uses_substances").fill_null(value=False)
    return people.with_columns(
        (pl.col("alcohol_years") * pl.col("is_male")).alias("alcohol_years_male"),
        (pl.col("shelter_years") * pl.col("is_male")).alias("shelter_years_male"),
        (pl.col("psychiatric_years") * uses).alias("psychiatric_substance_years"),
        *((pl.col(disorder) & uses).alias(f"{disorder}_substance") for disorder in DISORDERS),
    )


def _count_treatment(basis: Basis) -> pl.DataFrame:
    is_alcohol = pl.col(s.SUBSTANCE) == "alcohol"
    return (
        basis.overlap_years(basis.histories.substance_abuse)
        .group_by(s.PERSON_ID)
        .agg(
            pl.col(YEAR).filter(is_alcohol).n_unique().alias("alcohol_years"),
            pl.col(YEAR).filter(~is_alcohol).n_unique().alias("drug_years"),
        )
    )


def _count_shelters(basis: Basis) -> pl.DataFrame:
    spells = basis.histories.social_services.filter(pl.col(s.SERVICE) == "shelter")
    ended = pl.col(s.ENDED_AT).fill_null(datetime.max)
    starts, ends = (pl.col(s.INDEX_TIME) + offset for offset in COUNT_WEEK)
    in_count_week = (pl.col(s.STARTED_AT) < ends) & (ended > starts)
    year_end = pl.col(s.INDEX_TIME) + timedelta(days=YEAR_DAYS)
    inside = pl.min_horizontal(ended, year_end) - pl.max_horizontal(s.STARTED_AT, s.INDEX_TIME)
    return (
        basis.overlap_years(spells)
        .group_by(s.PERSON_ID)
        .agg(
            pl.col(YEAR).n_unique().alias("shelter_years"),
            pl.col(YEAR).filter(in_count_week).n_unique().alias("count_weeks"),
            pl.len().alias("shelter_stays"),
            inside.sum().dt.total_minutes().alias("shelter_minutes"),
        )
    )


def _count_psychiatry(basis: Basis) -> pl.DataFrame:
    """Count years with an attended psychiatric contact or any time in a psychiatric ward."""
    was_there = ~pl.col(s.ATTENDANCE).is_in(["no_show", "cancelled"])
    contacts = basis.histories.psychiatric_contacts.filter(was_there)
    wards = basis.histories.admissions.filter(pl.col(s.SECTOR) == "psychiatric")
    # A contact is a point; a moment's length puts one at the very start of a year into that year.
    moment_later = pl.col(s.STARTED_AT) + timedelta(microseconds=1)
    seen = contacts.select(s.PERSON_ID, s.STARTED_AT, moment_later.alias(s.ENDED_AT))
    inside = wards.select(s.PERSON_ID, s.STARTED_AT, s.ENDED_AT)
    return (
        basis.overlap_years(pl.concat([seen, inside]))
        .group_by(s.PERSON_ID)
        .agg(pl.col(YEAR).n_unique().alias("psychiatric_years"))
    )


def _find_disorders(basis: Basis) -> pl.DataFrame:
    """Find who ever had a diagnosis of each disorder, and who has used alcohol or drugs harmfully."""
    treated = basis.histories.substance_abuse.select(s.PERSON_ID, pl.lit("treated").alias(s.CODE)).collect()
    codes = pl.concat([basis.collect_codes().select(s.PERSON_ID, s.CODE), treated]).unique()
    code = pl.col(s.CODE)
    uses = in_group(code, "alcohol") | in_group(code, "drugs") | (code == "treated")
    return codes.group_by(s.PERSON_ID).agg(
        uses.any().alias("uses_substances"),
        *(
            pl.any_horizontal(code.str.starts_with(prefix) for prefix in prefixes).any().alias(disorder)
            for disorder, prefixes in DISORDERS.items()
        ),
    )
