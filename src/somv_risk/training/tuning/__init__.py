"""Tuning: a search for tree parameters, judged on later persons, that may be ended and gone on with."""

from somv_risk.training.tuning._space import SPACE, read_space
from somv_risk.training.tuning._tune import Tuned, tune

__all__ = [
    "SPACE",
    "Tuned",
    "read_space",
    "tune",
]
