"""The reference: stays, features, outcomes and eligibility in plain Python, slow and obvious.

It is written from the glossary, the catalogue and the decisions on what the features count, and shares no
computation with the library. A table is a list of rows, a row is a dict, an absent table is not there.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import mean as average
from statistics import median, pvariance
from typing import Any

from somv_risk.features import Definition, load_definitions
from somv_risk.registers.codes import load_groups

Row = dict[str, Any]
Rows = list[Row]
Tables = Mapping[str, Rows]
Lags = Mapping[str, float]  # days by table

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
MERGE_GAP = 4 * HOUR
ADMISSION_LENGTH = 12 * HOUR
READMISSION_SPAN = 30 * DAY
EARLY_READMISSION_SPAN = RETURN_SPAN = 72 * HOUR
WEEK = 7 * DAY
FOLLOW_UP_DAYS = (14, 30)
LONGEST_OPEN = {"somatic": 120 * DAY, "psychiatric": 400 * DAY}  # of a contact whose end is not known
HALF_LIFE = 100 * DAY
LONG_AGO, NEVER = datetime(1, 1, 1), datetime(9999, 12, 31)

POINT_TABLES = ("psychiatric_contacts", "primary_care", "programme_events", "responses")
LEARNT_AT_END = ("ended_at", "diagnosis", "code", "discharge", "end_reason", "attendance", "cost", "outcome")
BENEFIT_ORDER = (
    *("self_support", "education", "unemployment", "social_assistance", "sickness", "rehabilitation"),
    *("flex_job", "early_retirement", "pension", "parental", "other"),
)
OUTSIDE_LABOUR_MARKET = ("social_assistance", "sickness", "rehabilitation", "early_retirement")
LONG_TERM_GROUPS = ("diabetes", "copd", "heart_failure", "renal", "liver", "epilepsy", "dementia")
# The other services are social.
SECTOR_OF_SERVICE = {"home_care": "care", "home_nursing": "care", "job_centre": "employment"}
SERVICE_ORDER = (
    *("shelter", "support", "supported_housing", "contact_person", "home_care", "home_nursing"),
    *("job_centre", "other"),
)
NEEDED_TABLES = {
    "psychiatric_contacts": ("psychiatric_contacts",),
    "treatments": ("substance_abuse",),
    "treatment_spells": ("substance_abuse",),
    "benefit_spells": ("social_benefits",),
    "outside_labour_market_spells": ("social_benefits",),
    "service_spells": ("social_services",),
    "services": ("social_services",),
    "primary_care": ("primary_care",),
    "discharges": ("psychiatric_contacts", "primary_care"),
    "sectors": ("psychiatric_contacts", "substance_abuse", "social_services"),
}


# What was known


@dataclass
class Known:
    """What was known of one person before the index moment."""

    index: datetime
    person: Row
    tables: dict[str, Rows]

    def rows(self, table: str) -> Rows:
        return self.tables.get(table, [])


def cut_to_known(tables: Tables, person_id: str, index: datetime, lags: Lags) -> Known:
    events = {
        name: [
            mask_unknown_end(row, name, index, lag_of(lags, name))
            for row in of_person(rows, person_id)
            if is_known(row, index, lag_of(lags, name))
        ]
        for name, rows in tables.items()
        if name != "persons"
    }
    (person,) = of_person(tables["persons"], person_id)
    alive_until = last_midnight(person.get("death_date"))
    bounded = {name: bound_rows(rows, name, index, alive_until) for name, rows in events.items()}
    return Known(index, person, bounded)


def of_person(rows: Rows, person_id: str) -> Rows:
    return [row for row in rows if row["person_id"] == person_id]


def lag_of(lags: Lags, table: str) -> timedelta:
    return timedelta(days=lags.get(table, 0))


def is_known(row: Row, index: datetime, lag: timedelta) -> bool:
    if row["started_at"] >= index:
        return False
    if row["known_at"] is not None:
        return row["known_at"] < index
    return row["started_at"] + lag < index


def mask_unknown_end(row: Row, table: str, index: datetime, lag: timedelta) -> Row:
    end = row["ended_at"]
    if end is None and table in POINT_TABLES:
        end = row["started_at"]
    if end is not None and end + lag < index:
        return row | {"ended_at": end}
    return {name: None if name in LEARNT_AT_END else value for name, value in row.items()}


# Within bounds


def last_midnight(day: date | None) -> datetime | None:
    """24:00 of a day."""
    return None if day is None else datetime(day.year, day.month, day.day) + DAY


def bound_rows(rows: Rows, table: str, until: datetime, alive_until: datetime | None) -> Rows:
    """Nothing starts after the death or outlasts it, and a contact open for too long has an assumed end."""
    counted = [row for row in rows if alive_until is None or row["started_at"] <= alive_until]
    if table != "admissions":
        return [end_at_death(row, until, alive_until) for row in counted]
    return [
        assume_end(row, counted)
        if is_open_too_long(row, until, alive_until)
        else end_at_death(row, until, alive_until)
        for row in counted
    ]


def is_open(row: Row, until: datetime) -> bool:
    """Whether the end was not known; one that lies ahead is not known."""
    return row["ended_at"] is None or row["ended_at"] > max(until, row["started_at"])


def is_open_too_long(contact: Row, until: datetime, alive_until: datetime | None) -> bool:
    lasted_until = until if alive_until is None else min(until, alive_until)
    bound = LONGEST_OPEN[contact["sector"]]
    return is_open(contact, until) and lasted_until - contact["started_at"] > bound


def assume_end(contact: Row, contacts: Rows) -> Row:
    """At the start of the next contact, or when the bound is reached; nobody knows how it was discharged."""
    later = [row["started_at"] for row in contacts if row["started_at"] > contact["started_at"]]
    bound = contact["started_at"] + LONGEST_OPEN[contact["sector"]]
    return contact | {"ended_at": min([bound, *later]), "discharge": None, "assumed": True}


def end_at_death(row: Row, until: datetime, alive_until: datetime | None) -> Row:
    if alive_until is None:
        return row
    if is_open(row, until) and alive_until < max(until, row["started_at"]):
        return row | {"ended_at": alive_until} | {name: None for name in ("discharge",) if name in row}
    return row if row["ended_at"] is None else row | {"ended_at": min(row["ended_at"], alive_until)}


# Stays


@dataclass
class Event:
    """One thing that is counted: when it was, what it is (flags), what can be measured of it (values), and
    what it can be matched by (texts).
    """

    start: datetime
    end: datetime | None
    flags: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str | None] = field(default_factory=dict)

    def end_or(self, moment: datetime) -> datetime:
        return moment if self.end is None else self.end


def reference_stays(contacts: Rows, until: datetime) -> Rows:
    """Stays of one person's contacts; an open contact has lasted until `until`."""
    stays: list[Rows] = []
    for contact in sorted(contacts, key=order_of_contact):
        if stays and contact["started_at"] - last_end(stays[-1], until) <= MERGE_GAP:
            stays[-1].append(contact)
        else:
            stays.append([contact])
    return [describe_stay(stay, until) for stay in stays]


