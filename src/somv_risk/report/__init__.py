"""Pages: what people read on screen and on paper."""

from somv_risk.report.card import render_card
from somv_risk.report.checklists import render_probast, render_tripod
from somv_risk.report.evaluation_page import render_evaluation, write_evaluation
from somv_risk.report.outputs import render_page, render_simulation_note, write_outputs
from somv_risk.report.worklist_page import render_worklist

__all__ = [
    "render_card",
    "render_evaluation",
    "render_page",
    "render_probast",
    "render_simulation_note",
    "render_tripod",
    "render_worklist",
    "write_evaluation",
    "write_outputs",
]
