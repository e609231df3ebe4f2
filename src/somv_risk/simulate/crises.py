"""Crises: episodes of months to a year or two with many events, which then recede."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import apply_curve, read_causes, read_crises, read_table
from somv_risk.simulate.draws import (
    Floats,
    Ints,
    Seed,
    draw_skewed,
    pick,
    place_on_line,
    spread_out,
)
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population, draw_yearly

MOST_A_YEAR: Final = 6.0
MOST_STAYS: Final = 20.0
STEADY: Final = ("frailty", "exclusion", "leaving")


def draw_crises(people: Population, seed: Seed) -> pl.DataFrame:
    """One row per crisis: person, day, length in days, kind and the stays to expect."""
    rng = seed.open_stream("crises")
    multiplier = _compute_multiplier(people)
    crises = stack(_draw_kind(rng, people, number, multiplier) for number in range(len(read_crises())))
    return crises.sort("person", "day", maintain_order=True)


def _compute_multiplier(people: Population) -> Floats:
    weights = read_table("crises")["multiplier"]
    steady = sum(weights[name] * people.traits[name] for name in STEADY)
    average = (weights["frailty"] ** 2 + weights["swing"] ** 2) / 2
    return np.asarray(np.exp(steady[:, None] + weights["swing"] * people.swings - average))


def _draw_kind(rng: np.random.Generator, people: Population, number: int, multiplier: Floats) -> pl.DataFrame:
    kind = read_crises()[number]
    severity = people.traits[kind.driver]
    who = np.flatnonzero(severity)
    curve = apply_curve(kind.curve, people.ages_by_year[who])
    rates = kind.per_year * severity[who, None] * curve * multiplier[who]
    person, day = draw_yearly(rng, people, who, np.minimum(rates, MOST_A_YEAR))
    begun = people.feels(kind.driver, person, day)
    person, day = person[begun], day[begun]
    return pl.DataFrame(
        {
            "person": person,
            "day": day,
            "days": draw_skewed(rng, kind.days, kind.days_spread, person.size),
            "kind": np.full(person.size, number),
            "stays": np.minimum(draw_skewed(rng, kind.stays, kind.stays_spread, person.size), MOST_STAYS),
        }
    )


def draw_moments_within(
    rng: np.random.Generator, crises: pl.DataFrame, expected: Floats
) -> tuple[Ints, Floats]:
    """Rows of crises and days in them; most fall early, for a crisis recedes."""
    row = spread_out(rng.poisson(expected))
    day = crises["day"].to_numpy()[row] + crises["days"].to_numpy()[row] * rng.beta(1.0, 2.0, row.size)
    return row, day


def draw_crisis_causes(rng: np.random.Generator, kinds: Ints) -> Ints:
    """A cause of contact for each given kind of crisis."""
    names = [cause.name for cause in read_causes()]
    causes = np.zeros(kinds.size, dtype=np.int64)
    for number, kind in enumerate(read_crises()):
        chosen = np.flatnonzero(kinds == number)
        causes[chosen] = pick(rng, _list_weights(kind.causes, names), chosen.size)
    return causes


def _list_weights(weights: Mapping[str, float], names: list[str]) -> Floats:
    return np.array([weights.get(name, 0.0) for name in names])


def get_crisis_value(kinds: Ints, name: str) -> Floats:
    """One numeric field of the catalogue for each given kind of crisis."""
    return np.array([getattr(kind, name) for kind in read_crises()], dtype=np.float64)[kinds]


def mark_in_crisis(crises: pl.DataFrame, persons: Ints, days: Floats) -> Floats:
    """1 where the person's latest crisis has not yet ended on that day, else 0."""
    if crises.is_empty():
        return np.zeros(persons.size)
    begins = place_on_line(crises["person"].to_numpy(), crises["day"].to_numpy())
    now = place_on_line(persons, days)
    position = np.maximum(np.searchsorted(begins, now, side="right") - 1, 0)
    same = crises["person"].to_numpy()[position] == persons
    age = now - begins[position]
    return np.asarray(same & (age >= 0) & (age < crises["days"].to_numpy()[position]), dtype=np.float64)
