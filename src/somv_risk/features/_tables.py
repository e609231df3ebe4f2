"""Tables: the rows of the register as arrays, made ready once for any number of index moments.

Persons and texts become small numbers, rows lie in order of person and time. Nothing here knows an index
moment: what may be seen from one is found out later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.asof import compute_end, compute_known_since
from somv_risk.cohort.bounds import ALIVE_UNTIL, compute_alive_until
from somv_risk.features._loops import NEVER, NO_VALUE, Codes, Integers, find_since
from somv_risk.features._texts import Coded, Texts
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_groups
from somv_risk.registers.histories import CONTACT, PERSON

# By far the largest tables, whose rows are only counted: those beyond the longest window are not read.
LARGE_TABLES: Final = (s.PRIMARY_CARE,)
GROUPS: Final = tuple(load_groups())
# What the views ask of a table, besides who and when.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        s.ADMISSIONS: (
            *(CONTACT, s.SECTOR, s.ADMISSION_TYPE, s.DISCHARGE),
            *(s.HOSPITAL, s.DEPARTMENT, s.DIAGNOSIS),
        ),
        s.DIAGNOSES: (CONTACT, s.CODE),
        s.PSYCHIATRIC_CONTACTS: (CONTACT, s.CONTACT_TYPE, s.ATTENDANCE, s.DIAGNOSIS, s.PROVIDER),
        s.SUBSTANCE_ABUSE: (s.SUBSTANCE, s.END_REASON, s.PROVIDER),
        s.SOCIAL_BENEFITS: (s.BENEFIT,),
        s.SOCIAL_SERVICES: (s.SERVICE, s.PARAGRAPH, s.PROVIDER),
        s.PRIMARY_CARE: (s.KIND,),
    }
)
CATEGORIES: Final = (s.SEX, s.MUNICIPALITY)
_NO_GROUPS: Final = np.empty(0, dtype=np.int32)

Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of an event table; those of person p are `offsets[p]` to `offsets[p + 1]`, in order of start.

    Moments are microseconds: `ended` is never while the end is unknown, a point event ends when it
    starts; `known` is since when the row is known. `groups` are those of the diagnosis, one bit each.
    """

    offsets: Integers
    started: Integers
    ended: Integers
    known: Integers
    lag: int
    columns: Mapping[str, Coded]
    groups: Codes


