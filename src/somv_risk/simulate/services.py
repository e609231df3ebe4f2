"""Municipal services: home care for the frail, support and shelter for those without a footing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import apply_curve, read_municipalities, read_table
from somv_risk.simulate.draws import Floats, Ints, Seed, draw_skewed, pick
from somv_risk.simulate.hours import place_in_day
from somv_risk.simulate.period import DAYS_PER_YEAR, stack
from somv_risk.simulate.population import YEARS_AHEAD, Population, draw_yearly
from somv_risk.simulate.separation import keep_separate


def draw_services(people: Population, crises: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per spell of a service; spells of the same service do not overlap."""
    rng = seed.open_stream("services")
    return stack(_draw_service(rng, people, crises, service) for service in read_table("care")["service"])


def _draw_service(
    rng: np.random.Generator, people: Population, crises: pl.DataFrame, service: Mapping[str, Any]
) -> pl.DataFrame:
    rates = _compute_rates(people, service)
    running = _draw_running(rng, rates[:, YEARS_AHEAD - 1], service)
    new = stack([_draw_starts(rng, people, rates), _draw_after_crises(rng, people, crises, service)])
    by_plan = np.full(new.height, service["by_plan"])
    new = new.with_columns(day=place_in_day(rng, people.period, new["day"].to_numpy(), by_plan))
    starts = stack([running, new])
    length = draw_skewed(rng, service["days"], service["spread"], starts.height)
    spells = starts.with_columns(pl.Series("until", starts["day"].to_numpy() + np.maximum(length, 0.6)))
    seen = people.keep_seen(spells).sort("person", "day", maintain_order=True)
    return _describe(rng, people, keep_separate(seen, 0.5), service)


def _compute_rates(people: Population, service: Mapping[str, Any]) -> Floats:
    """New spells per person and year."""
    ages = people.ages_by_year
    weight = sum(each * people.measure_by_year(trait) for trait, each in service["weights"].items())
    swing = np.exp(0.2 * people.swings + service["frailty"] * people.traits["frailty"][:, None])
    general = service["per_year"] * _curve(service["curve"], ages)
    return np.asarray((general + weight * _curve(_curve_of_troubles(service), ages)) * swing * (ages >= 18))


def _curve_of_troubles(service: Mapping[str, Any]) -> str:
    return "working" if service["curve"] == "working" else "flat"


def _curve(name: str, ages: Floats) -> Floats:
    if name == "working":
        curve = read_table("care")["working_curve"]
        return np.asarray(np.interp(ages, curve["knots"], curve["values"]))
    return apply_curve(name, ages)


def _draw_running(rng: np.random.Generator, rates: Floats, service: Mapping[str, Any]) -> pl.DataFrame:
    """Spells that had begun before the period: they are seen from its first minute."""
    mean = service["days"] * np.exp(service["spread"] ** 2 / 2) / DAYS_PER_YEAR
    who = np.flatnonzero(rng.random(rates.size) < 1 - np.exp(-rates * mean))
    return pl.DataFrame({"person": who, "day": np.zeros(who.size)})


def _draw_starts(rng: np.random.Generator, people: Population, rates: Floats) -> pl.DataFrame:
    person, day = draw_yearly(rng, people, np.arange(people.size), rates)
    return pl.DataFrame({"person": person, "day": day})


def _draw_after_crises(
    rng: np.random.Generator, people: Population, crises: pl.DataFrame, service: Mapping[str, Any]
) -> pl.DataFrame:
    chosen = crises.filter(rng.random(crises.height) < service["after_crisis"])
    old = people.ages_on(chosen["person"].to_numpy(), chosen["day"].to_numpy()) >= 18
    day = chosen["day"].to_numpy() + chosen["days"].to_numpy() * rng.random(chosen.height)
    return pl.DataFrame({"person": chosen["person"], "day": day}).filter(old)


def _describe(
    rng: np.random.Generator, people: Population, spells: pl.DataFrame, service: Mapping[str, Any]
) -> pl.DataFrame:
    person = spells["person"].to_numpy()
    paragraphs = pl.Series(list(service["paragraphs"]))
    weights = np.array(list(service["paragraphs"].values()))
    last = np.minimum(people.dies, people.leaves)[person]
    return spells.with_columns(
        pl.Series("until", np.minimum(spells["until"].to_numpy(), np.floor(last) + 1)),
        pl.lit(service["name"]).alias(schema.SERVICE),
        paragraphs.gather(pick(rng, weights, spells.height)).alias(schema.PARAGRAPH),
        _name_providers(people, person).alias(schema.PROVIDER),
    )


def _name_providers(people: Population, person: Ints) -> pl.Series:
    return pl.Series([f"{place.name} Kommune" for place in read_municipalities()]).gather(
        people.places[person]
    )
