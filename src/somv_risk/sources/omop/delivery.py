"""OMOP CDM 5.3 and 5.4: a folder of its tables, brought into the library's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.errors import InputError
from somv_risk.registers import schema
from somv_risk.sources.csv_file import check_encoding
from somv_risk.sources.folder import open_folder
from somv_risk.sources.omop.choice import Choice
from somv_risk.sources.omop.conditions import (
    CONDITIONS,
    OBSERVATIONS,
    build_conditions,
    build_diagnoses,
    choose_main_diagnoses,
)
from somv_risk.sources.omop.dropped import SOURCE_TABLE, count_dropped, keep_taken
from somv_risk.sources.omop.files import build_empty, count_others, scan_tables
from somv_risk.sources.omop.mapping import read_mapping
from somv_risk.sources.omop.persons import build_deaths, build_periods, build_persons, warn_of_gaps
from somv_risk.sources.omop.visits import (
    VISIT_TABLE,
    build_admissions,
    build_primary_care,
    build_psychiatric_contacts,
    build_visits,
)

_CODED: Final = frozenset((CONDITIONS, OBSERVATIONS))


@dataclass(frozen=True, slots=True)
class OmopDelivery:
    """What an OMOP folder gives: canonical tables, what was left and why, and where the data end.

    Attributes
    ----------
    tables
        Canonical table name to lazy frame; only tables that the source can give. Rows are not checked yet.
    dropped
        Columns `source_table, reason, rows`: counts of rows that were not taken over.
    data_end
        Exclusive end of the last observation period; without one, the last end of a visit.
    """

    tables: Mapping[str, pl.LazyFrame]
    dropped: pl.DataFrame
    data_end: datetime


def scan_omop(
    path: str | Path, config: str | Path | None = None, *, encoding: str | None = None
) -> OmopDelivery:
    r"""Scan an OMOP folder.

    The folder holds one file per table, as CSV (also gzipped) or Parquet. Needed are `person` and
    `visit_occurrence`; used if they are there: `condition_occurrence`, `observation` (its ICD-10 codes),
    `death`, `observation_period`, `care_site` and `concept`, which are looked up in. Rows that are not taken
    over, and those of other tables, are counted by table and reason. What visits, dispositions and codes mean
    is data: the packaged `omop.toml`.

    Parameters
    ----------
    path
        Folder of the tables; names of files and columns in any case.
    config
        TOML file with what differs from the packaged mapping.
    encoding
        In which CSV files are written; by default UTF-8.

    Raises
    ------
    SourceError
        If the folder or a file is missing or cannot be read.
    InputError
        If a table or column is missing, or ids are floating-point numbers.
    ConfigError
        If `config` holds something the mapping does not know.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> person = "person_id,gender_concept_id,year_of_birth\n7,8532,1980"
    >>> head = "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date"
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "person.csv").write_text(person)
    ...     _ = Path(folder, "visit_occurrence.csv").write_text(head + "\n1,7,9203,2024-03-01,2024-03-03")
    ...     delivery = scan_omop(folder)
    ...     delivery.tables["admissions"].select("person_id", "admission_type").collect().rows()
    [('7', 'acute')]
    """
    mapping = read_mapping(config)
    folder, known = open_folder(path, "the folder that holds the OMOP tables"), check_encoding(encoding)
    scanned = scan_tables(folder, mapping.tables, known)
    tables = {name: build_empty(layout) for name, layout in mapping.tables.items()} | scanned
    visits = build_visits(tables, mapping)
    conditions = build_conditions(tables, visits, mapping)
    deaths, periods = build_deaths(tables, mapping), build_periods(tables, mapping)
    warn_of_gaps(periods)
    built = {
        schema.PERSONS: build_persons(tables["person"], deaths, periods, visits, mapping),
        schema.ADMISSIONS: build_admissions(visits, choose_main_diagnoses(conditions)),
        **({schema.DIAGNOSES: build_diagnoses(conditions)} if _CODED & set(scanned) else {}),
        **_build_other_contacts(visits, mapping.choices[VISIT_TABLE]),
    }
    left = {
        "visit_occurrence": visits,
        **{name: conditions.filter(pl.col(SOURCE_TABLE) == name) for name in sorted(_CODED)},
        "death": deaths,
        "observation_period": periods,
    }
    dropped = count_dropped(left, count_others(folder, mapping.tables, known))
    return OmopDelivery(MappingProxyType(built), dropped, _find_data_end(periods, visits))


def _build_other_contacts(visits: pl.LazyFrame, choice: Choice) -> dict[str, pl.LazyFrame]:
    builders = {
        schema.PSYCHIATRIC_CONTACTS: build_psychiatric_contacts,
        schema.PRIMARY_CARE: build_primary_care,
    }
    return {table: build(visits) for table, build in builders.items() if choice.can_answer(table)}


def _find_data_end(periods: pl.LazyFrame, visits: pl.LazyFrame) -> datetime:
    observed = keep_taken(periods).select(pl.col(schema.OBSERVED_UNTIL).max().cast(pl.Datetime("us")))
    visited = visits.select(pl.col(schema.ENDED_AT).max())
    for ends in (observed, visited):
        end = ends.collect().item()
        if isinstance(end, datetime):
            return end
    raise InputError(
        "Table visit_occurrence has no visit with an end and table observation_period no period, "
        "so nothing says where the data end. Deliver observation periods, or check the visits' end columns."
    )
