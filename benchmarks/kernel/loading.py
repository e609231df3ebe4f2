"""Loading: the tables of one bucket as arrays, the rows of each person together and in order of time.

Moments are microseconds. `known` is the moment after which a row may be seen: the later of its start and its
arrival. `ended` is `NEVER` where an event is open. Codes are small integers, and -1 or 255 where unknown.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk import schema as s
from somv_risk.codes import load_groups
from somv_risk.store import scan_store

Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
SmallCodes = npt.NDArray[np.uint8]
Groups = npt.NDArray[np.uint32]

NEVER = np.iinfo(np.int64).max
NEVER_DAY = 10_000_000
NO_CODE = -1
NO_SMALL_CODE = 255
GROUPS = tuple(load_groups())

_POSITION = "position"
_GROUPS = "groups"
_UNIT = "unit"
# It occurs in no name, so that A/B + C and A + B/C stay two units.
_SEPARATOR = "\x1f"
# A row announced before its event is not history until the event has begun.
_KNOWN = pl.max_horizontal(s.STARTED_AT, s.KNOWN_AT).alias(s.KNOWN_AT)
_MOMENTS = (s.PERSON_ID, s.STARTED_AT, _KNOWN, s.ENDED_AT)
_POINT_MOMENTS = (*_MOMENTS[:3], pl.col(s.ENDED_AT).fill_null(pl.col(s.STARTED_AT)))


class Contacts(NamedTuple):
    """Rows of `admissions`; `unit` is hospital and department together."""

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


class Diagnoses(NamedTuple):
    """Rows of `diagnoses` with a code in any group; `contact` is the row of `admissions` they belong to."""

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
    """Rows of `primary_care`; nobody asks for their end."""

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


def load_bucket(store: Path, bucket: int) -> Arrays:
    """Load one bucket of a store that has every table."""
    scans = scan_store(store, bucket).tables
    frames = _collect(
        {
            s.PERSONS: scans[s.PERSONS],
            s.ADMISSIONS: _scan_contacts(scans[s.ADMISSIONS]),
            s.DIAGNOSES: scans[s.DIAGNOSES].select(*_MOMENTS, s.CONTACT_ID, s.CODE),
            s.PSYCHIATRIC_CONTACTS: scans[s.PSYCHIATRIC_CONTACTS].select(
                *_POINT_MOMENTS, s.CONTACT_ID, s.CONTACT_TYPE, s.ATTENDANCE, s.PROVIDER, s.DIAGNOSIS
            ),
            s.SUBSTANCE_ABUSE: scans[s.SUBSTANCE_ABUSE].select(
                *_MOMENTS, s.EPISODE_ID, s.SUBSTANCE, s.END_REASON, s.PROVIDER
            ),
            s.SOCIAL_BENEFITS: scans[s.SOCIAL_BENEFITS].select(*_MOMENTS, s.BENEFIT),
            s.SOCIAL_SERVICES: scans[s.SOCIAL_SERVICES].select(*_MOMENTS, s.SERVICE, s.PARAGRAPH, s.PROVIDER),
            s.PRIMARY_CARE: scans[s.PRIMARY_CARE].select(s.PERSON_ID, s.STARTED_AT, _KNOWN, s.KIND),
        }
    )
    person_ids = frames[s.PERSONS][s.PERSON_ID]
    contacts = _order_ties(frames[s.ADMISSIONS], s.CONTACT_ID)
    psychiatric = _order_ties(frames[s.PSYCHIATRIC_CONTACTS], s.CONTACT_ID)
    treatments = _order_ties(frames[s.SUBSTANCE_ABUSE], s.EPISODE_ID)
    diagnoses = _find_contacts(_keep_grouped(frames[s.DIAGNOSES]), contacts)
    benefits, services = frames[s.SOCIAL_BENEFITS], frames[s.SOCIAL_SERVICES]
    primary_care = frames[s.PRIMARY_CARE]
    tables = Tables(
        persons=_load_persons(frames[s.PERSONS], store),
        contacts=Contacts(
            *_list_moments(contacts, person_ids),
            sector=_list_small_codes(contacts[s.SECTOR]),
            admission_type=_list_small_codes(contacts[s.ADMISSION_TYPE]),
            discharge=_list_small_codes(contacts[s.DISCHARGE]),
            hospital=_list_codes(contacts[s.HOSPITAL]),
            unit=_list_codes(contacts[_UNIT]),
            groups=_list_groups(contacts[s.DIAGNOSIS]),
        ),
        diagnoses=Diagnoses(
            *_list_moments(diagnoses, person_ids),
            groups=_freeze(diagnoses[_GROUPS]),
            contact=_freeze(diagnoses[_POSITION].cast(pl.Int32).fill_null(NO_CODE)),
        ),
        psychiatric=Psychiatric(
            *_list_moments(psychiatric, person_ids),
            contact_type=_list_small_codes(psychiatric[s.CONTACT_TYPE]),
            attendance=_list_small_codes(psychiatric[s.ATTENDANCE]),
            provider=_list_codes(psychiatric[s.PROVIDER]),
            groups=_list_groups(psychiatric[s.DIAGNOSIS]),
        ),
        treatments=Treatments(
            *_list_moments(treatments, person_ids),
            substance=_list_small_codes(treatments[s.SUBSTANCE]),
            end_reason=_list_small_codes(treatments[s.END_REASON]),
            provider=_list_codes(treatments[s.PROVIDER]),
        ),
        benefits=Benefits(
            *_list_moments(benefits, person_ids), benefit=_list_small_codes(benefits[s.BENEFIT])
        ),
        services=Services(
            *_list_moments(services, person_ids),
            service=_list_small_codes(services[s.SERVICE]),
            paragraph=_list_codes(services[s.PARAGRAPH]),
            provider=_list_codes(services[s.PROVIDER]),
        ),
        primary_care=PrimaryCare(
            _find_offsets(primary_care, person_ids),
            _freeze(primary_care[s.STARTED_AT].to_physical()),
            _freeze(primary_care[s.KNOWN_AT].to_physical()),
            kind=_list_small_codes(primary_care[s.KIND]),
        ),
    )
    return Arrays(person_ids, tables)


def _collect(scans: Mapping[str, pl.LazyFrame]) -> dict[str, pl.DataFrame]:
    return dict(zip(scans, pl.collect_all(scans.values()), strict=True))


def _scan_contacts(admissions: pl.LazyFrame) -> pl.LazyFrame:
    unit = pl.concat_str(pl.col(s.HOSPITAL).fill_null(""), pl.lit(_SEPARATOR), pl.col(s.DEPARTMENT))
    return admissions.select(
        *_MOMENTS,
        s.CONTACT_ID,
        s.SECTOR,
        s.ADMISSION_TYPE,
        s.DISCHARGE,
        s.HOSPITAL,
        unit.alias(_UNIT),
        s.DIAGNOSIS,
    )


def _order_ties(events: pl.DataFrame, identity: str) -> pl.DataFrame:
    """Order rows of a person that start together by their id; sort only if they are not already so."""

    def before(column: str) -> pl.Expr:
        return pl.col(column).shift(1)

    is_tied = (pl.col(s.PERSON_ID) == before(s.PERSON_ID)) & (pl.col(s.STARTED_AT) == before(s.STARTED_AT))
    is_out_of_order = is_tied & (pl.col(identity) < before(identity))
    if events.select(is_out_of_order.any()).item():
        return events.sort(s.PERSON_ID, s.STARTED_AT, identity)
    return events


# Persons


def _load_persons(persons: pl.DataFrame, store: Path) -> Persons:
    birth = pl.col(s.BIRTH_DATE)
    number = birth.dt.year().cast(pl.Int64) * 10_000 + birth.dt.month().cast(pl.Int64) * 100 + birth.dt.day()
    sexes, municipalities = _list_categories(store)
    return Persons(
        birth=_freeze(persons.select(number).to_series()),
        death_day=_list_days(persons[s.DEATH_DATE], NEVER_DAY),
        observed_from_day=_list_days(persons[s.OBSERVED_FROM], -NEVER_DAY),
        observed_until_day=_list_days(persons[s.OBSERVED_UNTIL], NEVER_DAY),
        sex=_place_categories(persons[s.SEX], sexes),
        municipality=_place_categories(persons[s.MUNICIPALITY], municipalities),
    )


@cache
def _list_categories(store: Path) -> tuple[list[str], list[str]]:
    """List the sexes and the municipalities that occur in the whole store, sorted."""
    persons = scan_store(store).persons
    distinct = [persons.select(pl.col(column).cast(pl.String).unique()) for column in (s.SEX, s.MUNICIPALITY)]
    sexes, municipalities = (
        frame.to_series().drop_nulls().sort().to_list() for frame in pl.collect_all(distinct)
    )
    return sexes, municipalities


def _place_categories(values: pl.Series, categories: list[str]) -> npt.NDArray[np.float32]:
    places = values.cast(pl.String).replace_strict(
        categories, range(len(categories)), default=None, return_dtype=pl.Float32
    )
    return _freeze(places.fill_null(float("nan")))


def _list_days(dates: pl.Series, when_null: int) -> Integers:
    return _freeze(dates.to_physical().cast(pl.Int64).fill_null(when_null))


# Events


def _list_moments(
    events: pl.DataFrame, person_ids: pl.Series
) -> tuple[Integers, Integers, Integers, Integers]:
    return (
        _find_offsets(events, person_ids),
        _freeze(events[s.STARTED_AT].to_physical()),
        _freeze(events[s.KNOWN_AT].to_physical()),
        _freeze(events[s.ENDED_AT].to_physical().fill_null(NEVER)),
    )


def _find_offsets(events: pl.DataFrame, person_ids: pl.Series) -> Integers:
    """Find where the rows of each person begin; the last offset is the number of rows.

    The rows of a person stand together, so that only the first of each has to be looked up.
    """
    ids = events[s.PERSON_ID]
    begins = (ids != ids.shift(1)).fill_null(value=True).arg_true()
    found = (
        ids.gather(begins)
        .to_frame()
        .join(
            person_ids.to_frame().with_row_index(_POSITION), on=s.PERSON_ID, how="left", maintain_order="left"
        )[_POSITION]
    )
    if found.null_count() or not (found.diff().drop_nulls() > 0).all():
        raise ValueError("The rows of a table are not sorted by persons of the bucket. Ingest again.")
    rows = np.zeros(person_ids.len() + 1, dtype=np.int64)
    rows[found.to_numpy() + 1] = np.diff(begins.to_numpy(), append=events.height)
    return _freeze_array(np.cumsum(rows))


def _list_small_codes(values: pl.Series) -> SmallCodes:
    """List the places of values in their closed set."""
    return _freeze(values.to_physical().cast(pl.UInt8).fill_null(NO_SMALL_CODE))


def _list_codes(texts: pl.Series) -> Codes:
    """Number the texts that occur."""
    return _freeze(_number(texts).to_physical().cast(pl.Int32).fill_null(NO_CODE))


def _number(texts: pl.Series) -> pl.Series:
    # Categories of their own start at 0 for every column.
    return texts.cast(pl.Categorical(pl.Categories.random()))


# Diagnoses


def _list_groups(codes: pl.Series) -> Groups:
    """List the groups of each diagnosis as bits; each distinct code is looked up once."""
    numbered = _number(codes)
    distinct = numbered.drop_nulls().unique()
    groups = np.zeros(distinct.len() + 1, dtype=np.uint32)
    groups[distinct.to_physical().to_numpy()] = [_find_groups(code) for code in distinct.cast(pl.String)]
    # A null code is the last place, which has no group.
    return _freeze_array(groups[numbered.to_physical().fill_null(distinct.len()).to_numpy()])


def _find_groups(code: str) -> int:
    groups = load_groups()
    return sum(code.startswith(groups[name].prefixes) << bit for bit, name in enumerate(GROUPS))


def _keep_grouped(diagnoses: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows that belong to any group; no feature counts the others."""
    return diagnoses.with_columns(pl.Series(_GROUPS, _list_groups(diagnoses[s.CODE]))).filter(
        pl.col(_GROUPS) > 0
    )


def _find_contacts(diagnoses: pl.DataFrame, contacts: pl.DataFrame) -> pl.DataFrame:
    """Add the row of the person's hospital contact that a diagnosis belongs to, if there is one."""
    key = [s.PERSON_ID, s.CONTACT_ID]
    return diagnoses.join(
        contacts.select(*key).with_row_index(_POSITION), on=key, how="left", maintain_order="left"
    )


# Code is compiled anew for another kind of array, so that all are alike: in one piece and read-only.


def _freeze(values: pl.Series) -> npt.NDArray[Any]:
    return _freeze_array(values.to_numpy())


def _freeze_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    frozen = np.ascontiguousarray(array)
    frozen.flags.writeable = False
    return frozen
