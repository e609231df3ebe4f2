"""Persons of an OMOP delivery, with their deaths and the periods in which they were observed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk import schema
from somv_risk.sources.omop.cells import parse_birth_date, parse_either, parse_moment
from somv_risk.sources.omop.dropped import choose_reason, keep_taken
from somv_risk.sources.omop.mapping import OmopMapping
from somv_risk.sources.omop.visits import keep_table

DIED: Final = "died"
DAY: Final = timedelta(days=1)


def build_persons(
    persons: pl.LazyFrame,
    deaths: pl.LazyFrame,
    periods: pl.LazyFrame,
    visits: pl.LazyFrame,
    mapping: OmopMapping,
) -> pl.LazyFrame:
    """One row per person; who died in hospital is dead even without a row in `death`."""
    described = persons.with_columns(
        parse_birth_date(mapping.time_zone).alias(schema.BIRTH_DATE),
        mapping.choices[schema.SEX].choose(),
        pl.lit(None, pl.String).alias(schema.MUNICIPALITY),
    )
    for further in (_find_deaths(deaths, visits), _find_residence(periods)):
        described = described.join(further, on=schema.PERSON_ID, how="left", maintain_order="left")
    return described.select(*schema.get_columns(schema.PERSONS))


def build_deaths(tables: Mapping[str, pl.LazyFrame], mapping: OmopMapping) -> pl.LazyFrame:
    """One row per row of `death`; rows without a readable date are left."""
    death_date = parse_either("death", mapping.time_zone).dt.date()
    return tables["death"].select(
        schema.PERSON_ID,
        death_date.alias(schema.DEATH_DATE),
        choose_reason([(death_date.is_null(), "no readable date of death")]),
    )


def build_periods(tables: Mapping[str, pl.LazyFrame], mapping: OmopMapping) -> pl.LazyFrame:
    """Observation periods; OMOP counts the last day in, the library's end is exclusive."""
    first, last = (
        parse_moment(f"observation_period_{end}_date", mapping.time_zone).dt.date()
        for end in ("start", "end")
    )
    return tables["observation_period"].select(
        schema.PERSON_ID,
        first.alias(schema.OBSERVED_FROM),
        (last + DAY).alias(schema.OBSERVED_UNTIL),
        choose_reason([(first.is_null() | last.is_null(), "no readable start or end")]),
    )


def _find_deaths(deaths: pl.LazyFrame, visits: pl.LazyFrame) -> pl.LazyFrame:
    died = keep_table(visits, schema.ADMISSIONS).filter(pl.col(schema.DISCHARGE) == DIED)
    in_hospital = died.select(schema.PERSON_ID, pl.col(schema.ENDED_AT).dt.date().alias("died_in_hospital"))
    registered = keep_taken(deaths).select(schema.PERSON_ID, schema.DEATH_DATE)
    both = pl.concat([registered, in_hospital], how="diagonal").group_by(schema.PERSON_ID)
    return both.agg(pl.coalesce(pl.col(schema.DEATH_DATE).min(), pl.col("died_in_hospital").min()))


def _find_residence(periods: pl.LazyFrame) -> pl.LazyFrame:
    return (
        keep_taken(periods)
        .group_by(schema.PERSON_ID)
        .agg(pl.col(schema.OBSERVED_FROM).min(), pl.col(schema.OBSERVED_UNTIL).max())
    )
