"""Mortality: when people die."""

from collections.abc import Mapping

import numpy as np

from somv_risk.simulate.catalogue import read_table
from somv_risk.simulate.draws import Floats
from somv_risk.simulate.period import DAYS_PER_CALENDAR_YEAR, DAYS_PER_YEAR

MOST_SEVERE = 2.0


def draw_deaths(
    rng: np.random.Generator,
    ages: Floats,
    arrives: Floats,
    traits: Mapping[str, Floats],
    begins: Mapping[str, Floats],
    years: int,
) -> Floats:
    """Day of death of those who live in the region from a day on; endless where it is so many years later."""
    hazards = _compute_hazards(ages, arrives, traits, begins, years)
    reached = np.cumsum(hazards, axis=1)
    limit = rng.exponential(size=ages.size)
    year = (reached < limit[:, None]).sum(axis=1)
    column = np.minimum(year, years - 1)[:, None]
    last, hazard = (np.take_along_axis(values, column, axis=1)[:, 0] for values in (reached, hazards))
    share = np.clip(1 - (last - limit) / hazard, 0, 0.999)
    return np.where(year < years, arrives + (year + share) * DAYS_PER_YEAR, np.inf)


def _compute_hazards(
    ages: Floats, arrives: Floats, traits: Mapping[str, Floats], begins: Mapping[str, Floats], years: int
) -> Floats:
    """Deaths per year, by person and year of residence, growing with age as Gompertz found."""
    settings = read_table("region")["mortality"]
    middles = arrives[:, None] + DAYS_PER_YEAR * (np.arange(years) + 0.5)
    logs = settings["log_hazard_at_birth"] + settings["log_hazard_per_year"] * np.maximum(
        ages[:, None] + middles / DAYS_PER_CALENDAR_YEAR, 0
    )
    logs += settings["frailty"] * traits["frailty"][:, None]
    for name, weight in settings["traits"].items():
        severity = np.minimum(traits[name], MOST_SEVERE)[:, None]
        logs += weight * severity * (begins[name][:, None] < middles)
    return np.asarray(np.exp(logs))
