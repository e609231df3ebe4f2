"""Quality of explanations: whether they add up, agree with others, stay the same, and name what matters."""

from somv_risk.evaluation.explanations._deletion import check_deletion
from somv_risk.evaluation.explanations._measures import MEASURES, measure_explanations
from somv_risk.evaluation.explanations._stability import measure_stability

__all__ = [
    "MEASURES",
    "check_deletion",
    "measure_explanations",
    "measure_stability",
]
