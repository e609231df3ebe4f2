"""The view of discharges, and of what followed them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import numpy as np

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent
from somv_risk.features._loops import NEVER, NO_VALUE, Integers, Mask, find_next
from somv_risk.features._timeline import Seen, Timeline
from somv_risk.features.views.hospital import STAYS
from somv_risk.features.views.psychiatry import ATTENDED
from somv_risk.features.views.view import View, to_microseconds
from somv_risk.registers import schema as s

FOLLOW_UPS: Final = (14, 30)  # days
COMMUNITY_CONTACT_TYPES: Final = ("outpatient", "home_visit", "virtual")


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
            find_next(moment, end_age, contacts.moment, contacts.start_age, counts)
            for contacts, counts in _list_community_contacts(timeline)
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
    span = to_microseconds(timedelta(days=days))
    is_due = end_age >= span
    return {f"due_{days}": is_due, f"alone_{days}": is_due & (waited >= span)}


def _list_community_contacts(timeline: Timeline) -> list[tuple[Seen, Mask]]:
    psychiatric, primary_care = timeline.see(s.PSYCHIATRIC_CONTACTS), timeline.see(s.PRIMARY_CARE)
    is_community = psychiatric.get(s.CONTACT_TYPE).are(*COMMUNITY_CONTACT_TYPES)
    attended = psychiatric.get(s.ATTENDANCE).are(*ATTENDED)
    return [
        (psychiatric, is_community & attended),
        (primary_care, primary_care.get(s.KIND).are("gp")),
    ]


DISCHARGES: Final = View(
    build_discharges_view,
    tables=(s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.PRIMARY_CARE),
    extent=Extent.DATED,
    flags=tuple(f"{flag}_{days}" for days in FOLLOW_UPS for flag in ("due", "alone")),
    sources=STAYS.sources,
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {"discharges": DISCHARGES}