def order_of_contact(contact: Row) -> tuple[datetime, bool, str]:
    """By start; of several that start together the acute ones come first."""
    return contact["started_at"], contact["admission_type"] != "acute", contact["contact_id"]


def last_end(rows: Rows, until: datetime) -> datetime:
    """Latest end; an open contact that starts after `until` has not lasted at all."""
    return max(row["ended_at"] or max(until, row["started_at"]) for row in rows)


def discharge_of(contacts: Rows) -> str | None:
    """Of the contact that ended last; of several, the last in the order of contacts."""
    return max(contacts, key=lambda row: (row["ended_at"], *order_of_contact(row)))["discharge"]


def describe_stay(contacts: Rows, until: datetime) -> Row:
    first = contacts[0]
    is_open = any(contact["ended_at"] is None for contact in contacts)
    lasted = last_end(contacts, until) - first["started_at"]
    return {
        "started_at": first["started_at"],
        "ended_at": None if is_open else last_end(contacts, until),
        "sector": first["sector"],
        "diagnosis": first["diagnosis"],
        "is_acute": first["admission_type"] == "acute",
        "has_psychiatric": any(contact["sector"] == "psychiatric" for contact in contacts),
        "discharge": None if is_open else discharge_of(contacts),
        "lasted": lasted,
        "is_admission": lasted >= ADMISSION_LENGTH,
    }


# The kinds of events that features count


def list_stays(known: Known) -> list[Event]:
    stays = list_plain_stays(known)
    describe_order(stays)
    return stays


