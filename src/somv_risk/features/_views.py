"""Views: the kinds of events that features count, each built from the rows as they were known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import numpy as np

from somv_risk.features._events import Array, Events
from somv_risk.features._loops import (
    NEVER,
    NO_VALUE,
    Integers,
    Mask,
    find_before,
    find_new,
    find_next,
    join_spells,
    mark_inside,
    spread_bits,
)
from somv_risk.features._tables import GROUPS
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Seen, Stays, Timeline
from somv_risk.registers import schema as s
from somv_risk.registers.histories import CONTACT

BACKGROUND: Final = "background"
UNIT: Final = "unit"
IN_HOSPITAL: Final = "hospital"
CONDITION: Final = "condition"
READMISSION = timedelta(days=30)
WEEK = timedelta(days=7)
RETURN = timedelta(hours=72)
FOLLOW_UPS: Final = (14, 30)  # days
COMMUNITY_CONTACT_TYPES: Final = ("outpatient", "home_visit", "virtual")
OUTSIDE_LABOUR_MARKET: Final = ("social_assistance", "sickness", "rehabilitation", "early_retirement")
LONG_TERM: Final = ("diabetes", "copd", "heart_failure", "renal", "liver", "epilepsy", "dementia")
MOST_UNITS: Final = 100_000
SECTORS: Final = ("somatic", "psychiatric", "substance", "social", "care", "employment")
SECTOR_OF_SERVICE: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(s.SERVICES, "social")
    | {"home_care": "care", "home_nursing": "care", "job_centre": "employment"}
)


@dataclass(frozen=True, slots=True)
class View:
    """A kind of event: the tables it needs, and what one may ask of it.

    `flags` can be asked for in `where` and `of`, `values` measured, `texts` matched. Without one of
    `tables` nothing can be said; those in `also` are read where they are present. `version` is raised
    whenever the same rows come to give other events.
    """

    build: Callable[[Timeline], Events]
    tables: tuple[str, ...]
    flags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    version: int = 1


def build_stays_view(timeline: Timeline) -> Events:
    """Build one event per known stay, with how it follows the stay before it."""
    return _describe_sequence(timeline.stays, timeline.size)


def build_admissions_view(timeline: Timeline) -> Events:
    """Build one event per known admission, with how it follows the admission before it."""
    return _describe_sequence(timeline.stays.admissions(), timeline.size)


def _describe_sequence(stays: Stays, size: int) -> Events:
    before = find_before(stays.moment, np.ones(len(stays.moment), dtype=np.bool_))
    follows = before != NO_VALUE
    gap = np.where(follows, stays.end_age[before] - stays.start_age, NO_VALUE)
    unfinished = stays.discharge.are("left_early")
    after_unfinished = follows & unfinished[before]
    is_quick = follows & (gap < _microseconds(RETURN))
    return Events(
        size,
        stays.moment,
        stays.start_age,
        stays.end_age,
        flags={
            "acute": stays.is_acute,
            "planned": ~stays.is_acute,
            "psychiatric": stays.has_psychiatric,
            "somatic": ~stays.has_psychiatric,
            "emergency_visit": stays.is_acute & ~stays.is_admission,
            "unfinished": unfinished,
            "ended": stays.end_age > 0,
            "follows": follows,
            "quick_return": is_quick,
            "within_a_week": follows & (gap < _microseconds(WEEK)),
            "readmission": stays.is_acute & follows & (gap < _microseconds(READMISSION)),
            "early_readmission": stays.is_acute & is_quick,
            "after_unfinished": after_unfinished,
            "return_after_unfinished": after_unfinished & is_quick,
            "sector_switch": follows & (stays.sector.codes != stays.sector.codes[before]),
        },
        values={"lasted": stays.lasted, "gap": gap},
        coded={s.DIAGNOSIS: stays.diagnosis},
    )


def build_contacts_view(timeline: Timeline) -> Events:
    """Build one event per known hospital contact, with its unit and how it follows the contact before.

    Contacts without a unit are passed over when the one before is looked for.
    """
    contacts = timeline.see(s.ADMISSIONS)
    hospital, department = contacts.get(s.HOSPITAL), contacts.get(s.DEPARTMENT)
    unit = _combine(hospital, department)
    before = find_before(contacts.moment, unit.codes != NO_VALUE)
    follows = before != NO_VALUE
    start_age = contacts.start_age
    return _show(
        contacts,
        timeline,
        flags={
            "follows": follows,
            "same_unit": follows & (unit.codes == unit.codes[before]),
            "new_unit": _is_new(contacts, unit),
        },
        values={"step": np.where(follows, start_age[before] - start_age, NO_VALUE)},
        coded={
            s.HOSPITAL: hospital,
            s.DEPARTMENT: department,
            s.DIAGNOSIS: contacts.get(s.DIAGNOSIS),
            UNIT: unit,
        },
    )


def _combine(hospital: Coded, department: Coded) -> Coded:
    """Give each department of each hospital, and each one of no hospital, a code of its own."""
    codes = (hospital.codes.astype(np.int64) + 1) * len(department) + department.codes
    units = (len(hospital) + 1) * len(department)
    if units > MOST_UNITS:  # far more than occur: number those that do
        occurring, codes = np.unique(codes, return_inverse=True)
        units = len(occurring)
    return Coded(np.where(department.codes == NO_VALUE, NO_VALUE, codes).astype(np.int32), range(units))


def _is_new(seen: Seen, coded: Coded) -> Mask:
    """Whether an event is the first with its text, and later than the first with any."""
    return find_new(seen.moment, coded.codes, len(coded), seen.start_age)


def _show(
    seen: Seen,
    timeline: Timeline,
    *,
    flags: Mapping[str, Mask],
    values: Mapping[str, Array] | None = None,
    coded: Mapping[str, Coded] | None = None,
) -> Events:
    """Show the rows seen as events."""
    return Events(
        timeline.size, seen.moment, seen.start_age, seen.end_age, flags=flags, values=values, coded=coded
    )


def build_psychiatric_view(timeline: Timeline) -> Events:
    """Build one event per known psychiatric contact outside the ward."""
    contacts = timeline.see(s.PSYCHIATRIC_CONTACTS)
    attendance, provider = contacts.get(s.ATTENDANCE), contacts.get(s.PROVIDER)
    attended, is_missed = attendance.are("attended", "unknown"), attendance.are("no_show")
    is_appointment = attended | is_missed
    before = find_before(contacts.moment, is_appointment)
    return _show(
        contacts,
        timeline,
        flags=_flag_values(contacts.get(s.CONTACT_TYPE), s.CONTACT_TYPES)
        | {
            "attended": attended,
            "no_show": is_missed,
            "cancelled": attendance.are("cancelled"),
            "kept_or_missed": is_appointment,
            "after_no_show": (before != NO_VALUE) & is_missed[before],
            "new_provider": _is_new(contacts, provider),
        },
        coded={s.PROVIDER: provider, s.DIAGNOSIS: contacts.get(s.DIAGNOSIS)},
    )


def build_treatments_view(timeline: Timeline) -> Events:
    """Build one event per known substance treatment episode.

    `drugs` is whatever is not alcohol, also what is not known (`unknown`); among the values of `substance`
    what is not known is none.
    """
    episodes = timeline.see(s.SUBSTANCE_ABUSE)
    substance, reason = episodes.get(s.SUBSTANCE), episodes.get(s.END_REASON)
    provider = episodes.get(s.PROVIDER)
    return _show(
        episodes,
        timeline,
        flags=_flag_values(substance, s.SUBSTANCES)
        | {
            "drugs": ~substance.are("alcohol"),
            "dropped_out": reason.are("dropped_out"),
            "completed": reason.are("completed"),
            "ended": episodes.is_over,
            "restart": _is_later_than_first(episodes),
            "new_provider": _is_new(episodes, provider),
            "ended_in_hospital": _is_ended_in_hospital(episodes, timeline),
        },
        coded={s.PROVIDER: provider, s.SUBSTANCE: substance.without("unknown")},
    )


def _is_later_than_first(seen: Seen) -> Mask:
    """Whether an event started later than the first of its moment."""
    places = np.arange(len(seen))
    is_first = np.diff(seen.moment, prepend=NO_VALUE) != 0
    first = np.maximum.accumulate(np.where(is_first, places, 0))
    is_later: Mask = seen.start_age < seen.start_age[first]
    return is_later


def _is_ended_in_hospital(treatments: Seen, timeline: Timeline) -> Mask:
    """Whether the known end lies in an admission, which begins with its start and leaves its end out."""
    admissions = timeline.stays.admissions()
    return mark_inside(
        treatments.moment, treatments.end_age, admissions.moment, admissions.start_age, admissions.end_age
    )


def build_treatment_spells_view(timeline: Timeline) -> Events:
    """Build one event per spell in substance treatment, overlapping episodes joined."""
    return _join(timeline.see(s.SUBSTANCE_ABUSE), timeline)


def build_benefit_spells_view(timeline: Timeline) -> Events:
    """Build one event per spell on one benefit, with whether another benefit came before it."""
    return _join(timeline.see(s.SOCIAL_BENEFITS), timeline, s.BENEFIT, _flag_benefits)


def _flag_benefits(benefit: Coded, before: Array) -> dict[str, Mask]:
    return _flag_values(benefit, s.BENEFITS) | {
        "public": ~benefit.are("self_support"),
        "switch": (before != NO_VALUE) & (benefit.codes != benefit.codes[before]),
    }


def build_outside_labour_market_view(timeline: Timeline) -> Events:
    """Build one event per spell outside the labour market, whichever benefits it was made of."""
    benefits = timeline.see(s.SOCIAL_BENEFITS)
    return _join(benefits.take(benefits.get(s.BENEFIT).are(*OUTSIDE_LABOUR_MARKET)), timeline)


def build_service_spells_view(timeline: Timeline) -> Events:
    """Build one event per spell of one municipal service."""
    return _join(timeline.see(s.SOCIAL_SERVICES), timeline, s.SERVICE, _flag_services)


def _flag_services(service: Coded, _before: Array) -> dict[str, Mask]:
    return _flag_values(service, s.SERVICES)


def _join(
    seen: Seen,
    timeline: Timeline,
    by: str | None = None,
    flag: Callable[[Coded, Array], dict[str, Mask]] | None = None,
) -> Events:
    """Join overlapping and adjoining events (of one text); a spell is open if any of them is.

    `flag` is told the text of each spell and the spell before it in the same moment.
    """
    coded = seen.get(by) if by else Coded(np.zeros(len(seen), dtype=np.int32), ("",))
    _, first, farthest = join_spells(seen.moment, coded.codes, len(coded), seen.start_age, seen.end_age, 0)
    moment, text = seen.moment[first], coded.take(first)
    before = find_before(moment, np.ones(len(moment), dtype=np.bool_))
    return Events(
        timeline.size,
        moment,
        seen.start_age[first],
        seen.end_age[farthest],
        flags=flag(text, before) if flag else {},
        coded={by: text} if by else {},
    )


def build_services_view(timeline: Timeline) -> Events:
    """Build one event per known row of a municipal service, as it was granted."""
    services = timeline.see(s.SOCIAL_SERVICES)
    provider = services.get(s.PROVIDER)
    return _show(
        services,
        timeline,
        flags={"new_provider": _is_new(services, provider)},
        coded={
            s.SERVICE: services.get(s.SERVICE),
            s.PARAGRAPH: services.get(s.PARAGRAPH),
            s.PROVIDER: provider,
        },
    )


def build_primary_care_view(timeline: Timeline) -> Events:
    """Build one event per known contact with primary care."""
    contacts = timeline.see(s.PRIMARY_CARE)
    return _show(contacts, timeline, flags=_flag_values(contacts.get(s.KIND), s.PRIMARY_CARE_KINDS))


def build_diagnoses_view(timeline: Timeline) -> Events:
    """Build one event per known diagnosis code of a contact, with the groups it belongs to."""
    is_hospital: Mapping[str, Callable[[Seen], Mask]] = {
        s.ADMISSIONS: lambda seen: np.ones(len(seen), dtype=np.bool_),
        s.DIAGNOSES: timeline.is_of_hospital,
        s.PSYCHIATRIC_CONTACTS: lambda seen: np.zeros(len(seen), dtype=np.bool_),
    }
    parts = [_list_diagnoses(timeline.see(table), tell) for table, tell in is_hospital.items()]
    told = _mix(parts)
    groups = spread_bits(told["groups"], len(GROUPS))
    # All three number codes and contacts alike, so that the longest list of names has them all.
    columns = [(timeline.see(table).table.columns, code) for table, code in _CODES.items()]
    names = max((of_table[code].names for of_table, code in columns), key=len)
    contacts = max((of_table[CONTACT].names for of_table, _ in columns), key=len)
    return Events(
        timeline.size,
        told["moment"],
        told["start_age"],
        told["end_age"],
        flags={IN_HOSPITAL: told["hospital"], **dict(zip(GROUPS, groups, strict=True))},
        coded={s.CODE: Coded(told["code"], names), s.CONTACT_ID: Coded(told["contact"], contacts)},
    )


_CODES: Final = MappingProxyType(
    {s.ADMISSIONS: s.DIAGNOSIS, s.DIAGNOSES: s.CODE, s.PSYCHIATRIC_CONTACTS: s.DIAGNOSIS}
)


def _list_diagnoses(seen: Seen, is_hospital: Callable[[Seen], Mask]) -> dict[str, Array]:
    coded = seen.get(_CODES[seen.name])
    return _take(
        {
            "moment": seen.moment,
            "start_age": seen.start_age,
            "end_age": seen.end_age,
            "code": coded.codes,
            "contact": seen.get(CONTACT).codes,
            "groups": seen.groups,
            "hospital": is_hospital(seen),
        },
        np.flatnonzero(coded.codes != NO_VALUE),
    )


def _take(columns: Mapping[str, Array], rows: Array) -> dict[str, Array]:
    return {name: values[rows] for name, values in columns.items()}


def _mix(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Put events of several kinds together, one kind after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def build_conditions_view(timeline: Timeline) -> Events:
    """Build one event per known diagnosis and long-term condition it stands for."""
    diagnoses = build_view("diagnoses", timeline)
    told = _mix(
        [
            _list_condition(diagnoses, np.flatnonzero(diagnoses.flags[group]), condition)
            for condition, group in enumerate(LONG_TERM)
        ]
    )
    return Events(
        timeline.size,
        told["moment"],
        told["start_age"],
        told["end_age"],
        coded={
            s.CODE: Coded(told["code"], diagnoses.coded[s.CODE].names),
            CONDITION: Coded(told[CONDITION], LONG_TERM),
        },
    )


def _list_condition(diagnoses: Events, rows: Array, condition: int) -> dict[str, Array]:
    return _list_places(diagnoses, rows) | {
        "code": diagnoses.coded[s.CODE].codes[rows],
        CONDITION: np.full(len(rows), condition, dtype=np.int32),
    }


def _list_places(events: Events, rows: Array) -> dict[str, Array]:
    return {
        "moment": events.moment[rows],
        "start_age": events.start_age[rows],
        "end_age": events.end_age[rows],
    }


def build_discharges_view(timeline: Timeline) -> Events:
    """Build one event per known discharge from an admission, with whether a community contact followed.

    A community contact is an attended psychiatric contact outside the ward, other than an emergency, or
    one with the general practitioner. A discharge is due once the days for it have passed.
    """
    admissions = timeline.stays.admissions()
    rows = np.flatnonzero(admissions.end_age > 0)
    moment, end_age = admissions.moment[rows], admissions.end_age[rows]
    following = np.maximum.reduce(
        [
            find_next(moment, end_age, contacts.moment, contacts.start_age, held)
            for contacts, held in _list_community_contacts(timeline)
        ]
    )
    waited = np.where(following == NO_VALUE, NEVER, end_age - following)
    return Events(
        timeline.size,
        moment,
        admissions.start_age[rows],
        end_age,
        flags={
            name: flag for days in FOLLOW_UPS for name, flag in _flag_follow_up(days, end_age, waited).items()
        },
    )


def _flag_follow_up(days: int, end_age: Integers, waited: Integers) -> dict[str, Mask]:
    span = _microseconds(timedelta(days=days))
    is_due = end_age >= span
    return {f"due_{days}": is_due, f"alone_{days}": is_due & (waited >= span)}


def _list_community_contacts(timeline: Timeline) -> list[tuple[Seen, Mask]]:
    psychiatric, primary_care = timeline.see(s.PSYCHIATRIC_CONTACTS), timeline.see(s.PRIMARY_CARE)
    is_community = psychiatric.get(s.CONTACT_TYPE).are(*COMMUNITY_CONTACT_TYPES)
    attended = psychiatric.get(s.ATTENDANCE).are("attended", "unknown")
    return [
        (psychiatric, is_community & attended),
        (primary_care, primary_care.get(s.KIND).are("gp")),
    ]


def build_sectors_view(timeline: Timeline) -> Events:
    """Build one event per event in one of the sectors that may be at work for a person at once."""
    stays, contacts, treatments, services = (
        build_view(name, timeline)
        for name in ("stays", "psychiatric_contacts", "treatment_spells", "service_spells")
    )
    service = services.coded[s.SERVICE]
    of_service = np.array([_place(SECTOR_OF_SERVICE[name]) for name in service.names])
    stay_sector = np.where(stays.flags["psychiatric"], _place("psychiatric"), _place("somatic"))
    told = _mix(
        [
            _list_sector(stays, np.arange(len(stays)), stay_sector),
            _list_sector(contacts, np.flatnonzero(contacts.flags["attended"]), _place("psychiatric")),
            _list_sector(treatments, np.arange(len(treatments)), _place("substance")),
            _list_sector(services, np.arange(len(services)), of_service[service.codes]),
        ]
    )
    return Events(
        timeline.size,
        told["moment"],
        told["start_age"],
        told["end_age"],
        coded={s.SECTOR: Coded(told[s.SECTOR], SECTORS)},
    )


def _place(sector: str) -> np.int32:
    return np.int32(SECTORS.index(sector))


def _list_sector(events: Events, rows: Array, sector: Array | np.int32) -> dict[str, Array]:
    return _list_places(events, rows) | {s.SECTOR: np.broadcast_to(sector, len(events))[rows]}


def build_background_view(timeline: Timeline) -> Events:
    """Build one event per index moment with what is fixed or slow to change in a person."""
    persons, none = timeline.persons, np.zeros(timeline.size, dtype=np.int64)
    # Of dates written as whole numbers, the difference of the years counts in ten thousands.
    age = (_number_dates(timeline.index) - persons.births[timeline.person]) // 10_000
    return Events(
        timeline.size,
        np.arange(timeline.size, dtype=np.int32),
        none,
        none,
        values={"age_years": age},
        coded={name: coded.take(timeline.person) for name, coded in persons.categories.items()},
    )


def _number_dates(moments: Integers) -> Integers:
    """Return the dates of moments as whole numbers such as 20260131; many moments have few dates."""
    distinct = np.unique(moments)
    days = distinct.astype("datetime64[us]").astype("datetime64[D]")
    months, years = days.astype("datetime64[M]"), days.astype("datetime64[Y]")
    month, day = (months - years).astype(np.int64) + 1, (days - months).astype(np.int64) + 1
    numbers: Integers = (years.astype(np.int64) + 1970) * 10_000 + month * 100 + day
    return numbers[np.searchsorted(distinct, moments)]


def build_view(name: str, timeline: Timeline) -> Events:
    """Build the events of a kind, once for each time line."""
    if name not in timeline.views:
        timeline.views[name] = VIEWS[name].build(timeline)
    events: Events = timeline.views[name]
    return events


def _flag_values(coded: Coded, values: Sequence[str]) -> dict[str, Mask]:
    return {value: coded.are(value) for value in values}


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


_STAY_FLAGS = (
    "acute",
    "planned",
    "psychiatric",
    "somatic",
    "emergency_visit",
    "unfinished",
    "ended",
    "follows",
    "quick_return",
    "within_a_week",
    "readmission",
    "early_readmission",
    "after_unfinished",
    "return_after_unfinished",
    "sector_switch",
)
_STAYS = ((s.ADMISSIONS,), _STAY_FLAGS, ("lasted", "gap"), (s.DIAGNOSIS,))

# 2: a contact that was never closed ends within bounds, and nothing counts after a known death.
VIEWS: Final[Mapping[str, View]] = MappingProxyType(
    {
        "stays": View(
            build_stays_view,
            *_STAYS,
            version=2,
        ),
        "admissions": View(
            build_admissions_view,
            *_STAYS,
            version=2,
        ),
        "contacts": View(
            build_contacts_view,
            (s.ADMISSIONS,),
            ("follows", "same_unit", "new_unit"),
            (s.HOSPITAL, UNIT, "step"),
            (s.HOSPITAL, s.DEPARTMENT, s.DIAGNOSIS),
            version=2,
        ),
        "psychiatric_contacts": View(
            build_psychiatric_view,
            (s.PSYCHIATRIC_CONTACTS,),
            (
                *s.CONTACT_TYPES,
                *("attended", "no_show", "cancelled", "kept_or_missed", "after_no_show", "new_provider"),
            ),
            (s.PROVIDER,),
            (s.PROVIDER, s.DIAGNOSIS),
            version=2,
        ),
        "treatments": View(
            build_treatments_view,
            (s.SUBSTANCE_ABUSE,),
            (
                *s.SUBSTANCES,
                *("drugs", "dropped_out", "completed", "ended", "restart"),
                *("new_provider", "ended_in_hospital"),
            ),
            (s.PROVIDER, s.SUBSTANCE),
            (s.PROVIDER,),
            also=(s.ADMISSIONS,),
            version=2,
        ),
        "treatment_spells": View(
            build_treatment_spells_view,
            (s.SUBSTANCE_ABUSE,),
            version=2,
        ),
        "benefit_spells": View(
            build_benefit_spells_view,
            (s.SOCIAL_BENEFITS,),
            (*s.BENEFITS, "public", "switch"),
            (s.BENEFIT,),
            version=2,
        ),
        "outside_labour_market_spells": View(
            build_outside_labour_market_view,
            (s.SOCIAL_BENEFITS,),
            version=2,
        ),
        "service_spells": View(
            build_service_spells_view,
            (s.SOCIAL_SERVICES,),
            s.SERVICES,
            (s.SERVICE,),
            version=2,
        ),
        "services": View(
            build_services_view,
            (s.SOCIAL_SERVICES,),
            ("new_provider",),
            (s.SERVICE, s.PARAGRAPH, s.PROVIDER),
            (s.SERVICE, s.PARAGRAPH, s.PROVIDER),
            version=2,
        ),
        "primary_care": View(
            build_primary_care_view,
            (s.PRIMARY_CARE,),
            s.PRIMARY_CARE_KINDS,
            version=2,
        ),
        "diagnoses": View(
            build_diagnoses_view,
            (s.ADMISSIONS,),
            (IN_HOSPITAL, *GROUPS),
            (s.CONTACT_ID, s.CODE),
            (s.CODE,),
            also=(s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS),
            version=2,
        ),
        "conditions": View(
            build_conditions_view,
            (s.ADMISSIONS,),
            (),
            (CONDITION,),
            (s.CODE,),
            also=(s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS),
            version=2,
        ),
        "discharges": View(
            build_discharges_view,
            (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.PRIMARY_CARE),
            tuple(f"{flag}_{days}" for days in FOLLOW_UPS for flag in ("due", "alone")),
            version=2,
        ),
        "sectors": View(
            build_sectors_view,
            (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.SUBSTANCE_ABUSE, s.SOCIAL_SERVICES),
            (),
            (s.SECTOR,),
            version=2,
        ),
        BACKGROUND: View(build_background_view, (s.PERSONS,), (), ("age_years", s.SEX, s.MUNICIPALITY)),
    }
)
