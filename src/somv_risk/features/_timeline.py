"""The time line: what was known of each person before each index moment, placed by age."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.bounds import BOUNDS
from somv_risk.cohort.stays import ADMISSION_MINIMUM, MERGE_GAP
from somv_risk.features._loops import (
    NEVER,
    NO_VALUE,
    Integers,
    Mask,
    Moments,
    Places,
    assume_ends,
    find_seen,
    join_spells,
    order_ties,
)
from somv_risk.features._tables import LARGE_TABLES, Numbers, Prepared, Table
from somv_risk.features._texts import Coded
from somv_risk.registers import schema as s

MOMENT: Final = "moment"
AT_THE_INDEX: Final = 0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows of a table as seen from index moments: row i is the table's row `row[i]`, seen from `moment[i]`.

    They lie in order of moment and start. Ages are microseconds before the index; that of an end which is
    not known is 0. `is_bounded` says which rows were ended by a bound, if any were: nothing that is learnt
    at an end is known of them.
    """

    name: str
    table: Table
    row: Places
    moment: Moments
    start_age: Integers
    end_age: Integers
    is_bounded: Mask | None = None

    def __len__(self) -> int:
        return len(self.row)

    def take(self, kept: Mask) -> "Seen":
        """Take some of the rows."""
        rows = np.flatnonzero(kept)
        return Seen(
            self.name,
            self.table,
            self.row[rows],
            self.moment[rows],
            self.start_age[rows],
            self.end_age[rows],
            None if self.is_bounded is None else self.is_bounded[rows],
        )

    def get(self, column: str) -> Coded:
        """Return a column; what is learnt at the end of an event is none before."""
        coded = self.table.columns[column]
        codes = coded.codes[self.row]
        if column in s.list_learnt_at_end(self.name):
            codes = np.where(self.has_known_end, codes, np.int32(NO_VALUE))
        return Coded(codes, coded.names)

    @property
    def groups(self) -> Integers:
        """Groups of the diagnosis, one bit each; none while it is not known."""
        return np.where(self.has_known_end, self.table.groups[self.row], 0)

    @property
    def is_over(self) -> Mask:
        """Whether a row has ended, as is known or by a bound."""
        is_over: Mask = self.end_age > AT_THE_INDEX
        return is_over

    @property
    def has_known_end(self) -> Mask:
        """Whether the end is known, and with it what is learnt there."""
        return self.is_over if self.is_bounded is None else self.is_over & ~self.is_bounded


@dataclass(frozen=True, slots=True)
class Stays:
    """Stays made of the known hospital contacts, in order of moment and start; an open one has end age 0.

    What is said of the first contact (of several that start together, an acute one): `sector`,
    `diagnosis`, `is_acute`; of the one that ended last: `discharge`, none while the stay is open; of any:
    `has_psychiatric`. A stay is an admission once it has lasted 12 hours.
    """

    moment: Moments
    start_age: Integers
    end_age: Integers
    sector: Coded
    diagnosis: Coded
    discharge: Coded
    is_acute: Mask
    has_psychiatric: Mask

    @property
    def lasted(self) -> Integers:
        """Microseconds up to the end, or to the index."""
        return self.start_age - self.end_age

    @property
    def is_admission(self) -> Mask:
        """Whether a stay has lasted 12 hours."""
        is_admission: Mask = self.lasted >= ADMISSION_MINIMUM // timedelta(microseconds=1)
        return is_admission

    def admissions(self) -> "Stays":
        """Keep the stays that are admissions."""
        rows = np.flatnonzero(self.is_admission)
        return Stays(
            self.moment[rows],
            self.start_age[rows],
            self.end_age[rows],
            self.sector.take(rows),
            self.diagnosis.take(rows),
            self.discharge.take(rows),
            self.is_acute[rows],
            self.has_psychiatric[rows],
        )