def list_plain_stays(known: Known) -> list[Event]:
    return [stay_event(stay) for stay in reference_stays(known.rows("admissions"), known.index)]


def stay_event(stay: Row) -> Event:
    holds = {
        "acute": stay["is_acute"],
        "planned": not stay["is_acute"],
        "admission": stay["is_admission"],
        "emergency_visit": stay["is_acute"] and not stay["is_admission"],
        "psychiatric": stay["has_psychiatric"],
        "somatic": not stay["has_psychiatric"],
        "ended": stay["ended_at"] is not None,
        "unfinished": stay["discharge"] == "left_early",
    }
    flags = {name for name in holds if holds[name]}
    values, texts = pick(stay, "lasted", "sector"), pick(stay, "diagnosis")
    return Event(stay["started_at"], stay["ended_at"], flags, values, texts)


def pick(row: Row, *columns: str) -> Row:
    return {column: row[column] for column in columns}


def describe_order(stays: list[Event]) -> None:
    """Say of each stay (or admission) how it follows the one before it in the list."""
    for before, stay in pairwise(stays):
        gap = stay.start - before.end
        stay.values["gap"] = gap
        holds = {
            "follows": True,
            "readmission": "acute" in stay.flags and gap < READMISSION_SPAN,
            "early_readmission": "acute" in stay.flags and gap < EARLY_READMISSION_SPAN,
            "sector_switch": stay.values["sector"] != before.values["sector"],
            "quick_return": gap < RETURN_SPAN,
            "within_a_week": gap < WEEK,
            "after_unfinished": "unfinished" in before.flags,
            "return_after_unfinished": gap < RETURN_SPAN and "unfinished" in before.flags,
        }
        stay.flags |= {name for name in holds if holds[name]}


def list_admissions(known: Known) -> list[Event]:
    admissions = [stay for stay in list_plain_stays(known) if "admission" in stay.flags]
    describe_order(admissions)
    return admissions


def list_discharges(known: Known) -> list[Event]:
    visits = list_community_contacts(known)
    return [
        Event(admission.start, admission.end, follow_up_flags(admission.end, visits, known.index))
        for admission in list_admissions(known)
        if admission.end is not None
    ]


def follow_up_flags(end: datetime, visits: list[datetime], index: datetime) -> set[str]:
    """Whether the discharge is old enough to be judged, and whether nobody met the person after it."""
    flags = set()
    for days in FOLLOW_UP_DAYS:
        if index - end >= days * DAY:
            flags.add(f"due_{days}")
            if not any(end <= visit < end + days * DAY for visit in visits):
                flags.add(f"alone_{days}")
    return flags


def list_community_contacts(known: Known) -> list[datetime]:
    visits = [
        row["started_at"]
        for row in known.rows("psychiatric_contacts")
        if row["contact_type"] in ("outpatient", "home_visit", "virtual") and was_attended(row)
    ]
    return visits + [row["started_at"] for row in known.rows("primary_care") if row["kind"] == "gp"]


def was_attended(row: Row) -> bool:
    return row["attendance"] in ("attended", "unknown")


def list_contacts(known: Known) -> list[Event]:
    contacts = [contact_event(row) for row in sorted(known.rows("admissions"), key=order_of_start)]
    with_unit = [contact for contact in contacts if contact.values["unit"] is not None]
    for before, contact in pairwise(with_unit):
        contact.flags.add("follows")
        contact.values["step"] = contact.start - before.start
        if contact.values["unit"] == before.values["unit"]:
            contact.flags.add("same_unit")
    add_new(contacts, "unit", "new_unit")
    return contacts


def order_of_start(contact: Row) -> tuple[datetime, str]:
    return contact["started_at"], contact["contact_id"]


def contact_event(row: Row) -> Event:
    values = {"hospital": row["hospital"], "unit": unit_of(row)}
    texts = pick(row, "hospital", "department", "diagnosis")
    return Event(row["started_at"], row["ended_at"], set(), values, texts)


def unit_of(contact: Row) -> tuple[str | None, str] | None:
    return None if contact["department"] is None else (contact["hospital"], contact["department"])


def add_new(events: list[Event], value: str, flag: str) -> None:
    """Flag the first event of each unit or provider, if it is later than the first of any; all in order."""
    with_value = [event for event in events if event.values[value] is not None]
    for event in with_value:
        first = next(e for e in with_value if e.values[value] == event.values[value])
        if event is first and event.start > with_value[0].start:
            event.flags.add(flag)


