"""Services: the spells of each municipal service, and the rows themselves for paragraphs and providers."""

from benchmarks.kernel.columns import compiled, find_column, find_columns, find_single
from benchmarks.kernel.events import Events, count_newcomers, find_end_age, find_start_age, is_seen, look_at
from benchmarks.kernel.loading import Codes, Services
from benchmarks.kernel.measures import (
    Integers,
    Row,
    Sums,
    Tally,
    add_days,
    add_days_trend,
    clear,
    count,
    count_bits,
    is_new,
    keep_least_age,
    keep_most_inside,
    write_days,
)
from benchmarks.kernel.sectors import CARE, EMPLOYMENT, SOCIAL, note_sector
from benchmarks.kernel.spells import EACH_ALONE, Spells, join_spells
from somv_risk.registers import schema as s

SHELTER, HOME_CARE, HOME_NURSING, JOB_CENTRE = map(
    s.SERVICES.index, ("shelter", "home_care", "home_nursing", "job_centre")
)
OTHER_SERVICE = s.SERVICES.index("other")

# In the order of the schema; other services have no column.
HAS_SERVICE = find_columns(
    "in_shelter",
    "has_support",
    "has_supported_housing",
    "has_contact_person",
    "has_home_care",
    "has_home_nursing",
    "has_job_centre",
)
SERVICE_DAYS = find_columns(
    "shelter_nights",
    "support_days",
    "supported_housing_days",
    "contact_person_days",
    "home_care_days",
    "home_nursing_days",
    "job_centre_days",
)
SHELTER_STAYS = find_column("shelter_stays")
DAYS_SINCE_SHELTER = find_column("days_since_shelter")
LONGEST_SHELTER_STAY = find_single("longest_shelter_stay")
NEW_HOME_CARE = find_column("new_home_care")
NEW_HOME_NURSING = find_column("new_home_nursing")
HOME_CARE_DAYS_TREND = find_single("home_care_days_trend")
HOME_NURSING_DAYS_TREND = find_single("home_nursing_days_trend")
ACTIVE_SERVICES = find_column("active_services")
ACTIVE_PARAGRAPHS = find_column("active_paragraphs")
ACTIVE_PROVIDERS = find_column("active_providers")
NEW_SERVICES = find_column("new_services")
NEW_SERVICE_PROVIDERS = find_column("new_service_providers")


@compiled
def fill_services(
    row: Row,
    sums: Sums,
    tally: Tally,
    spells: Spells,
    sectors: Integers,
    services: Services,
    person: int,
    index: int,
) -> None:
    events = look_at(services, person, index)
    if events.begin == events.end:
        return
    found = join_spells(spells, events, services.service, EACH_ALONE)
    received = active = 0
    for i in range(found):
        service, start_age, end_age = spells.kind[i], spells.start_age[i], spells.end_age[i]
        _fill_service_spell(row, sums, service, start_age, end_age)
        received |= 1 << service
        if end_age == 0:
            active |= 1 << service
    row[ACTIVE_SERVICES.first] = count_bits(active)
    for service in range(len(SERVICE_DAYS)):
        if received >> service & 1:
            write_days(row, sums, SERVICE_DAYS[service])
    write_days(row, sums, HOME_CARE_DAYS_TREND)
    write_days(row, sums, HOME_NURSING_DAYS_TREND)
    row[ACTIVE_PARAGRAPHS.first] = _count_active(tally, events, services.paragraph)
    row[ACTIVE_PROVIDERS.first] = _count_active(tally, events, services.provider)
    count_newcomers(row, NEW_SERVICE_PROVIDERS, tally, events, services.provider)
    for r in range(events.begin, events.end):
        if is_seen(events, r):
            sector = _find_sector(services.service[r])
            note_sector(sectors, sector, find_start_age(events, r), find_end_age(events, r))


@compiled
def _fill_service_spell(row: Row, sums: Sums, service: int, start_age: int, end_age: int) -> None:
    count(row, NEW_SERVICES, start_age)
    if service == OTHER_SERVICE:
        return
    add_days(sums, SERVICE_DAYS[service], start_age, end_age)
    if end_age == 0:
        row[HAS_SERVICE[service].first] = 1
    if service == SHELTER:
        count(row, SHELTER_STAYS, start_age)
        keep_most_inside(row, LONGEST_SHELTER_STAY, start_age, end_age)
        if end_age > 0:
            keep_least_age(row, DAYS_SINCE_SHELTER, end_age)
    elif service == HOME_CARE:
        count(row, NEW_HOME_CARE, start_age)
        add_days_trend(sums, HOME_CARE_DAYS_TREND, start_age, end_age)
    elif service == HOME_NURSING:
        count(row, NEW_HOME_NURSING, start_age)
        add_days_trend(sums, HOME_NURSING_DAYS_TREND, start_age, end_age)


@compiled
def _find_sector(service: int) -> int:
    if service in (HOME_CARE, HOME_NURSING):
        return CARE
    return EMPLOYMENT if service == JOB_CENTRE else SOCIAL


@compiled
def _count_active(tally: Tally, events: Events, codes: Codes) -> int:
    """Count the different codes of the rows that are open at the index."""
    met = 0
    for r in range(events.begin, events.end):
        if is_seen(events, r) and find_end_age(events, r) == 0:
            met += is_new(tally, met, codes[r])
    clear(tally, met)
    return met
