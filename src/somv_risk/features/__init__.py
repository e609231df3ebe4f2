"""Features: numbers per person and index moment that see only what was known before it."""

from somv_risk.features._catalogue import load_catalogue, load_definitions
from somv_risk.features._engine import build_features, compute_features
from somv_risk.features._evidence import list_evidence
from somv_risk.features._measures import Column
from somv_risk.features._spec import THEMES, Definition, Feature, describe_definition, read_definition

__all__ = [
    "THEMES",
    "Column",
    "Definition",
    "Feature",
    "build_features",
    "compute_features",
    "describe_definition",
    "list_evidence",
    "load_catalogue",
    "load_definitions",
    "read_definition",
]
