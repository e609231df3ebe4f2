"""Tables drawn as text: moments count from the index, such as -3d, -12h, -30d-1us or 0; a dot is null."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from small_world import INDEX, OPTIONAL_TABLES, build_cohort, build_histories
from somv_risk.cohort.asof import Lags
from somv_risk.features import Definition, build_features
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

UNITS = {"d": "days", "h": "hours", "m": "minutes", "us": "microseconds"}
TERM = re.compile(r"([+-]\d+)(d|h|us|m)")

ADA = {
    "person_id": "ada",
    "birth_date": date(1980, 6, 1),
    "sex": "female",
    "municipality": "376",
    "death_date": None,
    "observed_from": None,
    "observed_until": None,
}
EVENT = {"person_id": "ada", "ended_at": None, "known_at": None}
DEFAULTS: dict[str, dict[str, Any]] = {
    "admissions": {
        "contact_id": "a{}",
        "sector": "somatic",
        "admission_type": "acute",
        "hospital": "A",
        "department": "1",
        "diagnosis": None,
        "discharge": "completed",
    },
    "diagnoses": {"contact_id": "a0", "code": "F102", "kind": "primary"},
    "psychiatric_contacts": {
        "contact_id": "p{}",
        "contact_type": "outpatient",
        "attendance": "attended",
        "diagnosis": None,
        "provider": "north",
    },
    "substance_abuse": {
        "episode_id": "e{}",
        "substance": "alcohol",
        "end_reason": "completed",
        "provider": "north",
    },
    "social_benefits": {"benefit": "social_assistance"},
    "social_services": {"service": "shelter", "paragraph": None, "provider": None},
    "primary_care": {"kind": "gp"},
}
MOMENTS = ("started_at", "ended_at", "known_at")
OWN = {"id": "own", "theme": "continuity", "title": {"da": "egen", "en": "own"}, "unit": "events"}


def read_moment(text: str, index: datetime = INDEX) -> datetime:
    """Read `-3d+4h`: so far from the index; `0` is the index itself."""
    terms = TERM.findall(text)
    if text not in ("0", "".join(number + unit for number, unit in terms)):
        raise ValueError(f"{text!r} is not a moment")
    return index + sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in terms), timedelta(0))


def draw_rows(table: str, text: str, index: datetime = INDEX) -> list[dict[str, Any]]:
    """Read a drawn table; its first line names the columns, the others have their default."""
    lines = [line.split() for line in text.strip().splitlines()]
    defaults = EVENT | DEFAULTS[table]
    rows = []
    for number, cells in enumerate(lines[1:]):
        given = {name: read_cell(name, cell, index) for name, cell in zip(lines[0], cells, strict=True)}
        row = defaults | given
        rows.append({name: fill_number(value, number) for name, value in row.items()})
    return rows


def read_cell(column: str, cell: str, index: datetime) -> Any:
    if cell == ".":
        return None
    return read_moment(cell, index) if column in MOMENTS else cell


def fill_number(value: Any, number: int) -> Any:
    return value.format(number) if isinstance(value, str) else value


def draw_tables(
    index: datetime = INDEX,
    absent: tuple[str, ...] = (),
    person: Mapping[str, Any] | None = None,
    **drawn: str,
) -> dict[str, list[dict[str, Any]]]:
    """Tables of one person, Ada; those not drawn are empty."""
    tables = {name: [] for name in ("admissions", *OPTIONAL_TABLES) if name not in absent}
    tables |= {name: draw_rows(name, text, index) for name, text in drawn.items()}
    return {"persons": [ADA | dict(person or {})], **tables}


def draw_histories(data_end: datetime | None = None, **drawn: Any) -> Histories:
    return build_histories(draw_tables(**drawn), data_end)


def look_back(
    lags: Mapping[str, float] | None = None, index: datetime = INDEX, **drawn: Any
) -> dict[str, Any]:
    """Every feature of Ada at the index moment, by name."""
    cohort = build_cohort([("ada", index)])
    features = build_features(draw_histories(index=index, **drawn), cohort, lags=Lags(lags or {}))
    (row,) = features.collect().drop(s.PERSON_ID, s.INDEX_TIME).to_dicts()
    return row


def define(**row: Any) -> Definition:
    """A feature of one's own, which the catalogue does not have."""
    return Definition(**OWN | row)


def measure(definition: Definition, **drawn: Any) -> Any:
    """The one feature of a definition, of Ada at the index moment."""
    (feature,) = definition.features()
    cohort = build_cohort([("ada", INDEX)])
    return build_features(draw_histories(**drawn), cohort, [feature]).collect()[feature.name].item()
