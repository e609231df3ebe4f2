"""The view of what is fixed or slow to change in a person."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import Integers
from somv_risk.features._timeline import Timeline
from somv_risk.features.views.view import View
from somv_risk.registers import schema as s

BACKGROUND: Final = "background"


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


VIEWS: Final[Mapping[str, View]] = {
    BACKGROUND: View(
        build_background_view,
        tables=(s.PERSONS,),
        extent=Extent.FIXED,
        values=MappingProxyType(
            {"age_years": ValueKind.AGE, s.SEX: ValueKind.NAME, s.MUNICIPALITY: ValueKind.NAME}
        ),
    )
}
