"""Psychiatry: the psychiatric contacts outside the ward."""

import numpy as np

from benchmarks.kernel.columns import compiled, find_column, find_single
from benchmarks.kernel.events import (
    Events,
    count_different,
    count_newcomers,
    find_end_age,
    find_start_age,
    is_end_seen,
    is_seen,
    look_at,
)
from benchmarks.kernel.loading import Psychiatric
from benchmarks.kernel.measures import (
    Integers,
    Row,
    Sums,
    Tally,
    add_decayed,
    add_share,
    clear,
    count,
    count_trend,
    is_new,
    keep_least_age,
    write_continuity,
    write_decayed,
    write_share,
)
from benchmarks.kernel.sectors import PSYCHIATRY, note_sector
from somv_risk.registers import schema as s

EMERGENCY = s.CONTACT_TYPES.index("emergency")
ATTENDED, UNKNOWN = map(s.ATTENDANCES.index, ("attended", "unknown"))

OUTPATIENT, HOME_VISIT, VIRTUAL = map(s.CONTACT_TYPES.index, ("outpatient", "home_visit", "virtual"))
NO_SHOW, CANCELLED = map(s.ATTENDANCES.index, ("no_show", "cancelled"))

OUTPATIENT_CONTACTS = find_column("psychiatric_outpatient_contacts")
EMERGENCY_CONTACTS = find_column("psychiatric_emergency_contacts")
HOME_VISITS = find_column("psychiatric_home_visits")
VIRTUAL_CONTACTS = find_column("psychiatric_virtual_contacts")
NO_SHOWS = find_column("psychiatric_no_shows")
NO_SHOW_SHARE = find_column("psychiatric_no_show_share")
DAYS_SINCE_CONTACT = find_column("days_since_psychiatric_contact")
PSYCHIATRIC_PROVIDERS = find_column("psychiatric_providers")
CONTACTS_TREND = find_single("psychiatric_contacts_trend")
NO_SHOWS_DECAYED = find_single("psychiatric_no_shows_decayed")
NO_SHOWS_IN_A_ROW = find_column("psychiatric_no_shows_in_a_row")
LAST_APPOINTMENT_MISSED = find_single("last_psychiatric_appointment_missed")
DAYS_SINCE_NO_SHOW = find_column("days_since_psychiatric_no_show")
CANCELLATIONS = find_column("psychiatric_cancellations")
PROVIDER_CONTINUITY = find_single("psychiatric_provider_continuity")
NEW_PSYCHIATRIC_PROVIDERS = find_column("new_psychiatric_providers")


@compiled
def is_attended(contacts: Psychiatric, r: int) -> bool:
    return contacts.attendance[r] == ATTENDED or contacts.attendance[r] == UNKNOWN


@compiled
def fill_psychiatric(
    row: Row, sums: Sums, tally: Tally, sectors: Integers, contacts: Psychiatric, person: int, index: int
) -> None:
    events = look_at(contacts, person, index)
    if events.begin == events.end:
        return
    was_missed = False
    last_age = np.int64(0)
    for r in range(events.begin, events.end):
        age = find_start_age(events, r)
        if contacts.contact_type[r] == EMERGENCY and is_seen(events, r):
            count(row, EMERGENCY_CONTACTS, age)
        if not is_end_seen(events, r):
            continue
        if contacts.attendance[r] == CANCELLED:
            count(row, CANCELLATIONS, age)
            continue
        is_missed = contacts.attendance[r] == NO_SHOW
        add_share(sums, NO_SHOW_SHARE, age, is_missed)
        # Of several that start together it is enough that one was missed.
        is_last_missed = is_missed or (age == last_age and row[LAST_APPOINTMENT_MISSED.first] > 0)
        if age <= LAST_APPOINTMENT_MISSED.windows[0]:
            row[LAST_APPOINTMENT_MISSED.first] = is_last_missed
        if is_missed:
            _fill_missed(row, sums, age, was_missed)
        else:
            _fill_attended(row, contacts.contact_type[r], age)
            note_sector(sectors, PSYCHIATRY, age, find_end_age(events, r))
        was_missed, last_age = is_missed, age
    write_share(row, sums, NO_SHOW_SHARE)
    write_decayed(row, sums, NO_SHOWS_DECAYED)
    count_different(row, PSYCHIATRIC_PROVIDERS, tally, events, contacts.provider)
    count_newcomers(row, NEW_PSYCHIATRIC_PROVIDERS, tally, events, contacts.provider)
    _fill_provider_continuity(row, tally, events, contacts)


@compiled
def _fill_missed(row: Row, sums: Sums, age: int, was_missed: bool) -> None:  # noqa: FBT001 - no keywords in numba
    count(row, NO_SHOWS, age)
    add_decayed(sums, NO_SHOWS_DECAYED, age)
    keep_least_age(row, DAYS_SINCE_NO_SHOW, age)
    if was_missed:
        count(row, NO_SHOWS_IN_A_ROW, age)


@compiled
def _fill_attended(row: Row, contact_type: int, age: int) -> None:
    keep_least_age(row, DAYS_SINCE_CONTACT, age)
    count_trend(row, CONTACTS_TREND, age)
    if contact_type == OUTPATIENT:
        count(row, OUTPATIENT_CONTACTS, age)
    elif contact_type == HOME_VISIT:
        count(row, HOME_VISITS, age)
    elif contact_type == VIRTUAL:
        count(row, VIRTUAL_CONTACTS, age)


@compiled
def _fill_provider_continuity(row: Row, tally: Tally, events: Events, contacts: Psychiatric) -> None:
    met = 0
    for r in range(events.begin, events.end):
        is_inside = find_start_age(events, r) <= PROVIDER_CONTINUITY.windows[0]
        if is_inside and is_end_seen(events, r) and is_attended(contacts, r):
            met += is_new(tally, met, contacts.provider[r])
    write_continuity(row, PROVIDER_CONTINUITY.first, tally, met)
    clear(tally, met)
