"""Loading: the tables of one bucket as arrays, the rows of each person together and in order of time.

The store keeps rows in this order and numbers persons and contacts, so that nothing is sorted or looked up.
Moments are microseconds. `known` is the moment after which a row may be seen: the later of its start and its
arrival. `ended` is `NEVER` where an event is open. Codes are small integers, and -1 or 255 where unknown.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.kernel.columns import compiled
from somv_risk.registers import schema as s
from somv_risk.registers.codes import load_groups
from somv_risk.registers.histories import CONTACT, PERSON
from somv_risk.store import scan_store

Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
SmallCodes = npt.NDArray[np.uint8]
Groups = npt.NDArray[np.uint32]
Number = TypeVar("Number", bound=np.generic)

NEVER = np.iinfo(np.int64).max
NEVER_DAY = 10_000_000
NO_CODE = -1
NO_SMALL_CODE = 255
GROUPS = tuple(load_groups())

_UNIT = "unit"
_STARTED = pl.col(s.STARTED_AT).to_physical()
_ENDED = pl.col(s.ENDED_AT).to_physical()
# A row announced before its event is not history until the event has begun.
_KNOWN = pl.max_horizontal(s.STARTED_AT, s.KNOWN_AT).to_physical().alias(s.KNOWN_AT)
_POINT_MOMENTS = (PERSON, _STARTED, _KNOWN, _ENDED.fill_null(_STARTED))
_MOMENTS = (PERSON, _STARTED, _KNOWN, _ENDED.fill_null(NEVER))


class Contacts(NamedTuple):
    """Rows of `admissions`; `unit` is hospital and department, `contact` a number of the person's."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers
    sector: SmallCodes
    admission_type: SmallCodes
    discharge: SmallCodes
    hospital: Codes
    unit: Codes
    groups: Groups
    contact: Codes


class Diagnoses(NamedTuple):
    """Rows of `diagnoses`; `contact` is the number of the person's contact they belong to."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers
    groups: Groups
    contact: Codes


class Psychiatric(NamedTuple):
    """Rows of `psychiatric_contacts`, those without an end ended where they started."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers
    contact_type: SmallCodes
    attendance: SmallCodes
    provider: Codes
    groups: Groups


class Treatments(NamedTuple):
    """Rows of `substance_abuse`."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers
    substance: SmallCodes
    end_reason: SmallCodes
    provider: Codes


class Benefits(NamedTuple):
    """Rows of `social_benefits`."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers
    benefit: SmallCodes


