"""Mortality: when people die."""

from collections.abc import Mapping

import numpy as np

from somv_risk.simulate.catalogue import read_table
from somv_risk.simulate.draws import Floats
from somv_risk.simulate.period import DAYS_PER_YEAR, Period


def draw_deaths(
    rng: np.random.Generator, ages: Floats, traits: Mapping[str, Floats], period: Period
) -> Floats:
    """Day of death; endless for those who outlive the period."""
    hazards = _compute_hazards(ages, traits, period)
    reached = np.cumsum(hazards, axis=1)
    limit = rng.exponential(size=ages.size)
    year = (reached < limit[:, None]).sum(axis=1)
    dies_within = year < period.years
    column = np.minimum(year, period.years - 1)[:, None]
    last, hazard = (np.take_along_axis(values, column, axis=1)[:, 0] for values in (reached, hazards))
    share = 1 - (last - limit) / hazard
    return np.where(dies_within, (year + np.clip(share, 0, 0.999)) * DAYS_PER_YEAR, np.inf)


def _compute_hazards(ages: Floats, traits: Mapping[str, Floats], period: Period) -> Floats:
    """Deaths per year, by person and year, growing with age as Gompertz found."""
    settings = read_table("region")["mortality"]
    risk = settings["frailty"] * traits["frailty"]
    for name, weight in settings["traits"].items():
        risk = risk + weight * np.minimum(traits[name], 2.0)
    by_age = settings["log_hazard_at_birth"] + settings["log_hazard_per_year"] * np.maximum(
        ages[:, None] + np.arange(period.years), 0
    )
    return np.asarray(np.exp(by_age + risk[:, None]))