class Timeline:
    """Known events seen from index moments: the person with the number `person[i]` at `index[i]`."""

    def __init__(self, prepared: Prepared, person: Numbers, index: Integers) -> None:
        self.persons = prepared.persons
        self.person, self.index = person, index
        self._prepared = prepared
        self._seen: dict[str, Seen] = {}
        self.views: dict[object, Any] = {}  # those built, by what builds them
        self._repeated: dict[float | None, Floats] = {}

    @property
    def size(self) -> int:
        """How many moments are looked back from."""
        return len(self.index)

    def repeat(self, value: float | None) -> Floats:
        """Say the same of each moment; NaN stands for nothing."""
        if value not in self._repeated:
            column = np.full(self.size, np.nan if value is None else value, dtype=np.float64)
            column.flags.writeable = False  # as many features share it
            self._repeated[value] = column
        return self._repeated[value]

    def see(self, name: str) -> Seen:
        """See the rows of a table that were known at each moment."""
        if name not in self._seen:
            self._seen[name] = self._see(name)
        return self._seen[name]

    def _see(self, name: str) -> Seen:
        table, reach = self._prepared.tables[name], self._prepared.reach
        is_cut = name in LARGE_TABLES and reach is not None
        found = find_seen(
            self.person,
            self.index,
            table.offsets,
            table.started,
            table.ended,
            table.known,
            table.lag,
            reach // timedelta(microseconds=1) if is_cut and reach else NEVER,
            self.persons.alive_until,
        )
        seen = self._mark_ended_by_death(Seen(name, table, *found))
        return _assume_ends(seen) if name == s.ADMISSIONS else seen

    def _mark_ended_by_death(self, seen: Seen) -> Seen:
        """Mark the rows whose end is not known, where anybody has died before the index."""
        if not self._has_dead:
            return seen
        latest_known = self.index[seen.moment] - seen.table.lag
        return replace(seen, is_bounded=seen.is_over & (seen.table.ended[seen.row] >= latest_known))

    @cached_property
    def _has_dead(self) -> bool:
        return bool((self.persons.alive_until[self.person] < self.index).any())

    def is_of_hospital(self, diagnoses: Seen) -> Mask:
        """Whether the contact of each diagnosis was known to be one of the hospital."""
        known: Mask = self._prepared.hospital_since[diagnoses.row] < self.index[diagnoses.moment]
        return known

    @cached_property
    def stays(self) -> Stays:
        """What the known hospital contacts were part of."""
        contacts = self.see(s.ADMISSIONS)
        kind, sector = contacts.get(s.ADMISSION_TYPE), contacts.get(s.SECTOR)
        order = order_ties(contacts.moment, contacts.start_age, kind.codes)
        moment = contacts.moment[order]
        start_age, end_age = contacts.start_age[order], contacts.end_age[order]
        spell, first, farthest = join_spells(
            moment,
            np.zeros(len(order), dtype=np.int32),
            1,
            start_age,
            end_age,
            MERGE_GAP // timedelta(microseconds=1),
        )
        has_psychiatric = np.zeros(len(first), dtype=np.bool_)
        has_psychiatric[spell[sector.take(order).are("psychiatric")]] = True
        return Stays(
            moment=moment[first],
            start_age=start_age[first],
            end_age=end_age[farthest],
            sector=sector.take(order[first]),
            diagnosis=contacts.get(s.DIAGNOSIS).take(order[first]),
            discharge=contacts.get(s.DISCHARGE).take(order[farthest]),
            is_acute=kind.take(order[first]).are("acute"),
            has_psychiatric=has_psychiatric,
        )


_SECTOR_BOUNDS: Final = np.array(
    [*(BOUNDS[sector].length // timedelta(microseconds=1) for sector in s.SECTORS), NEVER], dtype=np.int64
)  # the last entry is that of no sector


def _assume_ends(contacts: Seen) -> Seen:
    """Let the contacts end that have been open for longer than the bound of their sector."""
    is_bounded = contacts.is_bounded
    is_open = ~contacts.is_over if is_bounded is None else ~contacts.is_over | is_bounded
    open_for = contacts.start_age - contacts.end_age
    rows = np.flatnonzero(is_open & (open_for > _SECTOR_BOUNDS.min()))
    if not len(rows):
        return contacts
    bounds = _SECTOR_BOUNDS[contacts.table.columns[s.SECTOR].codes[contacts.row[rows]]]
    rows, bounds = rows[open_for[rows] > bounds], bounds[open_for[rows] > bounds]
    end_age, ended = contacts.end_age.copy(), np.zeros(len(contacts), dtype=np.bool_)
    assume_ends(contacts.moment, contacts.start_age, end_age, rows, bounds)
    ended[rows] = True
    return replace(contacts, end_age=end_age, is_bounded=ended if is_bounded is None else ended | is_bounded)


def to_microseconds(moments: pl.Series) -> Integers:
    """Return moments as microseconds."""
    return moments.cast(pl.Int64).to_numpy()