class Services(NamedTuple):
    """Rows of `social_services`."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers
    service: SmallCodes
    paragraph: Codes
    provider: Codes


class PrimaryCare(NamedTuple):
    """Rows of `primary_care` that are young enough; nobody asks for their end."""

    offsets: Integers
    started: Integers
    known: Integers
    kind: SmallCodes


class Persons(NamedTuple):
    """One row per person: dates as days since 1970, `birth` as the number 19870205, places of categories."""

    birth: Integers
    death_day: Integers
    observed_from_day: Integers
    observed_until_day: Integers
    sex: npt.NDArray[np.float32]
    municipality: npt.NDArray[np.float32]


class Tables(NamedTuple):
    """All that the compiled code reads."""

    persons: Persons
    contacts: Contacts
    diagnoses: Diagnoses
    psychiatric: Psychiatric
    treatments: Treatments
    benefits: Benefits
    services: Services
    primary_care: PrimaryCare


class Arrays(NamedTuple):
    """A bucket: the ids of its persons, whose places are their numbers, and its tables."""

    person_ids: pl.Series
    tables: Tables


def load_bucket(store: Path, bucket: int, primary_care_since: datetime) -> Arrays:
    """Load one bucket of a store that has every table; of primary care what is not too old."""
    stored = scan_store(store, bucket).numbered
    is_young = pl.col(s.STARTED_AT) >= primary_care_since
    # In the order of the fields, the person in the place of the offsets.
    persons, *events = pl.collect_all(
        (
            _scan_persons(stored[s.PERSONS]),
            stored[s.ADMISSIONS].select(
                *_MOMENTS,
                *map(_list_small_codes, (s.SECTOR, s.ADMISSION_TYPE, s.DISCHARGE)),
                *_list_units(),
                _number(s.DIAGNOSIS),
                CONTACT,
            ),
            stored[s.DIAGNOSES].select(*_MOMENTS, _number(s.CODE), CONTACT),
            stored[s.PSYCHIATRIC_CONTACTS].select(
                *_POINT_MOMENTS,
                *map(_list_small_codes, (s.CONTACT_TYPE, s.ATTENDANCE)),
                _list_codes(s.PROVIDER),
                _number(s.DIAGNOSIS),
            ),
            stored[s.SUBSTANCE_ABUSE].select(
                *_MOMENTS,
                *map(_list_small_codes, (s.SUBSTANCE, s.END_REASON)),
                _list_codes(s.PROVIDER),
            ),
            stored[s.SOCIAL_BENEFITS].select(*_MOMENTS, _list_small_codes(s.BENEFIT)),
            stored[s.SOCIAL_SERVICES].select(
                *_MOMENTS,
                _list_small_codes(s.SERVICE),
                *map(_list_codes, (s.PARAGRAPH, s.PROVIDER)),
            ),
            stored[s.PRIMARY_CARE]
            .filter(is_young)
            .select(PERSON, _STARTED, _KNOWN, _list_small_codes(s.KIND)),
        ),
        engine="in-memory",
    )
    kinds = (Contacts, Diagnoses, Psychiatric, Treatments, Benefits, Services, PrimaryCare)
    arrays = (kind(*_list_arrays(frame, persons.height)) for kind, frame in zip(kinds, events, strict=True))
    return Arrays(persons[s.PERSON_ID], Tables(_load_persons(persons, store), *arrays))


# Persons


def _scan_persons(persons: pl.LazyFrame) -> pl.LazyFrame:
    birth = pl.col(s.BIRTH_DATE).dt
    year, month, day = (part.cast(pl.Int64) for part in (birth.year(), birth.month(), birth.day()))
    return persons.select(
        s.PERSON_ID,
        year * 10_000 + month * 100 + day,
        _list_days(s.DEATH_DATE, NEVER_DAY),
        _list_days(s.OBSERVED_FROM, -NEVER_DAY),
        _list_days(s.OBSERVED_UNTIL, NEVER_DAY),
        *map(_number, (s.SEX, s.MUNICIPALITY)),
    )


def _list_days(column: str, when_null: int) -> pl.Expr:
    return pl.col(column).to_physical().cast(pl.Int64).fill_null(when_null)


def _load_persons(persons: pl.DataFrame, store: Path) -> Persons:
    birth, died, since, until, sex, municipality = persons.drop(s.PERSON_ID).iter_columns()
    sexes, municipalities = _list_categories(store)
    return Persons(
        *map(_freeze, (birth, died, since, until)),
        sex=_place_categories(sex, sexes),
        municipality=_place_categories(municipality, municipalities),
    )


@cache
def _list_categories(store: Path) -> tuple[list[str], list[str]]:
    """List the sexes and the municipalities that occur in the whole store, sorted."""
    pairs = scan_store(store).persons.select(s.SEX, s.MUNICIPALITY).unique().collect()
    sexes, municipalities = (
        pairs[column].cast(pl.String).drop_nulls().unique().sort().to_list() for column in pairs.columns
    )
    return sexes, municipalities


def _place_categories(values: pl.Series, categories: list[str]) -> npt.NDArray[np.float32]:
    places = {value: place for place, value in enumerate(categories)}
    return _look_up(values, places.__getitem__, np.nan, np.float32)


# Events


def _list_small_codes(column: str) -> pl.Expr:
    """List the places of values in their closed set."""
    return pl.col(column).to_physical().cast(pl.UInt8).fill_null(NO_SMALL_CODE)


def _list_codes(column: str) -> pl.Expr:
    """List the numbers of the texts that occur."""
    return _number(column).to_physical().cast(pl.Int32).fill_null(NO_CODE)


def _list_units() -> tuple[pl.Expr, pl.Expr]:
    """List the hospitals, and the units: each department of each hospital, and each one of no hospital."""
    hospital, department = _list_codes(s.HOSPITAL), _list_codes(s.DEPARTMENT)
    unit = (hospital + 1) * (department.max() + 1) + department
    return hospital, pl.when(department != NO_CODE).then(unit).otherwise(NO_CODE).alias(_UNIT)


def _number(column: str) -> pl.Expr:
    # Categories of their own start at 0 for every column.
    return pl.col(column).cast(pl.Categorical(pl.Categories.random()))


def _list_arrays(events: pl.DataFrame, persons: int) -> tuple[npt.NDArray[Any], ...]:
    """List the columns as arrays, with offsets in the place of the person, groups in that of diagnoses."""
    person, *others = events.iter_columns()
    return (
        _find_offsets(person, persons),
        *(
            _look_up(values, _find_groups, 0, np.uint32)
            if isinstance(values.dtype, pl.Categorical)
            else _freeze(values)
            for values in others
        ),
    )


def _find_offsets(person: pl.Series, persons: int) -> Integers:
    """Find where the rows of each person begin, and where the last end; those of nobody come first."""
    rows = np.zeros(persons + 1, np.int64)
    _count_rows(rows, _freeze(person))
    return _freeze_array(np.cumsum(rows))


@compiled
def _count_rows(rows: Integers, person: Codes) -> None:
    for r in range(person.size):
        rows[person[r] + 1] += 1


def _look_up(
    texts: pl.Series, find: Callable[[str], float], when_null: float, kind: type[Number]
) -> npt.NDArray[Number]:
    """Find a number for each text; each distinct one is looked up once."""
    distinct = texts.dtype.categories.to_series()
    numbers = np.array([*map(find, distinct), when_null], kind)
    return _freeze_array(numbers[texts.to_physical().fill_null(len(distinct)).to_numpy()])


@cache
def _find_groups(code: str) -> int:
    """Find the groups of a diagnosis as bits."""
    groups = load_groups()
    return sum(code.startswith(groups[name].prefixes) << bit for bit, name in enumerate(GROUPS))


# Code is compiled anew for another kind of array, so that all are alike: in one piece and read-only.


def _freeze(values: pl.Series) -> npt.NDArray[Any]:
    return _freeze_array(values.to_numpy())


def _freeze_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    frozen = np.ascontiguousarray(array)
    frozen.flags.writeable = False
    return frozen
