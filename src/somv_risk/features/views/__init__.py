"""Views: the kinds of events that features count, one record each, built from the rows as they were known.

A new view is a function and a record in one of these modules, or a module of its own that is named here. A
test may add one with `monkeypatch.setitem(VIEWS, ...)`.
"""

from collections.abc import Mapping
from typing import Final

from somv_risk.features._events import Events
from somv_risk.features._kinds import Extent
from somv_risk.features._timeline import Timeline
from somv_risk.features.views import (
    background,
    diagnoses,
    discharges,
    hospital,
    primary_care,
    psychiatry,
    sectors,
    social,
    treatment,
)
from somv_risk.features.views.background import BACKGROUND
from somv_risk.features.views.view import Source, View, build_once

__all__ = ["BACKGROUND", "VIEWS", "Source", "View", "build_view", "list_event_views"]

# In the order of the feature page.
VIEWS: Final[Mapping[str, View]] = {
    **hospital.VIEWS,
    **psychiatry.VIEWS,
    **treatment.VIEWS,
    **social.VIEWS,
    **primary_care.VIEWS,
    **diagnoses.VIEWS,
    **discharges.VIEWS,
    **sectors.VIEWS,
    **background.VIEWS,
}


def build_view(name: str, timeline: Timeline) -> Events:
    """Build the events of a view, once for each time line."""
    return build_once(VIEWS[name].build, timeline)


def list_event_views() -> tuple[str, ...]:
    """List the views of events that happen, and not of what is fixed in a person."""
    return tuple(name for name, view in VIEWS.items() if view.extent is not Extent.FIXED)
