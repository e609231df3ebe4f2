"""Metrics: how good a ranking and its probabilities are, measured from outcome and risk alone."""

from somv_risk.metrics._brief import judge_briefly
from somv_risk.metrics._capacities import CAPACITIES, Capacity, read_capacities
from somv_risk.metrics._cases import Cases
from somv_risk.metrics._comparison import compare, hide
from somv_risk.metrics._gaps import render_gap
from somv_risk.metrics._listings import BY_LOT, make_listing
from somv_risk.metrics._measures import draw_weights
from somv_risk.metrics._numbers import compute_wilson
from somv_risk.metrics._rankings import measure_rankings
from somv_risk.metrics._tables import WORKING_CAPACITY, judge
from somv_risk.metrics.metrics import compute_metrics

__all__ = [
    "BY_LOT",
    "CAPACITIES",
    "WORKING_CAPACITY",
    "Capacity",
    "Cases",
    "compare",
    "compute_metrics",
    "compute_wilson",
    "draw_weights",
    "hide",
    "judge",
    "judge_briefly",
    "make_listing",
    "measure_rankings",
    "read_capacities",
    "render_gap",
]