def list_psychiatric_contacts(known: Known) -> list[Event]:
    rows = sorted(known.rows("psychiatric_contacts"), key=order_of_start)
    contacts = [psychiatric_event(row) for row in rows]
    for before, contact in pairwise(c for c in contacts if "kept_or_missed" in c.flags):
        if "no_show" in before.flags:
            contact.flags.add("after_no_show")
    add_new(contacts, "provider", "new_provider")
    return contacts


def psychiatric_event(row: Row) -> Event:
    values, texts = pick(row, "provider"), pick(row, "provider", "diagnosis")
    return Event(row["started_at"], row["ended_at"], psychiatric_flags(row), values, texts)


def psychiatric_flags(row: Row) -> set[str]:
    flags = {row["contact_type"]}
    if was_attended(row):
        flags |= {"attended", "kept_or_missed"}
    if row["attendance"] == "no_show":
        flags |= {"no_show", "kept_or_missed"}
    if row["attendance"] == "cancelled":
        flags.add("cancelled")
    return flags


def list_treatments(known: Known) -> list[Event]:
    rows = sorted(known.rows("substance_abuse"), key=lambda row: (row["started_at"], row["episode_id"]))
    first_start = min((row["started_at"] for row in rows), default=None)
    admissions = list_admissions(known)
    treatments = [treatment_event(row, first_start, admissions) for row in rows]
    add_new(treatments, "provider", "new_provider")
    return treatments


def treatment_event(row: Row, first_start: datetime, admissions: list[Event]) -> Event:
    flags = treatment_flags(row) | restart_flag(row, first_start) | hospital_flag(row, admissions)
    substance = None if row["substance"] == "unknown" else row["substance"]
    values = {"provider": row["provider"], "substance": substance}
    return Event(row["started_at"], row["ended_at"], flags, values, pick(row, "provider"))


def treatment_flags(row: Row) -> set[str]:
    flags = {row["substance"]}
    if row["substance"] != "alcohol":
        flags.add("drugs")
    if row["ended_at"] is not None:
        flags.add("ended")
    if row["end_reason"] in ("completed", "dropped_out"):
        flags.add(row["end_reason"])
    return flags


def hospital_flag(row: Row, admissions: list[Event]) -> set[str]:
    end = row["ended_at"]
    inside = end is not None and any(a.start <= end and (a.end is None or end < a.end) for a in admissions)
    return {"ended_in_hospital"} if inside else set()


def restart_flag(row: Row, first_start: datetime) -> set[str]:
    return {"restart"} if row["started_at"] > first_start else set()


def list_treatment_spells(known: Known) -> list[Event]:
    return join_spells(known.rows("substance_abuse"), known.index)


def join_spells(rows: Iterable[Row], index: datetime) -> list[Event]:
    """Join rows that overlap or adjoin; an open one reaches to the index."""
    spells: list[Event] = []
    for row in sorted(rows, key=lambda row: row["started_at"]):
        if spells and row["started_at"] <= spells[-1].end_or(index):
            spells[-1].end = later_end(spells[-1].end, row["ended_at"])
        else:
            spells.append(Event(row["started_at"], row["ended_at"]))
    return spells


