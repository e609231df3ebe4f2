"""Reasons: plain sentences about what moved a score, from reviewed texts in each language."""

from somv_risk.reasons._dates import DateWords
from somv_risk.reasons._reasons import (
    FeatureReason,
    Reason,
    build_feature_reasons,
    build_reasons,
    sum_themes,
)
from somv_risk.reasons._sentences import render_reason, render_sentence
from somv_risk.reasons._texts import Texts, load_texts
from somv_risk.reasons._warnings import render_warnings

__all__ = [
    "DateWords",
    "FeatureReason",
    "Reason",
    "Texts",
    "build_feature_reasons",
    "build_reasons",
    "load_texts",
    "render_reason",
    "render_sentence",
    "render_warnings",
    "sum_themes",
]
