"""Batch: everyone in a store scored bucket by bucket, and a run that never loses its place."""

from somv_risk.batch._bucket import RISKS, explain_bucket, keep_reasons, keep_unchanged, score_bucket
from somv_risk.batch._passes import Task, Team
from somv_risk.batch._rest import find_resting
from somv_risk.batch._run import BatchResult, run_batch
from somv_risk.batch._tasks import Done, Failed
from somv_risk.calls.libraries import list_libraries
from somv_risk.scoring.options import Options

__all__ = [
    "RISKS",
    "BatchResult",
    "Done",
    "Failed",
    "Options",
    "Task",
    "Team",
    "explain_bucket",
    "find_resting",
    "keep_reasons",
    "keep_unchanged",
    "list_libraries",
    "run_batch",
    "score_bucket",
]