def later_end(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else max(one, other)


def join_spells_by(rows: Rows, column: str, index: datetime) -> list[Event]:
    """Join rows of the same benefit or service; the flag and the value say which it is."""
    return [
        Event(spell.start, spell.end, {value}, {column: value})
        for value in {row[column] for row in rows}
        for spell in join_spells([row for row in rows if row[column] == value], index)
    ]


def list_benefit_spells(known: Known) -> list[Event]:
    spells = join_spells_by(known.rows("social_benefits"), "benefit", known.index)
    spells.sort(key=lambda spell: (spell.start, BENEFIT_ORDER.index(spell.values["benefit"])))
    for before, spell in pairwise(spells):
        if spell.values["benefit"] != before.values["benefit"]:
            spell.flags.add("switch")
    for spell in spells:
        if spell.values["benefit"] != "self_support":
            spell.flags.add("public")
    return spells


def list_outside_labour_market_spells(known: Known) -> list[Event]:
    rows = [row for row in known.rows("social_benefits") if row["benefit"] in OUTSIDE_LABOUR_MARKET]
    return join_spells(rows, known.index)


def list_service_spells(known: Known) -> list[Event]:
    return join_spells_by(known.rows("social_services"), "service", known.index)


def list_services(known: Known) -> list[Event]:
    services = [service_event(row) for row in sorted(known.rows("social_services"), key=order_of_service)]
    add_new(services, "provider", "new_provider")
    return services


def order_of_service(row: Row) -> tuple[Any, ...]:
    """By start, service, paragraph and provider; what is not known comes first."""
    paragraph, provider = row["paragraph"] or "", row["provider"] or ""
    return row["started_at"], SERVICE_ORDER.index(row["service"]), paragraph, provider


def service_event(row: Row) -> Event:
    columns = ("service", "paragraph", "provider")
    return Event(
        row["started_at"], row["ended_at"], {row["service"]}, pick(row, *columns), pick(row, *columns)
    )


def list_primary_care(known: Known) -> list[Event]:
    return [Event(row["started_at"], row["ended_at"], {row["kind"]}) for row in known.rows("primary_care")]


def list_diagnoses(known: Known) -> list[Event]:
    hospital = {row["contact_id"] for row in known.rows("admissions")}
    found = [
        *((row, row["diagnosis"]) for row in known.rows("admissions")),
        *((row, row["code"]) for row in known.rows("diagnoses")),
        *((row, row["diagnosis"]) for row in known.rows("psychiatric_contacts")),
    ]
    return [diagnosis_event(row, code, hospital) for row, code in found if code is not None]


def diagnosis_event(row: Row, code: str, hospital: set[str]) -> Event:
    flags = groups_of(code) | ({"hospital"} if row["contact_id"] in hospital else set())
    values = {"contact_id": row["contact_id"], "code": code}
    return Event(row["started_at"], row["ended_at"], flags, values, {"code": code})


def groups_of(code: str) -> set[str]:
    return {name for name, group in load_groups().items() if any(map(code.startswith, group.prefixes))}


def list_conditions(known: Known) -> list[Event]:
    """One event per diagnosis and long-term group."""
    return [
        Event(diagnosis.start, diagnosis.end, {group}, {"condition": group}, diagnosis.texts)
        for diagnosis in list_diagnoses(known)
        for group in LONG_TERM_GROUPS
        if group in diagnosis.flags
    ]


def list_sectors(known: Known) -> list[Event]:
    """Everything that is at work for the person, by the sector that does it."""
    contacts = [contact for contact in list_psychiatric_contacts(known) if "attended" in contact.flags]
    return [
        *(
            sector_event(stay, "psychiatric" if "psychiatric" in stay.flags else "somatic")
            for stay in list_stays(known)
        ),
        *(sector_event(contact, "psychiatric") for contact in contacts),
        *(sector_event(spell, "substance") for spell in list_treatment_spells(known)),
        *(
            sector_event(spell, SECTOR_OF_SERVICE.get(spell.values["service"], "social"))
            for spell in list_service_spells(known)
        ),
    ]


def sector_event(event: Event, sector: str) -> Event:
    return Event(event.start, event.end, {sector}, {"sector": sector})


def list_background(known: Known) -> list[Event]:
    person = known.person
    values = {"age_years": age_in_years(person["birth_date"], known.index)}
    values |= {name: person[name] for name in ("sex", "municipality")}
    return [Event(known.index, None, values=values)]


def age_in_years(birth: date, index: datetime) -> int:
    """Completed years; the tuple comparison makes 29 February turn on 1 March of a common year."""
    return index.year - birth.year - ((index.month, index.day) < (birth.month, birth.day))


EVENTS: dict[str, Callable[[Known], list[Event]]] = {
    "stays": list_stays,
    "admissions": list_admissions,
    "discharges": list_discharges,
    "contacts": list_contacts,
    "psychiatric_contacts": list_psychiatric_contacts,
    "treatments": list_treatments,
    "treatment_spells": list_treatment_spells,
    "benefit_spells": list_benefit_spells,
    "outside_labour_market_spells": list_outside_labour_market_spells,
    "service_spells": list_service_spells,
    "services": list_services,
    "primary_care": list_primary_care,
    "diagnoses": list_diagnoses,
    "conditions": list_conditions,
    "sectors": list_sectors,
    "background": list_background,
}


# The ways of measuring


@dataclass
class Question:
    """One feature asked of one person: which events, over how many days, at which index moment."""

    definition: Definition
    days: int | None
    index: datetime
    events: list[Event]

    @property
    def window_start(self) -> datetime:
        return self.index - self.days * DAY

    def anchor(self, event: Event) -> datetime | None:
        return event.end if self.definition.anchor == "end" else event.start

    def is_in_window(self, event: Event) -> bool:
        if self.definition.anchor == "part":
            return self.reaches(event)
        moment = self.anchor(event)
        return moment is not None and self.window_start <= moment < self.index

    def reaches(self, event: Event) -> bool:
        """Whether any part of the event lies in the window; every known event started before the index."""
        return event.start >= self.window_start or event.end_or(self.index) > self.window_start

    def has(self, event: Event, flags: Sequence[str]) -> bool:
        return set(flags) <= event.flags

    def is_wanted(self, event: Event) -> bool:
        """Whether the event has the flags and the texts asked for."""
        texts = getattr(self.definition, "match", {})
        matched = all(is_one_of(event.texts[column], wanted) for column, wanted in texts.items())
        return matched and self.has(event, self.definition.where)

    def chosen(self) -> list[Event]:
        """Events in the window that are wanted."""
        return [e for e in self.events if self.is_in_window(e) and self.is_wanted(e)]

    def values(self, events: Iterable[Event]) -> list[Any]:
        found = [event.values.get(self.definition.value) for event in events]
        return [value for value in found if value is not None]

    def open(self) -> list[Event]:
        return [e for e in self.events if e.end is None and self.is_wanted(e)]

    def base(self) -> list[Event]:
        """Events in the window of which a share or a last one is taken."""
        return [e for e in self.events if self.is_in_window(e) and self.has(e, self.definition.of)]

    def with_both_sides(self, events: Iterable[Event]) -> list[Event]:
        """Events that follow another which also lies in the window; the value is the time between them."""
        followers = [event for event in events if event.values.get(self.definition.value) is not None]
        return [e for e in followers if e.start - e.values[self.definition.value] >= self.window_start]

    def inside(self, event: Event) -> timedelta:
        """The part of the interval that lies in the window; one without an end reaches to the index."""
        part = event.end_or(self.index) - max(event.start, self.window_start)
        return max(part, timedelta(0))


def is_one_of(text: str | None, wanted: Sequence[str]) -> bool:
    """Whether the text is one of those wanted; `E11*` is every text that starts with E11."""
    return text is not None and any(
        text.startswith(one.removesuffix("*")) if one.endswith("*") else text == one for one in wanted
    )


def in_days(duration: timedelta) -> float:
    return duration / DAY


def count(question: Question) -> int:
    return len(question.chosen())


def any_event(question: Question) -> bool:
    return bool(question.chosen())


def days_inside(question: Question) -> float:
    """Days of the window that some chosen interval covers; intervals of one kind never overlap."""
    return in_days(time_inside(question))


def time_inside(question: Question) -> timedelta:
    inside = [question.inside(event) for event in question.events if question.is_wanted(event)]
    return sum(inside, timedelta(0))


def longest_inside(question: Question) -> float:
    """Longest part of one chosen interval that lies in the window."""
    inside = [question.inside(event) for event in question.events if question.is_wanted(event)]
    return max(map(in_days, inside), default=0.0)


def never(question: Question) -> bool | None:
    """Whether none of the intervals that reach into the window is the one asked for."""
    asked = [event for event in question.events if question.has(event, question.definition.of)]
    reaching = [event for event in asked if question.reaches(event)]
    return not any(map(question.is_wanted, reaching)) if reaching else None


def younger_half(question: Question) -> Question:
    return replace(question, days=question.days // 2)


def trend(question: Question) -> int:
    """Events in the younger half of the window minus those in its older half, which are the rest."""
    younger = count(younger_half(question))
    return younger - (count(question) - younger)


def days_trend(question: Question) -> float:
    younger = time_inside(younger_half(question))
    return in_days(younger - (time_inside(question) - younger))


def decayed(question: Question) -> float:
    """Each event counts half as much for every 100 days that have passed."""
    return float(sum(weight(question.index - question.anchor(event)) for event in question.chosen()))


def weight(age: timedelta) -> Fraction:
    """Between two halvings, which are exact, a weight has 24 binary digits."""
    halvings, since = divmod(age, HALF_LIFE)
    return Fraction(round(2**24 * 0.5 ** (since / HALF_LIFE)), 2 ** (24 + halvings))


def days_since(question: Question) -> float | None:
    return min((in_days(question.index - question.anchor(e)) for e in question.chosen()), default=None)


def days_since_first(question: Question) -> float | None:
    return max((in_days(question.index - question.anchor(e)) for e in question.chosen()), default=None)


def longest(question: Question) -> float | None:
    return max(map(in_days, question.values(question.chosen())), default=None)


def gaps(question: Question) -> list[timedelta]:
    """Gaps of the chosen events of which both sides lie in the window."""
    return question.values(question.with_both_sides(question.chosen()))


def smallest(question: Question) -> float | None:
    return min(map(in_days, gaps(question)), default=None)


def median_gap(question: Question) -> float | None:
    found = gaps(question)
    return float(median(Fraction(gap // MICROSECOND, DAY // MICROSECOND) for gap in found)) if found else None


def burstiness(question: Question) -> float | None:
    """From -1 (like a clock) over 0 (by chance) towards 1 (in bursts): Goh and Barabási's B."""
    minutes = [Fraction(gap // MINUTE) for gap in gaps(question)]
    if len(minutes) < 2 or not any(minutes):
        return None
    of_average = [gap / average(minutes) for gap in minutes]
    deviation = math.sqrt(pvariance(of_average))  # the average is 1
    return (deviation - 1) / (deviation + 1)


def mean(question: Question) -> float | None:
    lengths = question.values(question.chosen())
    return sum(lengths, timedelta(0)) / (len(lengths) * DAY) if lengths else None


def share(question: Question) -> float | None:
    return share_of(question, question.base())


def pair_share(question: Question) -> float | None:
    """A share of the events that follow another, both in the window."""
    return share_of(question, question.with_both_sides(question.base()))


def share_of(question: Question, base: list[Event]) -> float | None:
    return len([event for event in base if question.is_wanted(event)]) / len(base) if base else None


def last(question: Question) -> bool | None:
    """Whether the last one is wanted; of several at the same moment, whether any is."""
    base = question.base()
    latest = max(map(question.anchor, base), default=None)
    return any(question.is_wanted(e) for e in base if question.anchor(e) == latest) if base else None


def distinct(question: Question) -> int:
    return len(set(question.values(question.chosen())))


def now(question: Question) -> bool:
    return bool(question.open())


def distinct_now(question: Question) -> int:
    return len(set(question.values(question.open())))


def days_open(question: Question) -> float | None:
    return min((in_days(question.index - event.start) for event in question.open()), default=None)


def most_within(question: Question) -> int:
    """Try a span at each start: some fullest span begins with one of its events."""
    starts = [event.start for event in question.chosen()]
    span = question.definition.within_days * DAY
    return max((sum(first <= start < first + span for start in starts) for first in starts), default=0)


def continuity(question: Question) -> float | None:
    """Share of pairs of different contacts that were with the same unit: Bice and Boxerman's index."""
    units = question.values(question.chosen())
    pairs = [(one, other) for i, one in enumerate(units) for j, other in enumerate(units) if i != j]
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else None


def entropy(question: Question) -> float | None:
    counts = Counter(question.values(question.chosen())).values()
    shares = [n / sum(counts) for n in counts]
    return round(math.fsum(p * math.log(1 / p) for p in shares), 9) if shares else None


def concentration(question: Question) -> float | None:
    """Share of the contacts that were with the most frequent unit."""
    counts = Counter(question.values(question.chosen())).values()
    return max(counts) / sum(counts) if counts else None


def value_itself(question: Question) -> Any:
    return question.events[0].values[question.definition.value]


MEASURES: dict[str, Callable[[Question], Any]] = {
    "count": count,
    "any": any_event,
    "days": days_inside,
    "days_trend": days_trend,
    "days_since": days_since,
    "days_since_first": days_since_first,
    "decayed": decayed,
    "trend": trend,
    "longest": longest,
    "longest_inside": longest_inside,
    "smallest": smallest,
    "median_gap": median_gap,
    "burstiness": burstiness,
    "mean": mean,
    "share": share,
    "pair_share": pair_share,
    "never": never,
    "last": last,
    "distinct": distinct,
    "now": now,
    "distinct_now": distinct_now,
    "days_open": days_open,
    "most_within": most_within,
    "continuity": continuity,
    "entropy": entropy,
    "concentration": concentration,
    "age": value_itself,
    "category": value_itself,
}


def reference_features(
    tables: Tables,
    person_id: str,
    index_time: datetime,
    lags: Lags | None = None,
    definitions: Iterable[Definition] | None = None,
) -> dict[str, Any]:
    """Every feature of the catalogue (or those given) for one person at one index moment; None is null."""
    known = cut_to_known(tables, person_id, index_time, lags or {})
    events = {name: list_events(known) for name, list_events in EVENTS.items()}
    answers = {}
    for definition in load_definitions() if definitions is None else definitions:
        is_absent = not set(NEEDED_TABLES.get(definition.events, ())) <= set(tables)
        for days in definition.windows or (None,):
            name = definition.id if days is None else f"{definition.id}_{days}d"
            question = Question(definition, days, index_time, events[definition.events])
            answers[name] = None if is_absent else MEASURES[definition.measure](question)
    return answers


# Outcomes and eligibility


@dataclass
class Followed:
    """One person followed from the index moment."""

    index: datetime
    horizon_end: datetime
    follow_up_end: datetime
    died_at: datetime | None

    def sees(self, moment: datetime | None) -> bool:
        return moment is not None and self.index <= moment < self.horizon_end

    @property
    def is_dead_before(self) -> bool:
        return self.died_at is not None and self.died_at < self.index


def midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day)


def reference_outcome(
    tables: Tables, person_id: str, index_time: datetime, target: Any, data_end: datetime | None
) -> tuple[int, bool | None]:
    """Number of events in the horizon, and the label."""
    (person,) = of_person(tables["persons"], person_id)
    data_end = data_end or max((row["started_at"] for row in tables["admissions"]), default=LONG_AGO)
    followed = Followed(
        index_time,
        index_time + target.horizon.days * DAY,
        min(data_end, midnight(person["observed_until"]) or NEVER),
        midnight(person["death_date"]),
    )
    contacts = of_person(tables["admissions"], person_id)
    contacts = bound_rows(contacts, "admissions", data_end, last_midnight(person["death_date"]))
    stays = reference_stays(contacts, data_end)
    events = sum(is_target_event(stay, target, followed) for stay in stays)
    return events, label(events, target, followed)


def is_target_event(stay: Row, target: Any, followed: Followed) -> bool:
    if sector_of(stay) not in target.sectors or admission_type(stay) not in target.admission_types:
        return False
    if any((stay["diagnosis"] or "").startswith(prefix) for prefix in target.excluded_diagnoses):
        return False
    if target.counts == "admissions":
        return stay["is_admission"] and followed.sees(stay["started_at"])
    return stay["discharge"] == "left_early" and followed.sees(stay["ended_at"])


def sector_of(stay: Row) -> str:
    return "psychiatric" if stay["has_psychiatric"] else "somatic"


def admission_type(stay: Row) -> str:
    return "acute" if stay["is_acute"] else "planned"


def label(events: int, target: Any, followed: Followed) -> bool | None:
    if followed.is_dead_before:
        return None
    if events >= target.min_count:
        return True
    if followed.sees(followed.died_at) and followed.died_at <= followed.follow_up_end:
        return {"negative": False, "exclude": None, "event": True}[target.death]
    return None if followed.follow_up_end < followed.horizon_end else False


def reference_cohort(
    tables: Tables,
    index_times: Iterable[datetime],
    minimum_age_years: int = 18,
    minimum_residence_days: int = 365,
) -> list[tuple[str, datetime]]:
    """Eligible persons and index moments, sorted."""
    return sorted(
        (person["person_id"], index)
        for person in tables["persons"]
        for index in set(index_times)
        if is_alive(person, index)
        and age_in_years(person["birth_date"], index) >= minimum_age_years
        and is_resident(person, index, minimum_residence_days)
    )


def is_alive(person: Row, index: datetime) -> bool:
    return person["death_date"] is None or midnight(person["death_date"]) >= index


def is_resident(person: Row, index: datetime, days: int) -> bool:
    start, end = midnight(person["observed_from"]), midnight(person["observed_until"])
    return (start is None or start <= index - days * DAY) and (end is None or index < end)
