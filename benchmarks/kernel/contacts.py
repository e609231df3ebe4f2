"""Contacts: with which hospitals and departments the person had to do, and how often they changed."""

from benchmarks.kernel.columns import compiled, find_column, find_single
from benchmarks.kernel.events import (
    Events,
    count_different,
    count_newcomers,
    find_start_age,
    is_seen,
    look_at,
)
from benchmarks.kernel.loading import Codes, Contacts
from benchmarks.kernel.measures import (
    Row,
    Sums,
    Tally,
    clear,
    count_pair,
    is_new,
    write_concentration,
    write_continuity,
    write_entropy,
    write_share,
)

HOSPITALS = find_column("hospitals")
DEPARTMENTS = find_column("departments")
DEPARTMENT_CONTINUITY = find_column("department_continuity")
DEPARTMENT_ENTROPY = find_column("department_entropy")
DEPARTMENT_CONCENTRATION = find_column("department_concentration")
DEPARTMENT_SEQUENCE = find_single("department_sequence")
NEW_DEPARTMENTS = find_column("new_departments")


@compiled
def fill_contacts(row: Row, sums: Sums, tally: Tally, contacts: Contacts, person: int, index: int) -> None:
    events = look_at(contacts, person, index)
    count_different(row, HOSPITALS, tally, events, contacts.hospital)
    count_different(row, DEPARTMENTS, tally, events, contacts.unit)
    count_newcomers(row, NEW_DEPARTMENTS, tally, events, contacts.unit)
    for w in range(len(DEPARTMENT_CONTINUITY.windows)):
        met = _tally_units(tally, events, contacts.unit, DEPARTMENT_CONTINUITY.windows[w])
        write_continuity(row, DEPARTMENT_CONTINUITY.first + w, tally, met)
        write_entropy(row, DEPARTMENT_ENTROPY.first + w, tally, met)
        write_concentration(row, DEPARTMENT_CONCENTRATION.first + w, tally, met)
        clear(tally, met)
    _fill_sequence(row, sums, events, contacts.unit)


@compiled
def _tally_units(tally: Tally, events: Events, units: Codes, window: int) -> int:
    met = 0
    for r in range(events.end - 1, events.begin - 1, -1):
        if find_start_age(events, r) > window:
            break
        if is_seen(events, r):
            met += is_new(tally, met, units[r])
    return met


@compiled
def _fill_sequence(row: Row, sums: Sums, events: Events, units: Codes) -> None:
    before = -1
    for r in range(events.begin, events.end):
        if units[r] < 0 or not is_seen(events, r):
            continue
        if before >= 0:
            is_same = units[r] == units[before]
            count_pair(sums, DEPARTMENT_SEQUENCE, find_start_age(events, before), is_same)
        before = r
    write_share(row, sums, DEPARTMENT_SEQUENCE)


if (
    not DEPARTMENT_CONTINUITY.windows.tolist()
    == DEPARTMENT_ENTROPY.windows.tolist()
    == DEPARTMENT_CONCENTRATION.windows.tolist()
):
    raise RuntimeError(
        "The kernel measures continuity, entropy and concentration together. Give them the same windows."
    )