@dataclass(frozen=True, slots=True)
class Persons:
    """What is fixed, by the number of the person: birth dates such as 19870205.0 and categories.

    `alive_until` is 24:00 of the day of death, or never. The last one is not in the register: nothing is
    known of them.
    """

    births: npt.NDArray[np.float64]
    alive_until: Integers
    categories: Mapping[str, Coded]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Tables in memory that can be looked back upon from the moments for which they were read.

    `numbers` has the number of each moment's person. `hospital_since` says of each diagnosis since when
    its contact was known to be one of the hospital. `reach` is how far back large tables were read.
    """

    numbers: Numbers
    persons: Persons
    tables: Mapping[str, Table]
    hospital_since: Integers
    reach: timedelta | None


_NEVER: Final = pl.lit(NEVER, dtype=pl.Int64)
_NOBODY: Final = pl.Series([NEVER], dtype=pl.Int64)  # one who is not known to have died
_NOT_BORN: Final = pl.lit(float("nan"))
_NO_TEXT: Final = pl.lit(NO_VALUE, dtype=pl.Int32)


def encode(
    rows: pl.LazyFrame, table: str, texts: Texts, lag: timedelta, *, is_numbered: bool
) -> pl.LazyFrame:
    """Turn what the views ask of a table into whole numbers; -1 stands for no text.

    Where contacts have no numbers yet (`contact`), their ids are numbered like any other text.
    """
    return rows.select(
        PERSON,
        *_encode_times(table, lag),
        *(
            pl.col(CONTACT) if column == CONTACT and is_numbered else _encode_column(table, column, texts)
            for column in COLUMNS[table]
        ),
    )


# Expressions are kept, since to make them takes as long as to run them for one citizen.


@cache
def _encode_times(table: str, lag: timedelta) -> tuple[pl.Expr, ...]:
    return (
        pl.col(s.STARTED_AT).to_physical(),
        compute_end(table).to_physical().fill_null(_NEVER),
        compute_known_since(lag).to_physical(),
    )


def encode_persons(persons: pl.LazyFrame, texts: Texts) -> pl.LazyFrame:
    """Turn what the views ask of persons into numbers beside their ids: a birth date is 19870205.0."""
    categories = (_encode_column(s.PERSONS, column, texts) for column in CATEGORIES)
    return persons.select(s.PERSON_ID, _encode_births(), _encode_deaths(), *categories)


@cache
def _encode_births() -> pl.Expr:
    birth = pl.col(s.BIRTH_DATE)
    number = birth.dt.year() * 10_000 + birth.dt.month().cast(pl.Int32) * 100 + birth.dt.day()
    return number.cast(pl.Float64).fill_null(_NOT_BORN)


@cache
def _encode_deaths() -> pl.Expr:
    return compute_alive_until().to_physical().fill_null(_NEVER)


def _encode_column(table: str, column: str, texts: Texts) -> pl.Expr:
    if _list_closed(table, column) is not None:
        return _encode_closed(table, column)
    values = pl.col(s.CONTACT_ID).alias(CONTACT) if column == CONTACT else pl.col(column)
    return values.cast(pl.Categorical(texts.of(column))).to_physical().cast(pl.Int32).fill_null(_NO_TEXT)


@cache
def _encode_closed(table: str, column: str) -> pl.Expr:
    # The order of a closed set is the schema's, whatever a frame that nobody checked may have.
    dtype = s.get_columns(table)[column]
    return pl.col(column).cast(dtype).to_physical().cast(pl.Int32).fill_null(_NO_TEXT)


def make_table(rows: pl.DataFrame, table: str, persons: int, lag: timedelta, texts: Texts) -> Table:
    """Make the arrays of encoded rows, which lie in order of person (nobody's first) and start."""
    columns = {column: _make_column(rows[column], table, texts) for column in COLUMNS[table]}
    diagnosis = columns.get(s.CODE if table == s.DIAGNOSES else s.DIAGNOSIS)
    return Table(
        offsets=_find_offsets(rows[PERSON], persons),
        started=_freeze(rows[s.STARTED_AT]),
        ended=_freeze(rows[s.ENDED_AT]),
        known=_freeze(rows[s.KNOWN_AT]),
        lag=lag // timedelta(microseconds=1),
        columns=MappingProxyType(columns),
        groups=_NO_GROUPS if diagnosis is None else _find_bits(diagnosis),
    )


def _make_column(codes: pl.Series, table: str, texts: Texts) -> Coded:
    numbers = _freeze(codes)
    if codes.name == CONTACT:
        return Coded(numbers, range(int(numbers.max(initial=NO_VALUE)) + 1))
    closed = _list_closed(table, codes.name)
    return Coded(numbers, texts.of(codes.name).to_series() if closed is None else closed)


@cache
def _list_closed(table: str, column: str) -> tuple[str, ...] | None:
    """List the values of a closed set, in their order."""
    dtype = s.get_columns(table).get(column)
    return tuple(dtype.categories) if isinstance(dtype, pl.Enum) else None


def make_persons(rows: pl.DataFrame, texts: Texts) -> Persons:
    """Make the arrays of encoded persons, and add the one who is not in the register."""
    coded = {column: _make_column(rows[column], s.PERSONS, texts) for column in CATEGORIES}
    return Persons(
        births=np.append(rows[s.BIRTH_DATE].to_numpy(), np.nan),
        alive_until=_freeze(rows[ALIVE_UNTIL].append(_NOBODY)),
        categories={
            column: Coded(np.append(codes.codes, np.int32(NO_VALUE)), codes.names)
            for column, codes in coded.items()
        },
    )


def _find_offsets(person: pl.Series, persons: int) -> Integers:
    counts = np.bincount(person.to_numpy() + 1, minlength=persons + 1)
    offsets = np.cumsum(counts, dtype=np.int64)
    offsets.flags.writeable = False
    return offsets


def _freeze(values: pl.Series) -> npt.NDArray[Any]:
    """Make all arrays alike, as loops are compiled anew for another kind."""
    array = np.ascontiguousarray(values.to_numpy())
    array.flags.writeable = False
    return array


def find_hospital_since(tables: Mapping[str, Table], persons: Persons) -> Integers:
    """Find since when the contact of each diagnosis was known to be one of the hospital, or never."""
    if s.DIAGNOSES not in tables:
        return np.empty(0, dtype=np.int64)
    diagnoses, contacts = tables[s.DIAGNOSES], tables[s.ADMISSIONS]
    own, other = diagnoses.columns[CONTACT], contacts.columns[CONTACT]
    return find_since(
        diagnoses.offsets,
        own.codes,
        contacts.offsets,
        other.codes,
        contacts.started,
        contacts.known,
        max(len(own), len(other)),
        persons.alive_until,
    )


def _find_bits(codes: Coded) -> Codes:
    """Find the groups that each diagnosis code belongs to, one bit each; a null code belongs to none."""
    bits = np.array([*map(_find_groups, codes.names), 0], dtype=np.int32)  # the last entry is no code's
    return bits[codes.codes]


@cache
def _find_groups(code: str) -> int:
    return sum(1 << bit for bit, group in enumerate(GROUPS) if code.startswith(load_groups()[group].prefixes))
