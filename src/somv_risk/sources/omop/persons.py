"""Persons of an OMOP delivery, with their deaths and the periods in which they were observed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import polars as pl

from somv_risk.calls.notices import give_notice
from somv_risk.errors import SourceWarning
from somv_risk.registers import schema
from somv_risk.sources.omop.cells import parse_birth_date, parse_either, parse_moment
from somv_risk.sources.omop.dropped import choose_reason, keep_taken
from somv_risk.sources.omop.mapping import OmopMapping
from somv_risk.sources.omop.visits import NOT_MAPPED, keep_table

DIED: Final = "died"
_STRANGER: Final = "is_stranger"
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
    return described.select(name for name in schema.get_columns(schema.PERSONS) if name not in NOT_MAPPED)


def build_deaths(tables: Mapping[str, pl.LazyFrame], mapping: OmopMapping) -> pl.LazyFrame:
    """One row per row of `death`; of several of a person the first death counts."""
    dated = tables["death"].select(
        schema.PERSON_ID,
        parse_either("death", mapping.time_zone).dt.date().alias(schema.DEATH_DATE),
        _is_stranger(tables),
    )
    date = pl.col(schema.DEATH_DATE)
    is_later = date.rank("ordinal").over(schema.PERSON_ID) > 1
    return dated.with_columns(
        choose_reason(
            [
                (date.is_null(), "no readable date of death"),
                (pl.col(_STRANGER), "person is not in person"),
                (is_later, "another death of the same person"),
            ]
        )
    )


def build_periods(tables: Mapping[str, pl.LazyFrame], mapping: OmopMapping) -> pl.LazyFrame:
    """Observation periods; OMOP counts the last day in, the library's end is exclusive."""
    first, last = (
        parse_moment(f"observation_period_{end}_date", mapping.time_zone).dt.date()
        for end in ("start", "end")
    )
    dated = tables["observation_period"].select(
        schema.PERSON_ID,
        first.alias(schema.OBSERVED_FROM),
        (last + DAY).alias(schema.OBSERVED_UNTIL),
        _is_stranger(tables),
    )
    is_undated = pl.col(schema.OBSERVED_FROM).is_null() | pl.col(schema.OBSERVED_UNTIL).is_null()
    return dated.with_columns(
        choose_reason(
            [(is_undated, "no readable start or end"), (pl.col(_STRANGER), "person is not in person")]
        )
    )


def warn_of_gaps(periods: pl.LazyFrame) -> None:
    """Warn of gaps between the observation periods of a person, which are read as observed without events."""
    start, end = pl.col(schema.OBSERVED_FROM), pl.col(schema.OBSERVED_UNTIL)
    in_order = keep_taken(periods).sort(schema.PERSON_ID, start, end)
    observed_before = end.cum_max().shift(1).over(schema.PERSON_ID)
    gaps = in_order.filter(start > observed_before).select(
        pl.len().alias("gaps"), pl.col(schema.PERSON_ID).n_unique().alias("persons")
    )
    found, persons = gaps.collect().row(0)
    if found:
        give_notice(
            f"Table observation_period has {found:,} gaps between the periods of {persons:,} persons. They "
            "count as observed from the first start to the last end: a gap looks like time without events.",
            SourceWarning,
        )


def _is_stranger(tables: Mapping[str, pl.LazyFrame]) -> pl.Expr:
    """Whether a row is about a person who has no row in `person`."""
    known = tables["person"].select(schema.PERSON_ID).collect().to_series()
    is_known = pl.col(schema.PERSON_ID).is_in(known.implode())
    return (~is_known).fill_null(value=True).alias(_STRANGER)


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
