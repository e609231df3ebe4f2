"""The view of the sectors that may be at work for a person at once."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from somv_risk.features._events import Array, Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Timeline
from somv_risk.features.views.hospital import STAYS
from somv_risk.features.views.psychiatry import PSYCHIATRIC_CONTACTS
from somv_risk.features.views.social import SERVICE_SPELLS
from somv_risk.features.views.treatment import TREATMENT_SPELLS
from somv_risk.features.views.view import View, build_once, concatenate, take_times
from somv_risk.registers import schema as s

SECTORS: Final = ("somatic", "psychiatric", "substance", "social", "care", "employment")
SECTOR_OF_SERVICE: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(s.SERVICES, "social")
    | {"home_care": "care", "home_nursing": "care", "job_centre": "employment"}
)
_VIEWS: Final = (STAYS, PSYCHIATRIC_CONTACTS, TREATMENT_SPELLS, SERVICE_SPELLS)


def build_sectors_view(timeline: Timeline) -> Events:
    """Build one event per event in one of the sectors that may be at work for a person at once."""
    stays, contacts, treatments, services = (build_once(view.build, timeline) for view in _VIEWS)
    service = services.coded[s.SERVICE]
    of_service = np.array([_number(SECTOR_OF_SERVICE[name]) for name in service.names])
    stay_sector = np.where(stays.flags["psychiatric"], _number("psychiatric"), _number("somatic"))
    columns = concatenate(
        [
            _list_sector(stays, np.arange(len(stays)), stay_sector),
            _list_sector(contacts, np.flatnonzero(contacts.flags["attended"]), _number("psychiatric")),
            _list_sector(treatments, np.arange(len(treatments)), _number("substance")),
            _list_sector(services, np.arange(len(services)), of_service[service.codes]),
        ]
    )
    return Events(
        timeline.size,
        columns["moment"],
        columns["start_age"],
        columns["end_age"],
        coded={s.SECTOR: Coded(columns[s.SECTOR], SECTORS)},
    )


def _number(sector: str) -> np.int32:
    return np.int32(SECTORS.index(sector))


def _list_sector(events: Events, rows: Array, sector: Array | np.int32) -> dict[str, Array]:
    return take_times(events, rows) | {s.SECTOR: np.broadcast_to(sector, len(events))[rows]}


VIEWS: Final[Mapping[str, View]] = {
    "sectors": View(
        build_sectors_view,
        tables=(s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.SUBSTANCE_ABUSE, s.SOCIAL_SERVICES),
        extent=Extent.LASTING,
        values=MappingProxyType({s.SECTOR: ValueKind.NAME}),
        sources=tuple(source for view in _VIEWS for source in view.sources),
        version=2,
    )
}
