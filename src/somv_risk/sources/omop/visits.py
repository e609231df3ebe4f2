"""Visits of an OMOP delivery, and the admissions and other contacts they become."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from somv_risk.registers import schema
from somv_risk.sources.omop.cells import is_unreadable, parse_either
from somv_risk.sources.omop.choice import DROPPED, VISIT_QUESTIONS, match_any
from somv_risk.sources.omop.dropped import choose_reason, keep_taken, show_concept
from somv_risk.sources.omop.mapping import CareSites, OmopMapping

VISIT_TABLE: Final = "visit_table"


def build_visits(tables: Mapping[str, pl.LazyFrame], mapping: OmopMapping) -> pl.LazyFrame:
    """One row per visit: its moments and place, what the mapping chose, and why it is left if it is."""
    zone = mapping.time_zone
    described = _add_signals(tables).with_columns(
        pl.col("visit_occurrence_id").alias(schema.CONTACT_ID),
        parse_either("visit_start", zone).alias(schema.STARTED_AT),
        _parse_end(zone).alias(schema.ENDED_AT),
        *_name_places(mapping.care_sites),
        *(mapping.choices[name].choose() for name in VISIT_QUESTIONS),
    )
    return described.with_columns(_choose_visit_reason(zone))


def build_admissions(visits: pl.LazyFrame, main_diagnoses: pl.LazyFrame) -> pl.LazyFrame:
    """One row per hospital contact, with its main diagnosis where the source names one."""
    contacts = keep_table(visits, schema.ADMISSIONS)
    with_diagnosis = contacts.join(main_diagnoses, on=schema.CONTACT_ID, how="left", maintain_order="left")
    return _select_canonical(with_diagnosis, schema.ADMISSIONS)


def build_psychiatric_contacts(visits: pl.LazyFrame) -> pl.LazyFrame:
    """One row per psychiatric contact outside the ward; its diagnosis is not looked up."""
    contacts = keep_table(visits, schema.PSYCHIATRIC_CONTACTS)
    named = contacts.with_columns(
        pl.lit(None, pl.String).alias(schema.DIAGNOSIS), pl.col(schema.DEPARTMENT).alias(schema.PROVIDER)
    )
    return _select_canonical(named, schema.PSYCHIATRIC_CONTACTS)


def build_primary_care(visits: pl.LazyFrame) -> pl.LazyFrame:
    """One row per contact with primary care."""
    contacts = keep_table(visits, schema.PRIMARY_CARE)
    return _select_canonical(contacts.rename({"primary_care_kind": schema.KIND}), schema.PRIMARY_CARE)


def keep_table(visits: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """Visits that become rows of a table."""
    return keep_taken(visits).filter(pl.col(VISIT_TABLE) == table)


def _add_signals(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Add what a visit only points to: its care site and the source's word for its kind."""
    care_sites = tables["care_site"].unique("care_site_id", keep="first", maintain_order=True)
    words = tables["concept"].select(
        pl.col("concept_id").alias("visit_source_concept_id"),
        pl.col("concept_name").alias("visit_source_concept_name"),
    )
    kinds = words.unique("visit_source_concept_id", keep="first", maintain_order=True)
    visits = tables["visit_occurrence"].join(care_sites, on="care_site_id", how="left", maintain_order="left")
    return visits.join(kinds, on="visit_source_concept_id", how="left", maintain_order="left")


def _name_places(care_sites: CareSites) -> tuple[pl.Expr, pl.Expr]:
    single = pl.lit(care_sites.single_hospital or None, pl.String)
    hospital = pl.coalesce(_drop_no_name(care_sites.hospital, care_sites), single)
    department = _drop_no_name(care_sites.department, care_sites)
    return hospital.alias(schema.HOSPITAL), department.alias(schema.DEPARTMENT)


def _drop_no_name(column: str, care_sites: CareSites) -> pl.Expr:
    return pl.when(~match_any(column, care_sites.no_name)).then(pl.col(column))


def _parse_end(zone: str) -> pl.Expr:
    start, end = parse_either("visit_start", zone), parse_either("visit_end", zone)
    # A bare end date stands for midnight, which would lie before a start with a time on the same day.
    is_bare_same_day = pl.col("visit_end_datetime").is_null() & (end.dt.date() == start.dt.date())
    return pl.when(is_bare_same_day).then(start).otherwise(end)


def _choose_visit_reason(zone: str) -> pl.Expr:
    concept = show_concept(pl.col("visit_concept_id").fill_null("0"))
    is_unusable = is_unreadable("visit_start", zone) | is_unreadable("visit_end", zone)
    return choose_reason(
        [
            (pl.col(VISIT_TABLE) == DROPPED, pl.format("visit concept {} is mapped to no table", concept)),
            (is_unusable, "start or end is not a readable moment"),
        ]
    )


# Columns that nothing in OMOP gives.
NOT_MAPPED: Final = (schema.KNOWN_AT, schema.COST)


def _select_canonical(frame: pl.LazyFrame, table: str) -> pl.LazyFrame:
    return frame.select(name for name in schema.get_columns(table) if name not in NOT_MAPPED)
