"""Occasions: when and why people come to hospital, before it is known how the stay runs."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import Cause, apply_curve, read_causes, read_table
from somv_risk.simulate.crises import draw_crisis_causes, draw_moments_within, get_crisis_value
from somv_risk.simulate.draws import Floats, Ints, pick
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population, draw_yearly
from somv_risk.simulate.separation import find_far_apart

MODES: Final = ("acute", "planned", "visit")
ACUTE: Final = MODES.index("acute")
PLANNED: Final = MODES.index("planned")
VISIT: Final = MODES.index("visit")


def draw_occasions(rng: np.random.Generator, people: Population, crises: pl.DataFrame) -> pl.DataFrame:
    """One row per occasion: person, day, number of the cause and of the mode."""
    return stack([*_draw_steady(rng, people), *_draw_in_crises(rng, crises), _draw_last(rng, people)])


def make_occasions(person: Ints, day: Floats, cause: Ints, mode: int) -> pl.DataFrame:
    """A frame of occasions of one mode."""
    return pl.DataFrame({"person": person, "day": day, "cause": cause, "mode": np.full(person.size, mode)})


def _draw_steady(rng: np.random.Generator, people: Population) -> Iterator[pl.DataFrame]:
    """What happens to people year in, year out."""
    weights = read_table("causes")["multiplier"]
    steady = weights["frailty"] * people.traits["frailty"][:, None] + weights["swing"] * people.swings
    variance = weights["frailty"] ** 2 + weights["swing"] ** 2
    for mode, name in enumerate(MODES):
        follows = weights["follows"][name]
        multiplier = weights[name] * np.exp(follows * steady - follows**2 * variance / 2)
        for number, cause in enumerate(read_causes()):
            yield _draw_cause(rng, people, cause, multiplier * getattr(cause, name), (number, mode))


def _draw_cause(
    rng: np.random.Generator, people: Population, cause: Cause, multiplier: Floats, numbers: tuple[int, int]
) -> pl.DataFrame:
    severity = people.traits[cause.driver]
    who = np.flatnonzero(severity)
    rates = severity[who, None] * multiplier[who] * apply_curve(cause.curve, people.ages_by_year[who])
    person, day = draw_yearly(rng, people, who, rates)
    chosen = np.flatnonzero(people.feels(cause.driver, person, day))
    if cause.days_apart:
        chosen = chosen[find_far_apart(person[chosen], day[chosen], cause.days_apart)]
    person, day = person[chosen], day[chosen]
    number, mode = numbers
    return make_occasions(person, day, np.full(person.size, number), mode)


def _draw_in_crises(rng: np.random.Generator, crises: pl.DataFrame) -> Iterator[pl.DataFrame]:
    kind, stays = crises["kind"].to_numpy(), crises["stays"].to_numpy()
    per_stay = (1.0, get_crisis_value(kind, "planned"), get_crisis_value(kind, "visits"))
    for mode, each in zip((ACUTE, PLANNED, VISIT), per_stay, strict=True):
        row, day = draw_moments_within(rng, crises, stays * each)
        cause = draw_crisis_causes(rng, kind[row])
        yield make_occasions(crises["person"].to_numpy()[row], day, cause, mode)


def _draw_last(rng: np.random.Generator, people: Population) -> pl.DataFrame:
    """The stays of the last weeks of those who die."""
    settings = read_table("region")["mortality"]
    dying = np.flatnonzero(np.isfinite(people.dies))
    who = np.repeat(dying, rng.poisson(settings["stays_before"], dying.size))
    day = people.dies[who] - rng.exponential(settings["days_before"], who.size)
    weights = np.array([cause.acute * (cause.curve == "old") for cause in read_causes()])
    return make_occasions(who, day, pick(rng, weights, who.size), ACUTE)
