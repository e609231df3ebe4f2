"""Evaluation: how good a ranking and its probabilities are, judged from outcome and risk alone."""

from somv_risk.evaluation._rankings import measure_rankings
from somv_risk.evaluation.metrics import compute_metrics

__all__ = ["compute_metrics", "measure_rankings"]
