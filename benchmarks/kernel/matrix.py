"""Matrix: from a store to one float32 matrix per index time, all features of all eligible persons."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.kernel.benefits import fill_benefits
from benchmarks.kernel.columns import (
    FEATURE_NAMES,
    WITHOUT_EVENTS,
    check_all_are_filled,
    compiled,
    find_column,
)
from benchmarks.kernel.contacts import fill_contacts
from benchmarks.kernel.diagnoses import COUNTED, fill_diagnoses
from benchmarks.kernel.discharges import LONGEST_FOLLOWED_UP, fill_discharges
from benchmarks.kernel.loading import Arrays, Tables, load_bucket
from benchmarks.kernel.measures import Integers, Row, Sums, Tally, make_sums, make_tally
from benchmarks.kernel.primary_care import LONGEST_BACK, fill_primary_care
from benchmarks.kernel.psychiatry import fill_psychiatric
from benchmarks.kernel.sectors import ACTIVE_SECTORS, note_stays, write_sectors
from benchmarks.kernel.services import fill_services
from benchmarks.kernel.spells import Spells, make_spells
from benchmarks.kernel.stays import (
    Stays,
    fill_admissions,
    fill_stays,
    keep_admissions,
    make_stays,
    merge_stays,
)
from benchmarks.kernel.substance import fill_treatments
from somv_risk.registers import schema as s
from somv_risk.store import read_manifest

Matrix = npt.NDArray[np.float32]

EPOCH = datetime(1970, 1, 1)
MINIMUM_AGE_YEARS, MINIMUM_RESIDENCE_DAYS = 18, 365
PRIMARY_CARE_REACH = timedelta(microseconds=max(LONGEST_BACK, LONGEST_FOLLOWED_UP))
# Long and short histories do not lie evenly: small pieces keep all threads at work until the end.
ROWS_PER_PIECE = 4096

AGE, SEX, MUNICIPALITY = map(find_column, ("age", "sex", "municipality"))
check_all_are_filled()


class Scratch(NamedTuple):
    """Room for one person at a time, used again for the next."""

    sums: Sums
    tally: Tally
    stays: Stays
    admissions: Stays
    spells: Spells
    ages: Integers
    youngest: Integers
    sectors: Integers


class Sizes(NamedTuple):
    """The most that one person needs of each room."""

    codes: int
    contact_numbers: int
    contacts: int
    spells: int
    ages: int


def build_matrix(store: Path, index_times: Sequence[datetime]) -> list[tuple[pl.Series, Matrix]]:
    """Build, for each index time, the ids of the eligible persons and their features, one row each.

    Persons are sorted within a bucket. Each bucket is loaded once, while the one before it is computed.
    """
    # Room for every person costs nothing until it is written to.
    shape = (read_manifest(store)["rows"][s.PERSONS], len(FEATURE_NAMES))
    matrices = [np.empty(shape, np.float32) for _ in index_times]
    ids: list[list[pl.Series]] = [[] for _ in index_times]
    filled = [0 for _ in index_times]
    for arrays in load_buckets(store, index_times):
        for number, index_time in enumerate(index_times):
            rows = list_eligible(arrays, index_time)
            begin, end = filled[number], filled[number] + rows.size
            fill_matrix(arrays, index_time, rows, matrices[number][begin:end])
            ids[number].append(arrays.person_ids.gather(rows))
            filled[number] = end
    return [
        (pl.concat(parts), matrix[:end]) for parts, matrix, end in zip(ids, matrices, filled, strict=True)
    ]


def load_buckets(store: Path, index_times: Sequence[datetime]) -> Iterator[Arrays]:
    """Load what the index times need of each bucket, in order, while the one before it is computed."""
    load = partial(load_bucket, store, primary_care_since=min(index_times) - PRIMARY_CARE_REACH)
    with ThreadPoolExecutor(1) as loader:
        upcoming = loader.submit(load, 0)
        for bucket in range(1, read_manifest(store)["buckets"]):
            loaded = upcoming.result()
            upcoming = loader.submit(load, bucket)
            yield loaded
        yield upcoming.result()


def list_eligible(arrays: Arrays, index_time: datetime) -> Integers:
    """List the persons of the default cohort: alive, 18 or older, resident for 365 days before the index."""
    persons = arrays.tables.persons
    moment = index_time - EPOCH
    # Dates are midnights: one lies before a moment of the same day that is later than midnight.
    first_day_not_before = -(-moment // timedelta(days=1))
    last_day_not_after = moment // timedelta(days=1)
    birth_day = _number_date(index_time.date())
    is_eligible = (
        (birth_day - persons.birth >= MINIMUM_AGE_YEARS * 10_000)
        & (persons.death_day >= first_day_not_before)
        & (persons.observed_until_day > last_day_not_after)
        & (persons.observed_from_day <= last_day_not_after - MINIMUM_RESIDENCE_DAYS)
    )
    return np.flatnonzero(is_eligible)


def fill_matrix(arrays: Arrays, index_time: datetime, rows: Integers, out: Matrix) -> None:
    """Fill one line of `out` for each person in `rows`, on all threads."""
    index = (index_time - EPOCH) // timedelta(microseconds=1)
    today = _number_date(index_time.date())
    sizes = _find_sizes(arrays.tables)

    def fill(begin: int) -> None:
        piece = slice(begin, begin + ROWS_PER_PIECE)
        _fill_rows(arrays.tables, _make_scratch(sizes), index, today, rows[piece], out[piece])

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(0, rows.size, ROWS_PER_PIECE)))


def _number_date(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _find_sizes(tables: Tables) -> Sizes:
    def most(offsets: Integers) -> int:
        return int(np.diff(offsets).max(initial=0))

    coded = (
        *(tables.contacts.hospital, tables.contacts.unit, tables.psychiatric.provider),
        *(tables.treatments.provider, tables.services.paragraph, tables.services.provider),
    )
    contacts = most(tables.contacts.offsets)
    numbered = (tables.contacts.contact, tables.diagnoses.contact)
    spelled = (tables.treatments, tables.benefits, tables.services)
    return Sizes(
        codes=1 + max(int(codes.max(initial=0)) for codes in coded),
        contact_numbers=1 + max(int(numbers.max(initial=0)) for numbers in numbered),
        contacts=contacts,
        spells=max(most(table.offsets) for table in spelled),
        ages=max(contacts, most(tables.primary_care.offsets)),
    )


def _make_scratch(sizes: Sizes) -> Scratch:
    return Scratch(
        make_sums(),
        make_tally(sizes.codes),
        make_stays(sizes.contacts),
        make_stays(sizes.contacts),
        make_spells(sizes.spells),
        np.empty(sizes.ages, np.int64),
        np.empty((sizes.contact_numbers, len(COUNTED)), np.int64),
        np.zeros(len(ACTIVE_SECTORS.windows), np.int64),
    )


@compiled
def _fill_rows(
    tables: Tables, scratch: Scratch, index: int, today: int, persons: Integers, out: Matrix
) -> None:
    for i in range(persons.size):
        for place in range(WITHOUT_EVENTS.size):
            out[i, place] = WITHOUT_EVENTS[place]
        _fill_row(out[i], scratch, tables, persons[i], index)
        out[i, AGE.first] = (today - tables.persons.birth[persons[i]]) // 10_000
        out[i, SEX.first] = tables.persons.sex[persons[i]]
        out[i, MUNICIPALITY.first] = tables.persons.municipality[persons[i]]


@compiled
def _fill_row(row: Row, scratch: Scratch, tables: Tables, person: int, index: int) -> None:
    _fill_hospital(row, scratch, tables, person, index)
    fill_diagnoses(
        row, scratch.youngest, tables.contacts, tables.diagnoses, tables.psychiatric, person, index
    )
    sums, tally, spells, sectors = scratch.sums, scratch.tally, scratch.spells, scratch.sectors
    fill_psychiatric(row, sums, tally, sectors, tables.psychiatric, person, index)
    fill_treatments(row, sums, tally, spells, sectors, scratch.admissions, tables.treatments, person, index)
    fill_benefits(row, sums, spells, tables.benefits, person, index)
    fill_services(row, sums, tally, spells, sectors, tables.services, person, index)
    fill_primary_care(row, sums, scratch.ages, tables.primary_care, person, index)
    write_sectors(row, sectors)


@compiled
def _fill_hospital(row: Row, scratch: Scratch, tables: Tables, person: int, index: int) -> None:
    sums, stays, admissions = scratch.sums, scratch.stays, scratch.admissions
    merge_stays(stays, tables.contacts, person, index)
    keep_admissions(admissions, stays)
    if stays.found[0] == 0:
        return
    fill_stays(row, sums, scratch.ages, stays)
    fill_admissions(row, sums, scratch.ages, admissions)
    fill_discharges(row, sums, admissions, tables.psychiatric, tables.primary_care, person, index)
    fill_contacts(row, sums, scratch.tally, tables.contacts, person, index)
    note_stays(scratch.sectors, stays)
