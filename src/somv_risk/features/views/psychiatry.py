"""The view of psychiatric contacts outside the ward."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import NO_VALUE, find_before
from somv_risk.features._timeline import Timeline
from somv_risk.features.views.view import Source, View, flag_new, flag_values, make_events
from somv_risk.registers import schema as s

# Without a word on attendance, a contact counts as attended.
ATTENDED: Final = ("attended", "unknown")


def build_psychiatric_view(timeline: Timeline) -> Events:
    """Build one event per known psychiatric contact outside the ward."""
    contacts = timeline.see(s.PSYCHIATRIC_CONTACTS)
    attendance, provider = contacts.get(s.ATTENDANCE), contacts.get(s.PROVIDER)
    attended, is_missed = attendance.are(*ATTENDED), attendance.are("no_show")
    is_appointment = attended | is_missed
    before = find_before(contacts.moment, is_appointment)
    return make_events(
        contacts,
        timeline,
        flags=flag_values(contacts.get(s.CONTACT_TYPE), s.CONTACT_TYPES)
        | {
            "attended": attended,
            "no_show": is_missed,
            "cancelled": attendance.are("cancelled"),
            "kept_or_missed": is_appointment,
            "after_no_show": (before != NO_VALUE) & is_missed[before],
            "new_provider": flag_new(contacts, provider),
        },
        coded={s.PROVIDER: provider, s.DIAGNOSIS: contacts.get(s.DIAGNOSIS)},
    )


PSYCHIATRIC_CONTACTS: Final = View(
    build_psychiatric_view,
    tables=(s.PSYCHIATRIC_CONTACTS,),
    extent=Extent.POINT,
    flags=(
        *s.CONTACT_TYPES,
        *("attended", "no_show", "cancelled", "kept_or_missed", "after_no_show", "new_provider"),
    ),
    values=MappingProxyType({s.PROVIDER: ValueKind.NAME}),
    texts=(s.PROVIDER, s.DIAGNOSIS),
    sources=(Source(s.PSYCHIATRIC_CONTACTS),),
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {"psychiatric_contacts": PSYCHIATRIC_CONTACTS}
