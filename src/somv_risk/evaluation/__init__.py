"""Evaluation: how good a ranking and its probabilities are, judged from outcome and risk alone."""

from somv_risk.evaluation.metrics import compute_metrics

__all__ = ["compute_metrics"]
