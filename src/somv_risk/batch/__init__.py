"""Batch: everyone in a store scored bucket by bucket, and a run that never loses its place."""

from somv_risk.batch._bucket import RISKS, Options, explain_bucket, keep_unchanged, score_bucket
from somv_risk.batch._rest import find_resting
from somv_risk.batch._run import BatchResult, run_batch
from somv_risk.batch._tasks import Failed

__all__ = [
    "RISKS",
    "BatchResult",
    "Failed",
    "Options",
    "explain_bucket",
    "find_resting",
    "keep_unchanged",
    "run_batch",
    "score_bucket",
]
