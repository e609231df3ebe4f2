"""Refits: the training repeated on other years, without a place, and on other draws of persons."""

from somv_risk.evaluation.refits._again import Fitted, draw_persons, fit_again, leave_out
from somv_risk.evaluation.refits._judge import Judge
from somv_risk.evaluation.refits._origins import roll_origins
from somv_risk.evaluation.refits._places import leave_places_out
from somv_risk.evaluation.refits._run import RefitResult, Refits, run_refits
from somv_risk.evaluation.refits._seeds import measure_stability, repeat_seeds

__all__ = [
    "Fitted",
    "Judge",
    "RefitResult",
    "Refits",
    "draw_persons",
    "fit_again",
    "leave_out",
    "leave_places_out",
    "measure_stability",
    "repeat_seeds",
    "roll_origins",
    "run_refits",
]
