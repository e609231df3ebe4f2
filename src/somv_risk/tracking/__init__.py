"""Tracking: runs, models and aliases in MLflow, which is imported nowhere else."""

from somv_risk.scoring.payload import build_example
from somv_risk.tracking._client import DEFAULT_URI, EXPERIMENT, MODEL_NAME, check_store
from somv_risk.tracking._gates import Gates, parse_gates, read_gates
from somv_risk.tracking._monitoring import track_monitoring
from somv_risk.tracking._promotion import Decision, promote, roll_back
from somv_risk.tracking._registry import CHALLENGER, CHAMPION, fetch_model
from somv_risk.tracking._runs import Tracked, track_evaluation, track_training
from somv_risk.tracking._served import ServedModel

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "DEFAULT_URI",
    "EXPERIMENT",
    "MODEL_NAME",
    "Decision",
    "Gates",
    "ServedModel",
    "Tracked",
    "build_example",
    "check_store",
    "fetch_model",
    "parse_gates",
    "promote",
    "read_gates",
    "roll_back",
    "track_evaluation",
    "track_monitoring",
    "track_training",
]
