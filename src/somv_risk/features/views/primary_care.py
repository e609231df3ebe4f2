"""The view of contacts with primary care."""

from collections.abc import Mapping
from typing import Final

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent
from somv_risk.features._timeline import Timeline
from somv_risk.features.views.view import Source, View, flag_values, make_events
from somv_risk.registers import schema as s


def build_primary_care_view(timeline: Timeline) -> Events:
    """Build one event per known contact with primary care."""
    contacts = timeline.see(s.PRIMARY_CARE)
    return make_events(contacts, timeline, flags=flag_values(contacts.get(s.KIND), s.PRIMARY_CARE_KINDS))


PRIMARY_CARE: Final = View(
    build_primary_care_view,
    tables=(s.PRIMARY_CARE,),
    extent=Extent.POINT,
    flags=s.PRIMARY_CARE_KINDS,
    sources=(Source(s.PRIMARY_CARE),),
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {"primary_care": PRIMARY_CARE}
