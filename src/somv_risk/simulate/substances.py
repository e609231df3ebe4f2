"""Treatment of substance use: episodes, drop-outs and new starts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import read_crises, read_municipalities, read_table
from somv_risk.simulate.crises import mark_in_crisis
from somv_risk.simulate.draws import Ints, Seed, draw_skewed, pick
from somv_risk.simulate.hours import place_in_day
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population, draw_yearly
from somv_risk.simulate.separation import keep_separate

DAYS_BETWEEN_EPISODES = 1.0
ROUNDS_OF_RESTARTS = 4


def draw_treatments(people: Population, crises: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per treatment episode."""
    rng = seed.open_stream("substances")
    kinds = read_table("care")["treatment"]
    return stack(_draw_kind(rng, people, crises, kind) for kind in kinds)


def _draw_kind(
    rng: np.random.Generator, people: Population, crises: pl.DataFrame, kind: Mapping[str, Any]
) -> pl.DataFrame:
    starts = stack([_draw_starts(rng, people, kind), _draw_starts_after_crises(rng, crises, kind)])
    rounds = [_add_course(rng, people, crises, starts, kind)]
    for _ in range(ROUNDS_OF_RESTARTS):
        rounds.append(_add_course(rng, people, crises, _draw_restarts(rng, rounds[-1], kind), kind))
    seen = people.keep_running(stack(rounds)).sort("person", "day", maintain_order=True)
    return _end_with_life(people, keep_separate(seen, DAYS_BETWEEN_EPISODES))


def _draw_starts(rng: np.random.Generator, people: Population, kind: Mapping[str, Any]) -> pl.DataFrame:
    severity = people.traits[kind["driver"]]
    who = np.flatnonzero(severity)
    rates = np.repeat(kind["per_year"] * severity[who, None], people.years, axis=1)
    person, day = draw_yearly(rng, people, who, rates)
    begun = people.feels(kind["driver"], person, day)
    return pl.DataFrame({"person": person[begun], "day": day[begun]})


def _draw_starts_after_crises(
    rng: np.random.Generator, crises: pl.DataFrame, kind: Mapping[str, Any]
) -> pl.DataFrame:
    """A crisis brings some into treatment while it lasts."""
    number = [crisis.name for crisis in read_crises()].index(kind["crisis"])
    chosen = crises.filter(
        (pl.col("kind") == number) & pl.Series(rng.random(crises.height) < kind["after_crisis"])
    )
    day = chosen["day"].to_numpy() + chosen["days"].to_numpy() * rng.random(chosen.height)
    return pl.DataFrame({"person": chosen["person"], "day": day})


def _draw_restarts(rng: np.random.Generator, episodes: pl.DataFrame, kind: Mapping[str, Any]) -> pl.DataFrame:
    dropped = (episodes[schema.END_REASON] == "dropped_out").to_numpy()
    again = episodes.filter(dropped & (rng.random(episodes.height) < kind["restarts"]))
    wait = rng.exponential(read_table("care")["course"]["days_to_restart"], again.height)
    return pl.DataFrame({"person": again["person"], "day": again["until"].to_numpy() + 1 + wait})


def _add_course(
    rng: np.random.Generator,
    people: Population,
    crises: pl.DataFrame,
    starts: pl.DataFrame,
    kind: Mapping[str, Any],
) -> pl.DataFrame:
    """Adds how an episode runs and ends."""
    course = read_table("care")["course"]
    person, size = starts["person"].to_numpy(), starts.height
    day = place_in_day(rng, people.period, starts["day"].to_numpy(), np.ones(size, dtype=np.bool_))
    unrest = mark_in_crisis(crises, person, day)
    logs = course["leaving"] * people.traits["leaving"][person] + course["unrest"] * unrest
    dropped = rng.random(size) < np.minimum(kind["drops_out"] * np.exp(logs - 0.3), course["most"])
    moved = ~dropped & (rng.random(size) < course["transferred"])
    length = draw_skewed(rng, kind["days"], kind["spread"], size)
    reasons = np.where(dropped, "dropped_out", np.where(moved, "transferred", "completed"))
    return pl.DataFrame(
        {
            "person": person,
            "day": day,
            "until": day + np.where(dropped, course["days_if_dropped"], 1.0) * length + 1,
            schema.END_REASON: pl.Series(reasons, dtype=pl.String),
            schema.SUBSTANCE: _draw_substances(rng, kind, size),
            schema.PROVIDER: _name_providers(people, person, kind),
        }
    )


def _draw_substances(rng: np.random.Generator, kind: Mapping[str, Any], size: int) -> pl.Series:
    names = pl.Series(list(kind["substances"]))
    return names.gather(pick(rng, np.array(list(kind["substances"].values())), size))


def _name_providers(people: Population, person: Ints, kind: Mapping[str, Any]) -> pl.Series:
    what = {"alcohol": "Alkoholbehandling", "drugs": "Rusmiddelcenter"}[kind["driver"]]
    names = pl.Series([f"{what} {place.name}" for place in read_municipalities()])
    return names.gather(people.places[person])


def _end_with_life(people: Population, episodes: pl.DataFrame) -> pl.DataFrame:
    """Episodes end when the person dies or moves away."""
    person = episodes["person"].to_numpy()
    died = episodes["until"].to_numpy() >= people.dies[person]
    moved = ~died & (episodes["until"].to_numpy() >= people.leaves[person])
    last = np.minimum(people.dies, people.leaves)[person]
    return episodes.with_columns(
        pl.Series("until", np.minimum(episodes["until"].to_numpy(), np.floor(last) + 1)),
        pl.when(pl.Series(died))
        .then(pl.lit("died"))
        .when(pl.Series(moved))
        .then(pl.lit("unknown"))
        .otherwise(schema.END_REASON)
        .alias(schema.END_REASON),
    )
