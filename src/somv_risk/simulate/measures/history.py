"""History: what is known of residents a year before the end, and how often it precedes an admission."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from somv_risk.cohort.stays import IS_ACUTE
from somv_risk.registers import schema as s
from somv_risk.registers.codes import in_group
from somv_risk.simulate.measures.basis import IS_HOSPITAL, IS_SOMATIC, YEAR, YEAR_DAYS, Basis
from somv_risk.simulate.measures.figure import Figure

LOOK_BACK_YEARS: Final = 3
CODED: Final = ("alcohol", "drugs", "self_harm")
CONDITIONS: Final = ("diabetes", "copd", "heart_failure", "renal", "liver", "epilepsy", "dementia")
PREDICTORS: Final = (
    "emergency_admission",
    "elective_admission",
    "alcohol_drug_admission",
    "alcohol_admission",
    "self_harm_admission",
    "psychiatric_admission",
    "psychiatric_outpatient",
    *CONDITIONS,
)

FIGURES: Final = (
    Figure("admission_or_death_share", "event", "population"),
    *(Figure(f"before_{name}_share", name, "population") for name in PREDICTORS),
    *(Figure(f"event_after_{name}_share", f"event_after_{name}", name) for name in PREDICTORS),
)


def count_history(basis: Basis) -> pl.DataFrame:
    """Mark each resident one year before the end by what went before and by whether an event followed.

    Nobody is counted if the data do not reach three years further back.
    """
    residents = basis.person_years.filter(pl.col(YEAR) == 0, pl.lit(basis.years > LOOK_BACK_YEARS))
    index_time = basis.data_end - timedelta(days=YEAR_DAYS)
    counts = residents.select(
        s.PERSON_ID, pl.lit(value=True).alias("population"), (pl.col("acute_somatic") > 0).alias("admitted")
    )
    codes = basis.collect_codes().filter(pl.col(IS_HOSPITAL))
    parts = (
        basis.persons.select(s.PERSON_ID, (pl.col(s.DEATH_DATE) < basis.data_end).alias("died")),
        _find_admissions(basis, codes),
        _find_outpatients(basis, index_time),
        _find_conditions(codes, index_time),
    )
    for part in parts:
        counts = counts.join(part, on=s.PERSON_ID, how="left")
    event = pl.col("admitted") | pl.col("died").fill_null(value=False)
    return counts.with_columns(
        event.alias("event"), *((pl.col(name) & event).alias(f"event_after_{name}") for name in PREDICTORS)
    )


def _find_admissions(basis: Basis, codes: pl.DataFrame) -> pl.DataFrame:
    looked_at = _add_coded(basis, codes).filter(pl.col(YEAR).is_between(1, LOOK_BACK_YEARS))
    somatic, acute = pl.col(IS_SOMATIC), pl.col(IS_ACUTE)
    found = {
        "emergency_admission": acute & somatic,
        "elective_admission": ~acute & somatic,
        "alcohol_drug_admission": pl.col("alcohol") | pl.col("drugs"),
        "alcohol_admission": pl.col("alcohol"),
        "self_harm_admission": acute & pl.col("self_harm"),
        "psychiatric_admission": ~somatic,
    }
    return looked_at.group_by(s.PERSON_ID).agg(is_so.any().alias(name) for name, is_so in found.items())


def _add_coded(basis: Basis, codes: pl.DataFrame) -> pl.DataFrame:
    """Add to each admission whether any of its diagnoses is of alcohol, drugs or self-harm."""
    code = pl.col(s.CODE)
    marked = (
        codes.with_columns(*(in_group(code, group).alias(group) for group in CODED))
        .filter(pl.any_horizontal(CODED))
        .sort(s.STARTED_AT)
    )
    stays = basis.admissions.select(
        s.PERSON_ID,
        s.STARTED_AT,
        pl.col(s.STARTED_AT).alias("stay_started"),
        pl.col(s.ENDED_AT).fill_null(basis.data_end).alias("stay_ended"),
    ).sort(s.STARTED_AT)
    coded = (
        marked.join_asof(stays, on=s.STARTED_AT, by=s.PERSON_ID, check_sortedness=False)
        .filter(pl.col(s.STARTED_AT) <= pl.col("stay_ended"))
        .group_by(s.PERSON_ID, pl.col("stay_started").alias(s.STARTED_AT))
        .agg(pl.col(CODED).any())
    )
    return basis.admissions.join(coded, on=[s.PERSON_ID, s.STARTED_AT], how="left").with_columns(
        pl.col(CODED).fill_null(value=False)
    )


def _find_outpatients(basis: Basis, index_time: datetime) -> pl.DataFrame:
    start = index_time - timedelta(days=YEAR_DAYS * LOOK_BACK_YEARS)
    seen = ~pl.col(s.ATTENDANCE).is_in(["no_show", "cancelled"])
    in_window = (pl.col(s.STARTED_AT) >= start) & (pl.col(s.STARTED_AT) < index_time)
    return (
        basis.histories.psychiatric_contacts.filter(seen, in_window, pl.col(s.CONTACT_TYPE) == "outpatient")
        .group_by(s.PERSON_ID)
        .agg(pl.lit(value=True).alias("psychiatric_outpatient"))
        .collect()
    )


def _find_conditions(codes: pl.DataFrame, index_time: datetime) -> pl.DataFrame:
    """Find who has a hospital diagnosis of each condition from any time before the index."""
    known = codes.filter(pl.col(s.STARTED_AT) < index_time)
    return known.group_by(s.PERSON_ID).agg(
        in_group(pl.col(s.CODE), condition).any().alias(condition) for condition in CONDITIONS
    )
