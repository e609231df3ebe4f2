"""Metrics: how good a ranking and its probabilities are, measured from outcome and risk alone."""

from somv_risk.metrics._brief import judge_briefly
from somv_risk.metrics._calibration import (
    compute_index,
    measure_index,
    measure_ratio,
    tabulate_group_errors,
    tabulate_lines,
    tabulate_reliability,
)
from somv_risk.metrics._capacities import CAPACITIES, Capacity, read_capacities
from somv_risk.metrics._cases import Cases
from somv_risk.metrics._cells import put_in_cells
from somv_risk.metrics._comparison import compare, hide
from somv_risk.metrics._curves import fit_line, put_together
from somv_risk.metrics._decisions import THRESHOLDS, measure_net_benefit
from somv_risk.metrics._fairness import RATES, find_gaps, measure_rates, tabulate_fairness
from somv_risk.metrics._gaps import render_gap
from somv_risk.metrics._listings import Listing, make_listing, make_listings
from somv_risk.metrics._lists import tabulate_hidden
from somv_risk.metrics._measures import Resampling, compute_tables, draw, draw_weights
from somv_risk.metrics._numbers import compute_wilson
from somv_risk.metrics._rankings import LISTED, measure_order, measure_rankings
from somv_risk.metrics._tables import WORKING_CAPACITY, judge
from somv_risk.metrics.metrics import compute_metrics
from somv_risk.metrics.notes import BY_LOT

__all__ = [
    "BY_LOT",
    "CAPACITIES",
    "LISTED",
    "RATES",
    "THRESHOLDS",
    "WORKING_CAPACITY",
    "Capacity",
    "Cases",
    "Listing",
    "Resampling",
    "compare",
    "compute_index",
    "compute_metrics",
    "compute_tables",
    "compute_wilson",
    "draw",
    "draw_weights",
    "find_gaps",
    "fit_line",
    "hide",
    "judge",
    "judge_briefly",
    "make_listing",
    "make_listings",
    "measure_index",
    "measure_net_benefit",
    "measure_order",
    "measure_rankings",
    "measure_rates",
    "measure_ratio",
    "put_in_cells",
    "put_together",
    "read_capacities",
    "render_gap",
    "tabulate_fairness",
    "tabulate_group_errors",
    "tabulate_hidden",
    "tabulate_lines",
    "tabulate_reliability",
]
