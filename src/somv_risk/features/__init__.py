"""Features: numbers per person and index moment that see only what was known before it."""

from somv_risk.features._catalogue import load_catalogue, load_definitions, parse_definitions
from somv_risk.features._definition import (
    Definition,
    Feature,
    count_version,
    describe_definition,
    list_features,
    read_definition,
)
from somv_risk.features._engine import build_features, compute_features
from somv_risk.features._events import Events
from somv_risk.features._evidence import EVENTS, list_evidence
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._reading import read_rows
from somv_risk.features._rules import (
    THEMES,
    list_anchors,
    list_measurable_events,
    list_measurable_values,
)
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Timeline, to_microseconds
from somv_risk.features.measures import MEASURES, Column, Measure, ShapeName
from somv_risk.features.views import BACKGROUND, VIEWS, Source, View, list_event_views

__all__ = [
    "BACKGROUND",
    "EVENTS",
    "MEASURES",
    "THEMES",
    "VIEWS",
    "Coded",
    "Column",
    "Definition",
    "Events",
    "Extent",
    "Feature",
    "Measure",
    "ShapeName",
    "Source",
    "Timeline",
    "ValueKind",
    "View",
    "build_features",
    "compute_features",
    "count_version",
    "describe_definition",
    "list_anchors",
    "list_event_views",
    "list_evidence",
    "list_features",
    "list_measurable_events",
    "list_measurable_values",
    "load_catalogue",
    "load_definitions",
    "parse_definitions",
    "read_definition",
    "read_rows",
    "to_microseconds",
]
