"""Mapping from OMOP to the library's words: the packaged default with a site's own changes on top."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.files.packaged import find_config
from somv_risk.sources.omop.choice import QUESTIONS, Choice, check_known, is_concept, join_patterns
from somv_risk.sources.omop.files import TableLayout
from somv_risk.toml import load_packaged, read_toml

Section: TypeAlias = Mapping[str, object]

TABLES: Final = (
    "person",
    "death",
    "observation_period",
    "visit_occurrence",
    "condition_occurrence",
    "observation",
    "care_site",
    "concept",
)
CARE_SITE_COLUMNS: Final = (
    "care_site_name",
    "care_site_source_value",
    "place_of_service_source_value",
    "location_id",
)


@dataclass(frozen=True, slots=True)
class CareSites:
    """Which columns of a care site name the hospital and the department, and what is no name."""

    hospital: str
    department: str
    single_hospital: str
    no_name: tuple[str, ...]

    def __post_init__(self) -> None:
        check_known("care_sites", (self.hospital, self.department), CARE_SITE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Icd9Visits:
    """What shows that a visit was coded in ICD-9: a code of that look in a row of these types."""

    condition_type_concept_id: tuple[str, ...]
    code: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OmopMapping:
    """Everything about an OMOP delivery that differs between sites."""

    time_zone: str
    tables: Mapping[str, TableLayout]
    choices: Mapping[str, Choice]
    icd9_visits: Icd9Visits
    care_sites: CareSites

    def __post_init__(self) -> None:
        check_known("tables", self.tables, TABLES)
        _check_time_zone(self.time_zone)


def read_mapping(config: str | Path | None = None) -> OmopMapping:
    """Packaged mapping, with what `config` states in place of the same entries.

    Tables are merged entry by entry; a list or a value replaces the default's.
    """
    mapping: Section = load_packaged("somv_risk.sources.omop", "omop.toml")
    if config is not None:
        mapping = _merge(mapping, read_toml("The OMOP mapping", find_config("config", config, "omop.toml")))
    return _build_mapping(mapping)


def _merge(base: Section, changes: Section) -> Section:
    merged = {key: _merge_entry(base.get(key), value) for key, value in changes.items()}
    return {**base, **merged}


def _merge_entry(base: object, change: object) -> object:
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return _merge(base, change)
    return change


def _build_mapping(raw: Section) -> OmopMapping:
    check_known("mapping", raw, ("time_zone", "tables", "icd9_visits", "care_sites", *QUESTIONS))
    tables = _read_section("tables", raw["tables"])
    return OmopMapping(
        time_zone=_read_text("time_zone", raw["time_zone"]),
        tables=MappingProxyType({name: _build_layout(name, entry) for name, entry in tables.items()}),
        choices=MappingProxyType({name: _build_choice(name, raw[name]) for name in QUESTIONS}),
        icd9_visits=_build_icd9_visits(raw["icd9_visits"]),
        care_sites=_build_care_sites(raw["care_sites"]),
    )


def _build_layout(table: str, raw: object) -> TableLayout:
    where = f"tables.{table}"
    section = _read_entries(where, raw, ("required", "optional", "older_names"))
    older_names = _read_section(f"{where}.older_names", section.get("older_names", {}))
    return TableLayout(
        required=_read_texts(f"{where}.required", section.get("required", [])),
        optional=_read_texts(f"{where}.optional", section.get("optional", [])),
        older_names={name: _read_text(f"{where}.older_names", older) for name, older in older_names.items()},
    )


def _build_choice(name: str, raw: object) -> Choice:
    section = _read_section(name, raw)
    settings = ("precedence", "stated", "silent")
    return Choice(
        name=name,
        precedence=_read_texts(f"{name}.precedence", section["precedence"]),
        stated=_read_text(f"{name}.stated", section["stated"]),
        silent=_read_text(f"{name}.silent", section["silent"]),
        answers={
            answer: _read_signals(f"{name}.{answer}", signals)
            for answer, signals in section.items()
            if answer not in settings
        },
    )


def _read_signals(where: str, raw: object) -> Mapping[str, tuple[str, ...]]:
    section = _read_section(where, raw)
    return {
        signal: (_read_ids if is_concept(signal) else _read_patterns)(f"{where}.{signal}", wanted)
        for signal, wanted in section.items()
    }


def _build_icd9_visits(raw: object) -> Icd9Visits:
    section = _read_entries("icd9_visits", raw, ("condition_type_concept_id", "code"))
    return Icd9Visits(
        _read_ids("icd9_visits.condition_type_concept_id", section["condition_type_concept_id"]),
        _read_patterns("icd9_visits.code", section["code"]),
    )


def _build_care_sites(raw: object) -> CareSites:
    section = _read_entries("care_sites", raw, ("hospital", "department", "single_hospital", "no_name"))
    return CareSites(
        hospital=_read_text("care_sites.hospital", section["hospital"]),
        department=_read_text("care_sites.department", section["department"]),
        single_hospital=_read_text("care_sites.single_hospital", section["single_hospital"]),
        no_name=_read_patterns("care_sites.no_name", section["no_name"]),
    )


def _read_section(where: str, value: object) -> Section:
    if not isinstance(value, Mapping):
        raise _wrong_type(where, "a table of entries")
    return value


def _read_entries(where: str, value: object, known: tuple[str, ...]) -> Section:
    section = _read_section(where, value)
    check_known(where, section, known)
    return section


def _read_text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong_type(where, "text in quotation marks")
    return value


def _read_texts(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong_type(where, "a list of texts such as ['a', 'b']")
    return tuple(value)


def _read_ids(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise _wrong_type(where, "a list of concept ids such as [9201, 262]")
    return tuple(str(item) for item in value)


def _read_patterns(where: str, value: object) -> tuple[str, ...]:
    patterns = _read_texts(where, value)
    try:
        pl.Series([""]).str.contains(join_patterns(patterns))
    except pl.exceptions.ComputeError:
        raise ConfigError(
            f"The OMOP mapping holds a pattern in '{where}' that is not a regular expression. "
            "Use Rust's syntax, which has no look-around, and put a backslash before brackets that are meant."
        ) from None
    return patterns


def _check_time_zone(time_zone: str) -> None:
    try:
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(time_zone))
    except pl.exceptions.ComputeError:
        raise ConfigError(
            f"The OMOP mapping names the time zone '{time_zone}', which does not exist. "
            "Use a name such as 'Europe/Copenhagen'."
        ) from None


def _wrong_type(where: str, expected: str) -> ConfigError:
    return ConfigError(
        f"The OMOP mapping holds the wrong kind of value in '{where}'. Write {expected} there."
    )
