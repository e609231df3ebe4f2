"""Views of the hospital: stays, admissions, and the contacts they are made of."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import numpy as np

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import NO_VALUE, find_before
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Stays, Timeline
from somv_risk.features.views.view import Source, View, flag_new, make_events, to_microseconds
from somv_risk.registers import schema as s

UNIT: Final = "unit"
READMISSION: Final = timedelta(days=30)
WEEK: Final = timedelta(days=7)
RETURN: Final = timedelta(hours=72)
MOST_UNITS: Final = 100_000


def build_stays_view(timeline: Timeline) -> Events:
    """Build one event per known stay, with how it follows the stay before it."""
    return _build_sequence(timeline.stays, timeline.size)


def build_admissions_view(timeline: Timeline) -> Events:
    """Build one event per known admission, with how it follows the admission before it."""
    return _build_sequence(timeline.stays.admissions(), timeline.size)


def _build_sequence(stays: Stays, size: int) -> Events:
    before = find_before(stays.moment, np.ones(len(stays.moment), dtype=np.bool_))
    follows = before != NO_VALUE
    gap = np.where(follows, stays.end_age[before] - stays.start_age, NO_VALUE)
    unfinished = stays.discharge.are("left_early")
    after_unfinished = follows & unfinished[before]
    is_quick = follows & (gap < to_microseconds(RETURN))
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
            "within_a_week": follows & (gap < to_microseconds(WEEK)),
            "readmission": stays.is_acute & follows & (gap < to_microseconds(READMISSION)),
            "early_readmission": stays.is_acute & is_quick,
            "after_unfinished": after_unfinished,
            "return_after_unfinished": after_unfinished & is_quick,
            "sector_switch": follows & (stays.sector.codes != stays.sector.codes[before]),
        },
        values={"lasted": stays.lasted, "gap": gap},
        coded={s.DIAGNOSIS: stays.diagnosis},
    )


_STAY_FLAGS: Final = (
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
    return make_events(
        contacts,
        timeline,
        flags={
            "follows": follows,
            "same_unit": follows & (unit.codes == unit.codes[before]),
            "new_unit": flag_new(contacts, unit),
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


# Version 2: a contact that was never closed ends within bounds, and nothing counts after a known death.
STAYS: Final = View(
    build_stays_view,
    tables=(s.ADMISSIONS,),
    extent=Extent.JOINED,
    flags=_STAY_FLAGS,
    values=MappingProxyType({"lasted": ValueKind.DURATION, "gap": ValueKind.GAP}),
    texts=(s.DIAGNOSIS,),
    sources=(Source(s.ADMISSIONS, is_joined=True),),
    version=2,
)
ADMISSIONS: Final = replace(STAYS, build=build_admissions_view)
CONTACTS: Final = View(
    build_contacts_view,
    tables=(s.ADMISSIONS,),
    extent=Extent.LASTING,
    flags=("follows", "same_unit", "new_unit"),
    values=MappingProxyType({s.HOSPITAL: ValueKind.NAME, UNIT: ValueKind.NAME, "step": ValueKind.GAP}),
    texts=(s.HOSPITAL, s.DEPARTMENT, s.DIAGNOSIS),
    sources=(Source(s.ADMISSIONS),),
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {"stays": STAYS, "admissions": ADMISSIONS, "contacts": CONTACTS}
