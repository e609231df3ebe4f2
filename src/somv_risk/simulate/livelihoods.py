"""Livelihoods: what adults live on from when until when, before it is written on the weekly calendar."""

from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import apply_curve, read_municipalities, read_table
from somv_risk.simulate.draws import (
    Floats,
    Ints,
    draw_skewed,
    number_within,
    pick_per_row,
    spread_out,
)
from somv_risk.simulate.period import DAYS_PER_CALENDAR_YEAR, DAYS_PER_YEAR
from somv_risk.simulate.population import Population, draw_yearly
from somv_risk.simulate.traits import VULNERABILITY, measure_deprivation

FOREVER: Final = 1e6


def draw_livelihoods(
    rng: np.random.Generator, people: Population, crises: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Spells of person, day, until and benefit, in the order in which they overwrite each other."""
    yield _draw_education(rng, people)
    for passing in read_table("benefits")["passing"]:
        yield _draw_passing(rng, people, passing)
    yield _draw_in_crises(rng, crises)
    yield _draw_standing(rng, people)


def find_birthday(people: Population, age: float) -> Floats:
    """The day on which each person reaches an age."""
    return (age - people.ages) * DAYS_PER_CALENDAR_YEAR


def _make_spells(person: Ints, day: Floats, until: Floats, benefit: Ints) -> pl.DataFrame:
    return pl.DataFrame({"person": person, "day": day, "until": until, "benefit": benefit})


def _number_of(benefit: str) -> int:
    return schema.BENEFITS.index(benefit)


def _draw_education(rng: np.random.Generator, people: Population) -> pl.DataFrame:
    settings = read_table("benefits")["education"]
    begins = np.maximum(find_birthday(people, read_table("benefits")["grown_up_age"]), people.arrives)
    ages = people.ages + begins / DAYS_PER_CALENDAR_YEAR
    who = np.flatnonzero(rng.random(people.size) < np.interp(ages, settings["knots"], settings["values"]))
    length = rng.exponential(settings["mean_years"] * DAYS_PER_YEAR, who.size)
    return _make_spells(who, begins[who], begins[who] + length, np.full(who.size, _number_of("education")))


def _draw_passing(rng: np.random.Generator, people: Population, passing: Mapping[str, Any]) -> pl.DataFrame:
    logs = passing["deprivation"] * measure_deprivation()[people.places]
    for trait in ("frailty", VULNERABILITY):
        logs = logs + passing[trait] * people.traits[trait] - passing[trait] ** 2 / 2
    curve = apply_curve(passing["curve"], people.ages_by_year)
    rates = passing["per_year"] * np.exp(logs[:, None]) * curve
    person, day = draw_yearly(rng, people, np.arange(people.size), rates)
    length = draw_skewed(rng, passing["days"], passing["spread"], person.size)
    return _make_spells(person, day, day + length, np.full(person.size, _number_of(passing["benefit"])))


def _draw_in_crises(rng: np.random.Generator, crises: pl.DataFrame) -> pl.DataFrame:
    settings = read_table("benefits")["in_crisis"]
    chosen = crises.filter(rng.random(crises.height) < settings["chance"])
    day = chosen["day"].to_numpy() + rng.uniform(0, 21, chosen.height)
    length = draw_skewed(rng, settings["days"], settings["spread"], chosen.height)
    person = chosen["person"].to_numpy()
    return _make_spells(person, day, day + length, np.full(person.size, _number_of(settings["benefit"])))


def _draw_standing(rng: np.random.Generator, people: Population) -> pl.DataFrame:
    """Benefits that last for years; early retirement, once granted, stays."""
    settings = read_table("benefits")
    who = np.flatnonzero(_needs_standing(rng, people, settings))
    changes = rng.poisson(settings["changes_per_year"] * people.period.years, who.size)
    row, number = spread_out(changes + 1), number_within(changes + 1)
    marks = np.where(number == 0, 0.0, rng.random(row.size)) * people.period.days
    order = np.lexsort((marks, row))
    day, person = marks[order], who[row]
    until = np.where(number == changes[row], FOREVER, np.append(day[1:], FOREVER))
    benefit = _draw_benefits(rng, people, person, day, settings)
    on_his_own = (number > 0) & (rng.random(row.size) < settings["changes_to_self_support"])
    benefit = np.where(on_his_own, _number_of("self_support"), benefit)
    return _make_spells(person, day, until, _keep_retired(row, benefit))


def _keep_retired(row: Ints, benefit: Ints) -> Ints:
    retired = _number_of("early_retirement")
    # Rows of a person share one number, so the latest retirement is the person's own if the numbers agree.
    latest = np.maximum.accumulate(np.where(benefit == retired, row, -1))
    return np.where(latest == row, retired, benefit)


def _needs_standing(rng: np.random.Generator, people: Population, settings: Mapping[str, Any]) -> Floats:
    """Whether a person is beyond the share of the municipality that lives on standing benefits."""
    own = people.traits[VULNERABILITY] - _average_vulnerability()[people.places]
    shared = settings["vulnerability"]
    tilt = settings["age_tilt"] * np.clip((people.ages - 42) / 14, -2, 2)
    liability = tilt + shared * own + np.sqrt(1 - shared**2) * rng.standard_normal(people.size)
    shares = [place.on_benefits * settings["standing_share"] for place in read_municipalities()]
    limits = np.array([NormalDist().inv_cdf(1 - share) for share in shares])
    return np.asarray(liability / np.sqrt(1 + settings["age_tilt"] ** 2) > limits[people.places])


def _average_vulnerability() -> Floats:
    return np.asarray(read_table("traits")["common"]["deprivation"] * measure_deprivation())


def _draw_benefits(
    rng: np.random.Generator, people: Population, person: Ints, day: Floats, settings: Mapping[str, Any]
) -> Ints:
    bands = settings["standing_by_age"]
    band = np.searchsorted([age for age, _ in bands], people.ages_on(person, day), side="right") - 1
    logs = np.log(np.array([weights for _, weights in bands]))[np.maximum(band, 0)]
    for trait, leans in settings["standing_leans"].items():
        logs = logs + np.minimum(people.traits[trait][person], 2.0)[:, None] * np.array(leans)
    numbers = np.array([_number_of(name) for name in settings["standing"]])
    return numbers[pick_per_row(rng, np.exp(logs))]
