"""Reasons: plain sentences about what moved a score, from reviewed texts in each language."""

from somv_risk.scoring.reasons._change import ChangeTexts, Note, load_change_texts, render_change
from somv_risk.scoring.reasons._dates import DateWords
from somv_risk.scoring.reasons._events import format_event, format_events, format_span
from somv_risk.scoring.reasons._reasons import (
    FeatureReason,
    Reason,
    build_feature_reasons,
    build_reasons,
    sum_themes,
)
from somv_risk.scoring.reasons._sentences import render_reason, render_sentence
from somv_risk.scoring.reasons._texts import Texts, list_templates, load_texts, read_texts
from somv_risk.scoring.reasons._warnings import render_note, render_warnings

__all__ = [
    "ChangeTexts",
    "DateWords",
    "FeatureReason",
    "Note",
    "Reason",
    "Texts",
    "build_feature_reasons",
    "build_reasons",
    "format_event",
    "format_events",
    "format_span",
    "list_templates",
    "load_change_texts",
    "load_texts",
    "read_texts",
    "render_change",
    "render_note",
    "render_reason",
    "render_sentence",
    "render_warnings",
    "sum_themes",
]
