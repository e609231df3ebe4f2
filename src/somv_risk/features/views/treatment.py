"""Views of substance treatment: episodes, and the spells they make."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import NO_VALUE, Mask, mark_inside
from somv_risk.features._timeline import Seen, Timeline
from somv_risk.features.views.view import Source, View, flag_new, flag_values, join_events, make_events
from somv_risk.registers import schema as s


def build_treatments_view(timeline: Timeline) -> Events:
    """Build one event per known substance treatment episode.

    `drugs` is whatever is not alcohol, also what is not known (`unknown`); among the values of `substance`
    what is not known is none.
    """
    episodes = timeline.see(s.SUBSTANCE_ABUSE)
    substance, reason = episodes.get(s.SUBSTANCE), episodes.get(s.END_REASON)
    provider = episodes.get(s.PROVIDER)
    return make_events(
        episodes,
        timeline,
        flags=flag_values(substance, s.SUBSTANCES)
        | {
            "drugs": ~substance.are("alcohol"),
            "dropped_out": reason.are("dropped_out"),
            "completed": reason.are("completed"),
            "ended": episodes.is_over,
            "restart": _flag_later_than_first(episodes),
            "new_provider": flag_new(episodes, provider),
            "ended_in_hospital": _flag_ended_in_hospital(episodes, timeline),
        },
        coded={s.PROVIDER: provider, s.SUBSTANCE: substance.without("unknown")},
    )


def _flag_later_than_first(seen: Seen) -> Mask:
    """Flag the events that started later than the first of their moment."""
    rows = np.arange(len(seen))
    is_first = np.diff(seen.moment, prepend=NO_VALUE) != 0
    first = np.maximum.accumulate(np.where(is_first, rows, 0))
    is_later: Mask = seen.start_age < seen.start_age[first]
    return is_later


def _flag_ended_in_hospital(treatments: Seen, timeline: Timeline) -> Mask:
    """Flag the known ends that lie in an admission, which begins with its start and leaves its end out."""
    admissions = timeline.stays.admissions()
    return mark_inside(
        treatments.moment, treatments.end_age, admissions.moment, admissions.start_age, admissions.end_age
    )


def build_treatment_spells_view(timeline: Timeline) -> Events:
    """Build one event per spell in substance treatment, overlapping episodes joined."""
    return join_events(timeline.see(s.SUBSTANCE_ABUSE), timeline)


TREATMENTS: Final = View(
    build_treatments_view,
    tables=(s.SUBSTANCE_ABUSE,),
    extent=Extent.LASTING,
    flags=(
        *s.SUBSTANCES,
        *("drugs", "dropped_out", "completed", "ended", "restart"),
        *("new_provider", "ended_in_hospital"),
    ),
    values=MappingProxyType({s.PROVIDER: ValueKind.NAME, s.SUBSTANCE: ValueKind.NAME}),
    texts=(s.PROVIDER,),
    also=(s.ADMISSIONS,),
    sources=(Source(s.SUBSTANCE_ABUSE),),
    version=2,
)
TREATMENT_SPELLS: Final = View(
    build_treatment_spells_view,
    tables=(s.SUBSTANCE_ABUSE,),
    extent=Extent.JOINED,
    sources=(Source(s.SUBSTANCE_ABUSE, is_joined=True),),
    version=2,
)
VIEWS: Final[Mapping[str, View]] = {"treatments": TREATMENTS, "treatment_spells": TREATMENT_SPELLS}
