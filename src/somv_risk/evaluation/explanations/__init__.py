"""Quality of explanations: whether they add up, agree with others, stay the same, and name what matters."""

from somv_risk.evaluation.explanations._measures import MEASURES, measure_explanations

__all__ = ["MEASURES", "measure_explanations"]
