"""Measures: a region's histories as figures that can be held against published ones."""

from somv_risk.simulate.measures.concentration import compute_lorenz
from somv_risk.simulate.measures.distributions import ACUTE_IN_A_YEAR
from somv_risk.simulate.measures.frequent import LAGS_YEARS
from somv_risk.simulate.measures.measure import FIGURE_NAMES, measure
from somv_risk.simulate.measures.measurements import (
    TWO_SIDED_95,
    Measurements,
    combine,
    compute_figures,
)
from somv_risk.simulate.measures.population import AGE_BANDS, PROFILE_SEXES

__all__ = [
    "ACUTE_IN_A_YEAR",
    "AGE_BANDS",
    "FIGURE_NAMES",
    "LAGS_YEARS",
    "PROFILE_SEXES",
    "TWO_SIDED_95",
    "Measurements",
    "combine",
    "compute_figures",
    "compute_lorenz",
    "measure",
]
