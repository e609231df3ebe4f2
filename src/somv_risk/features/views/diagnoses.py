"""Views of diagnoses: the codes of all contacts, and the long-term conditions they stand for."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from somv_risk.features._events import Array, Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import NO_VALUE, Mask, spread_bits
from somv_risk.features._tables import GROUPS
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Seen, Timeline
from somv_risk.features.views.view import Source, View, build_once, concatenate, take_times
from somv_risk.registers import schema as s
from somv_risk.registers.histories import CONTACT

IN_HOSPITAL: Final = "hospital"
CONDITION: Final = "condition"
LONG_TERM: Final = ("diabetes", "copd", "heart_failure", "renal", "liver", "epilepsy", "dementia")
_CODE_COLUMNS: Final = MappingProxyType(
    {s.ADMISSIONS: s.DIAGNOSIS, s.DIAGNOSES: s.CODE, s.PSYCHIATRIC_CONTACTS: s.DIAGNOSIS}
)


def build_diagnoses_view(timeline: Timeline) -> Events:
    """Build one event per known diagnosis code of a contact, with the groups it belongs to."""
    flag_hospital: Mapping[str, Callable[[Seen], Mask]] = {
        s.ADMISSIONS: lambda seen: np.ones(len(seen), dtype=np.bool_),
        s.DIAGNOSES: timeline.is_of_hospital,
        s.PSYCHIATRIC_CONTACTS: lambda seen: np.zeros(len(seen), dtype=np.bool_),
    }
    columns = concatenate(
        [_list_diagnoses(timeline.see(table), flag) for table, flag in flag_hospital.items()]
    )
    groups = spread_bits(columns["groups"], len(GROUPS))
    # All three number codes and contacts alike, so that the longest list of names has them all.
    coded = [(timeline.see(table).table.columns, code) for table, code in _CODE_COLUMNS.items()]
    names = max((of_table[code].names for of_table, code in coded), key=len)
    contacts = max((of_table[CONTACT].names for of_table, _ in coded), key=len)
    return Events(
        timeline.size,
        columns["moment"],
        columns["start_age"],
        columns["end_age"],
        flags={IN_HOSPITAL: columns["hospital"], **dict(zip(GROUPS, groups, strict=True))},
        coded={s.CODE: Coded(columns["code"], names), s.CONTACT_ID: Coded(columns["contact"], contacts)},
    )


def _list_diagnoses(seen: Seen, flag_hospital: Callable[[Seen], Mask]) -> dict[str, Array]:
    coded = seen.get(_CODE_COLUMNS[seen.name])
    rows = np.flatnonzero(coded.codes != NO_VALUE)
    columns: dict[str, Array] = {
        "code": coded.codes,
        "contact": seen.get(CONTACT).codes,
        "groups": seen.groups,
        "hospital": flag_hospital(seen),
    }
    return take_times(seen, rows) | {name: values[rows] for name, values in columns.items()}


def build_conditions_view(timeline: Timeline) -> Events:
    """Build one event per known diagnosis and long-term condition it stands for."""
    diagnoses = build_once(build_diagnoses_view, timeline)
    columns = concatenate(
        [
            _list_condition(diagnoses, np.flatnonzero(diagnoses.flags[group]), condition)
            for condition, group in enumerate(LONG_TERM)
        ]
    )
    return Events(
        timeline.size,
        columns["moment"],
        columns["start_age"],
        columns["end_age"],
        coded={
            s.CODE: Coded(columns["code"], diagnoses.coded[s.CODE].names),
            CONDITION: Coded(columns[CONDITION], LONG_TERM),
        },
    )


def _list_condition(diagnoses: Events, rows: Array, condition: int) -> dict[str, Array]:
    return take_times(diagnoses, rows) | {
        "code": diagnoses.coded[s.CODE].codes[rows],
        CONDITION: np.full(len(rows), condition, dtype=np.int32),
    }


def _list_sources(groups: tuple[str, ...] = ()) -> tuple[Source, ...]:
    tables = (s.DIAGNOSES, s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS)
    return tuple(Source(table, code=_CODE_COLUMNS[table], groups=groups) for table in tables)


DIAGNOSES: Final = View(
    build_diagnoses_view,
    tables=(s.ADMISSIONS,),
    extent=Extent.DATED,
    flags=(IN_HOSPITAL, *GROUPS),
    values=MappingProxyType({s.CONTACT_ID: ValueKind.NAME, s.CODE: ValueKind.NAME}),
    texts=(s.CODE,),
    also=(s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS),
    sources=_list_sources(),
    version=2,
)
CONDITIONS: Final = View(
    build_conditions_view,
    tables=(s.ADMISSIONS,),
    extent=Extent.DATED,
    values=MappingProxyType({CONDITION: ValueKind.NAME}),
    texts=(s.CODE,),
    also=(s.DIAGNOSES, s.PSYCHIATRIC_CONTACTS),
    sources=_list_sources(LONG_TERM),
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {"diagnoses": DIAGNOSES, "conditions": CONDITIONS}
