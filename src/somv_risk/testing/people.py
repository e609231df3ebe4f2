"""Named people with hand-written histories, to be read in a test and mixed into a crowd."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.registers import schema

Tables = dict[str, pl.DataFrame]
Row = dict[str, Any]

INDEX_TIME: Final = datetime(2026, 1, 1)
NOTHING: Final = "-"
OPEN: Final = "open"
# Nobody's birthday falls on the index day: ages are then the same in every way of counting them.
DAYS_SINCE_BIRTHDAY: Final = 100
DAYS_PER_YEAR: Final = 365.25
RESIDENT_DAYS: Final = 4000

DRAWN_AS: Final[Mapping[str, str]] = MappingProxyType(
    {"type": schema.ADMISSION_TYPE, schema.KIND: schema.CONTACT_TYPE}
)
NUMBERED: Final[Mapping[str, str]] = MappingProxyType(
    {
        schema.ADMISSIONS: schema.CONTACT_ID,
        schema.PSYCHIATRIC_CONTACTS: schema.CONTACT_ID,
        schema.SUBSTANCE_ABUSE: schema.EPISODE_ID,
    }
)


def thomas(index_time: datetime = INDEX_TIME) -> Tables:
    """A man of 44 without home or work: 30 admissions in 18 months, often several a week, 9 left early."""
    return _read_person("thomas", index_time)


def mrs_smith(index_time: datetime = INDEX_TIME) -> Tables:
    """A frail woman of 84 with failing lungs and heart: many acute admissions, all finished, one hospital."""
    return _read_person("mrs_smith", index_time)


def anna(index_time: datetime = INDEX_TIME) -> Tables:
    """A woman of 29 with psychosis and depression: long psychiatric admissions, missed appointments."""
    return _read_person("anna", index_time)


def mohammed(index_time: datetime = INDEX_TIME) -> Tables:
    """A working man of 52 with diabetes: planned care only."""
    return _read_person("mohammed", index_time)


def karen(index_time: datetime = INDEX_TIME) -> Tables:
    """A woman of 37 who lives there and supports herself: nothing else has ever happened."""
    return _read_person("karen", index_time)


def ole(index_time: datetime = INDEX_TIME) -> Tables:
    """A man of 61 who was admitted three days before the index and is still in hospital."""
    return _read_person("ole", index_time)


def mix(tables: Mapping[str, pl.DataFrame], *people: Mapping[str, pl.DataFrame]) -> Tables:
    """A crowd with people appended to it, table by table, in the order given.

    Examples
    --------
    >>> mix(karen(), ole())["persons"]["person_id"].to_list()
    ['karen', 'ole']
    """
    return {name: pl.concat([table, *(person[name] for person in people)]) for name, table in tables.items()}


@cache
def _read_drawings() -> dict[str, Row]:
    return tomllib.loads(files("somv_risk.testing").joinpath("people.toml").read_text(encoding="utf-8"))


def _read_person(name: str, index_time: datetime) -> Tables:
    drawing = _read_drawings()[name]
    rows = {table: _read_rows(name, table, drawing, index_time) for table in schema.EVENT_TABLES}
    rows[schema.DIAGNOSES] = list(_list_diagnoses(rows[schema.ADMISSIONS]))
    rows[schema.PERSONS] = [_describe(name, drawing, index_time)]
    return {table: _build_table(table, rows[table]) for table in schema.TABLES}


def _describe(name: str, drawing: Row, index_time: datetime) -> Row:
    today = index_time.date()
    age_days = round(drawing["age_years"] * DAYS_PER_YEAR) + DAYS_SINCE_BIRTHDAY
    return {
        schema.PERSON_ID: name,
        schema.BIRTH_DATE: today - timedelta(days=age_days),
        schema.SEX: drawing[schema.SEX],
        schema.MUNICIPALITY: drawing[schema.MUNICIPALITY],
        schema.OBSERVED_FROM: today - timedelta(days=RESIDENT_DAYS),
    }


def _read_rows(name: str, table: str, drawing: Row, index_time: datetime) -> list[Row]:
    rows = []
    for number, cells in enumerate(_read_cells(drawing.get(table, "")), start=1):
        row = {schema.PERSON_ID: name, **_read_times(cells, index_time), **_rename(table, cells)}
        if table in NUMBERED:
            row[NUMBERED[table]] = f"{name}-{table}-{number:02}"
        rows.append(row)
    return rows


def _read_cells(text: str) -> Iterator[dict[str, str | None]]:
    """One mapping per drawn row."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.strip().splitlines()]
    for line in lines[1:]:
        yield {column: None if cell == NOTHING else cell for column, cell in zip(lines[0], line, strict=True)}


def _read_times(cells: Mapping[str, str | None], index_time: datetime) -> Row:
    started_at = _round(index_time - timedelta(days=float(cells["before"] or 0)))
    lasts, known = cells.get("lasts"), cells.get("known")
    has_ended = lasts is not None and lasts != OPEN
    return {
        schema.STARTED_AT: started_at,
        schema.ENDED_AT: _add_days(started_at, lasts if has_ended else None),
        schema.KNOWN_AT: _add_days(started_at, known),
    }


def _add_days(moment: datetime, days: str | None) -> datetime | None:
    return None if days is None else _round(moment + timedelta(days=float(days)))


def _round(moment: datetime) -> datetime:
    """The whole minute nearest to a moment."""
    return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)


def _rename(table: str, cells: Mapping[str, str | None]) -> Row:
    """Drawn columns under the names of the schema; short names keep the drawings narrow."""
    wanted = schema.get_columns(table)
    row: Row = {DRAWN_AS.get(name, name): cell for name, cell in cells.items() if name not in wanted}
    row |= {name: cell for name, cell in cells.items() if name in wanted}
    codes = (cells.get("diagnoses") or "").split(",")
    if table == schema.ADMISSIONS:
        row |= {schema.DIAGNOSIS: codes[0] or None, "codes": [code for code in codes if code]}
    return row


def _list_diagnoses(admissions: list[Row]) -> Iterator[Row]:
    for contact in admissions:
        for number, code in enumerate(contact["codes"]):
            kind = schema.DIAGNOSIS_KINDS[min(number, 1)]
            yield {**contact, schema.CODE: code, schema.KIND: kind}


def _build_table(table: str, rows: list[Row]) -> pl.DataFrame:
    columns = schema.get_columns(table)
    if not rows:
        return pl.DataFrame(schema=columns)
    wanted = [{name: row.get(name) for name in columns} for row in rows]
    return pl.DataFrame(wanted, schema=columns)


PEOPLE: Final[Mapping[str, Callable[[datetime], Tables]]] = MappingProxyType(
    {person.__name__: person for person in (thomas, mrs_smith, anna, mohammed, karen, ole)}
)
