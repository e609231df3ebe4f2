"""Traits: the latent troubles and illnesses that make people need help, and their yearly ups and downs."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from somv_risk.simulate.catalogue import Trait, read_municipalities, read_table, read_traits
from somv_risk.simulate.draws import Flags, Floats, Ints
from somv_risk.simulate.period import DAYS_PER_CALENDAR_YEAR, DAYS_PER_YEAR, Period

VULNERABILITY = "vulnerability"
FRAILTY = "frailty"


def draw_traits(rng: np.random.Generator, ages: Floats, male: Flags, places: Ints) -> dict[str, Floats]:
    """Every trait of every person: the common ones are standard normal, the others severities from 0."""
    traits: dict[str, Floats] = _draw_common(rng, places) | {
        "male": male.astype(np.float64) - 0.5,
        "female": (~male).astype(np.float64),
        "ordinary": np.ones(ages.size),
    }
    for trait in read_traits():
        traits[trait.name] = _draw_severity(rng, trait, ages, traits)
    return traits


def _draw_common(rng: np.random.Generator, places: Ints) -> dict[str, Floats]:
    common = read_table("traits")["common"]
    shift = common["deprivation"] * measure_deprivation()[places]
    vulnerability: Floats = shift + rng.standard_normal(places.size)
    shared = common["frailty_of_vulnerable"]
    frailty = shared * vulnerability + np.sqrt(1 - shared**2) * rng.standard_normal(places.size)
    return {VULNERABILITY: vulnerability, FRAILTY: frailty}


def measure_deprivation() -> Floats:
    """How far each municipality's share on benefits lies above the region's, in standard deviations."""
    shares = np.array([place.on_benefits for place in read_municipalities()])
    people = np.array([place.people for place in read_municipalities()])
    mean = np.average(shares, weights=people)
    return np.asarray((shares - mean) / np.sqrt(np.average((shares - mean) ** 2, weights=people)))


def _draw_severity(
    rng: np.random.Generator, trait: Trait, ages: Floats, traits: Mapping[str, Floats]
) -> Floats:
    common = read_table("traits")["common"]
    liability = rng.standard_normal(ages.size)
    for name, loading in trait.loadings.items():
        liability += loading * traits[name]
    liability -= 0.5 * ((ages - trait.age_peak) / trait.age_width) ** 2
    noise = np.sqrt(1 + sum(loading**2 for loading in trait.loadings.values()))
    excess = liability - noise * NormalDist().inv_cdf(1 - trait.share)
    severity = np.clip(excess * common["severity_scale"], 0, common["severity_most"])
    return np.asarray(severity, dtype=np.float64)


def draw_begins(rng: np.random.Generator, ages: Floats, period: Period) -> dict[str, Floats]:
    """The day from which each trait is felt: illnesses begin, and nobody drinks as a child."""
    begins = {}
    for trait in read_traits():
        birthday = (trait.from_age - ages) * DAYS_PER_CALENDAR_YEAR
        first = -DAYS_PER_YEAR * trait.began_years_ago
        falls_ill = np.where(np.isinf(first), -np.inf, rng.uniform(max(first, -1e6), period.days, ages.size))
        begins[trait.name] = np.maximum(birthday, falls_ill)
    return begins


def draw_swings(rng: np.random.Generator, persons: int, years: int) -> Floats:
    """Standard normal ups and downs by person and year, each year recalling the last."""
    memory = read_table("traits")["common"]["swing_memory"]
    swings = rng.standard_normal((persons, years))
    for year in range(1, years):
        swings[:, year] = memory * swings[:, year - 1] + np.sqrt(1 - memory**2) * swings[:, year]
    return swings
