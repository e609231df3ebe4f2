"""Conditions and coded observations of an OMOP delivery, and the diagnoses they become."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from somv_risk.registers import schema
from somv_risk.registers.codes import clean_codes
from somv_risk.sources.omop.choice import ICD9, ICD10, match_any
from somv_risk.sources.omop.dropped import (
    REASON,
    SOURCE_TABLE,
    choose_reason,
    keep_taken,
    load_vocabularies,
    show_public,
)
from somv_risk.sources.omop.mapping import Icd9Visits, OmopMapping
from somv_risk.sources.omop.visits import NOT_MAPPED, VISIT_TABLE

CONDITIONS: Final = "condition_occurrence"
OBSERVATIONS: Final = "observation"
VISIT: Final = "visit_occurrence_id"
PRIMARY, SECONDARY = schema.DIAGNOSIS_KINDS


def build_conditions(
    tables: Mapping[str, pl.LazyFrame], visits: pl.LazyFrame, mapping: OmopMapping
) -> pl.LazyFrame:
    """One row per condition and observation: its code, kind and visit, and why it is left if it is.

    Circumstances such as homelessness (Z59) and causes from outside (T) are observations in OMOP, though they
    are diagnoses where they were made.
    """
    coded = _add_codes(_join_tables(tables), tables["concept"], mapping)
    contacts = visits.select(
        VISIT,
        VISIT_TABLE,
        pl.col(REASON).alias("visit_reason"),
        pl.col(schema.PERSON_ID).alias("visit_person_id"),
        schema.CONTACT_ID,
        schema.STARTED_AT,
        schema.ENDED_AT,
    ).unique(VISIT, keep="first", maintain_order=True)
    placed = coded.join(contacts, on=VISIT, how="left", maintain_order="left")
    return _mark_repeats(placed.with_columns(_choose_condition_reason()))


def build_diagnoses(conditions: pl.LazyFrame) -> pl.LazyFrame:
    """One row per hospital contact and ICD-10 code, timed as the contact is."""
    columns = (name for name in schema.get_columns(schema.DIAGNOSES) if name not in NOT_MAPPED)
    return keep_taken(conditions).select(columns)


def choose_main_diagnoses(conditions: pl.LazyFrame) -> pl.LazyFrame:
    """One row per contact that has a primary diagnosis; of several, the one the source names first."""
    primaries = keep_taken(conditions).filter(pl.col(schema.KIND) == PRIMARY)
    first = primaries.unique(schema.CONTACT_ID, keep="first", maintain_order=True)
    return first.select(schema.CONTACT_ID, pl.col(schema.CODE).alias(schema.DIAGNOSIS))


def _join_tables(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Put observations below conditions, under the names of the columns of conditions."""
    conditions, observations = tables[CONDITIONS], tables[OBSERVATIONS]
    names = {
        name: name.replace(OBSERVATIONS, "condition", 1)
        for name in observations.collect_schema().names()
        if name.startswith(OBSERVATIONS)
    }
    return pl.concat(
        [
            conditions.with_columns(pl.lit(CONDITIONS).alias(SOURCE_TABLE)),
            observations.rename(names).with_columns(pl.lit(OBSERVATIONS).alias(SOURCE_TABLE)),
        ],
        how="diagonal",
    )


def _add_codes(coded: pl.LazyFrame, concepts: pl.LazyFrame, mapping: OmopMapping) -> pl.LazyFrame:
    vocabularies = concepts.select(pl.col("concept_id").alias("condition_source_concept_id"), "vocabulary_id")
    known = vocabularies.unique("condition_source_concept_id", keep="first", maintain_order=True)
    return (
        coded.join(known, on="condition_source_concept_id", how="left", maintain_order="left")
        .with_columns(_clean_code())
        .with_columns(_show_code_of_icd9_visit(mapping.icd9_visits))
        .with_columns(
            mapping.choices["code_system"].choose(),
            mapping.choices["diagnosis_kind"].choose().alias(schema.KIND),
        )
    )


def _clean_code() -> pl.Expr:
    code = pl.col("condition_source_value").map_batches(clean_codes, return_dtype=pl.String)
    return code.alias(schema.CODE)


def _show_code_of_icd9_visit(evidence: Icd9Visits) -> pl.Expr:
    """The code again, where its visit was coded in ICD-9."""
    types = evidence.condition_type_concept_id
    # Observations have numbers of many kinds, such as case groups.
    bears_witness = match_any(schema.CODE, evidence.code) & (pl.col(SOURCE_TABLE) == CONDITIONS)
    if types:
        bears_witness &= pl.col("condition_type_concept_id").is_in(list(types))
    is_icd9_visit = pl.col(VISIT).is_not_null() & bears_witness.any().over(VISIT)
    return pl.when(is_icd9_visit).then(pl.col(schema.CODE)).alias("code_of_icd9_visit")


def _show_vocabulary() -> pl.Expr:
    name = pl.col("vocabulary_id")
    return show_public(name, name.is_in(list(load_vocabularies()))).fill_null("unknown")


def _choose_condition_reason() -> pl.Expr:
    system, visit_table = pl.col("code_system"), pl.col(VISIT_TABLE)
    vocabulary = _show_vocabulary()
    # A code of an observation may be of any kind; only one with a concept was meant to be looked up.
    is_uncoded = (pl.col(SOURCE_TABLE) == OBSERVATIONS) & pl.col("condition_source_concept_id").is_null()
    return choose_reason(
        [
            (is_uncoded, "no source concept given"),
            (pl.col(schema.CODE).fill_null("") == "", "no code given"),
            (system == ICD9, "ICD-9 code"),
            (system != ICD10, pl.format("not an ICD-10 code (vocabulary {})", vocabulary)),
            (~pl.col(schema.CODE).str.contains(schema.ICD10_PATTERN), "malformed ICD-10 code"),
            (pl.col(VISIT).is_null(), "no visit given"),
            (visit_table.is_null(), "visit is not in visit_occurrence"),
            (visit_table != schema.ADMISSIONS, "visit is not a hospital contact"),
            (pl.col("visit_reason").is_not_null(), "visit was not taken over"),
            (pl.col(schema.PERSON_ID).ne_missing(pl.col("visit_person_id")), "visit is of another person"),
        ]
    )


def _mark_repeats(conditions: pl.LazyFrame) -> pl.LazyFrame:
    """Keep a code once per contact, as primary if any of its rows is."""
    same = [schema.CONTACT_ID, schema.CODE, REASON]
    is_primary = (pl.col(schema.KIND) == PRIMARY).any().over(same)
    is_repeat = pl.int_range(pl.len()).over(same) > 0
    return conditions.with_columns(
        pl.when(is_primary).then(pl.lit(PRIMARY)).otherwise(pl.lit(SECONDARY)).alias(schema.KIND),
        pl.when(pl.col(REASON).is_null() & is_repeat)
        .then(pl.lit("repeats a code of the same visit"))
        .otherwise(pl.col(REASON))
        .alias(REASON),
    )
