"""Stays: when people come to hospital, why, for how long, and whether they leave too early."""

from typing import Final

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import list_cause_values, read_causes, read_table
from somv_risk.simulate.crises import mark_in_crisis
from somv_risk.simulate.draws import Flags, Floats, Ints, Seed, draw_skewed
from somv_risk.simulate.hours import place_in_day
from somv_risk.simulate.occasions import ACUTE, PLANNED, VISIT, draw_occasions, make_occasions
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population
from somv_risk.simulate.separation import keep_separate

DAYS_BETWEEN_STAYS: Final = 0.25
SHORTEST_STAY: Final = 0.501
LONGEST_STAY: Final = 400.0
DAYS_UNTIL_LEFT: Final = 0.35  # median, beyond the shortest stay
VISIT_DAYS: Final = 0.13
VISIT_SPREAD: Final = 0.6
SHORTEST_VISIT: Final = 0.05
LONGEST_VISIT: Final = 0.499
LAST_DAYS: Final = 21.0


def draw_stays(people: Population, crises: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per stay or visit: person, day, until, cause, mode, unrest, left, died; none overlap."""
    rng = seed.open_stream("stays")
    stays = _add_course(rng, people, crises, draw_occasions(rng, people, crises))
    rounds = [stays]
    for _ in range(read_table("stays")["return_rounds"]):
        again = stack([_draw_returns(rng, stays), _draw_next_plans(rng, stays)])
        stays = _add_course(rng, people, crises, again)
        rounds.append(stays)
    seen = people.keep_seen(stack(rounds)).sort("person", "day", maintain_order=True)
    return _end_at_death(rng, people, keep_separate(seen, DAYS_BETWEEN_STAYS))


def _add_course(
    rng: np.random.Generator, people: Population, crises: pl.DataFrame, occasions: pl.DataFrame
) -> pl.DataFrame:
    """Adds how long a stay lasts and whether the person leaves before it is finished."""
    person, day, cause, mode = (occasions[name].to_numpy() for name in ("person", "day", "cause", "mode"))
    day = place_in_day(rng, people.period, day, mode == PLANNED)
    unrest = mark_in_crisis(crises, person, day)
    left = rng.random(day.size) < _compute_leaving(people, person, cause, unrest)
    length = _draw_lengths(rng, cause, mode, left)
    return occasions.with_columns(
        pl.Series("day", day),
        pl.Series("until", day + length),
        pl.Series("unrest", unrest),
        pl.Series("left", left),
    )


def _compute_leaving(people: Population, person: Ints, cause: Ints, unrest: Floats) -> Floats:
    settings = read_table("stays")["leaving"]
    logs = settings["tendency"] * people.traits["leaving"][person] + settings["unrest"] * unrest
    logs += settings["housing"] * np.minimum(people.traits["housing"][person], 1.0)
    return np.asarray(np.minimum(list_cause_values("leaves")[cause] * np.exp(logs), settings["most"]))


def _draw_lengths(rng: np.random.Generator, cause: Ints, mode: Ints, left: Flags) -> Floats:
    size = cause.size
    days = list_cause_values("days")[cause]
    stay = SHORTEST_STAY + draw_skewed(
        rng, np.where(left, DAYS_UNTIL_LEFT, days), list_cause_values("spread")[cause], size
    )
    visit = draw_skewed(rng, VISIT_DAYS, VISIT_SPREAD, size)
    visit = np.where(visit < LONGEST_VISIT, visit, rng.uniform(SHORTEST_VISIT, LONGEST_VISIT, size))
    return np.where(mode == VISIT, visit, np.minimum(stay, LONGEST_STAY))


def _draw_returns(rng: np.random.Generator, stays: pl.DataFrame) -> pl.DataFrame:
    """Acute stays of those who left early and had to come back."""
    return _draw_again(rng, stays.filter("left"), "left_early", ACUTE)


def _draw_next_plans(rng: np.random.Generator, stays: pl.DataFrame) -> pl.DataFrame:
    """Planned stays that carry on what a planned stay began."""
    recurs = pl.Series([cause.recurs for cause in read_causes()]).gather(stays["cause"])
    return _draw_again(rng, stays.filter((pl.col("mode") == PLANNED) & recurs), "next_plan", PLANNED)


def _draw_again(rng: np.random.Generator, stays: pl.DataFrame, kind: str, mode: int) -> pl.DataFrame:
    settings = read_table("stays")["returns"][kind]
    again = stays.filter(rng.random(stays.height) < settings["chance"])
    day = again["until"].to_numpy() + DAYS_BETWEEN_STAYS + rng.exponential(settings["days"], again.height)
    return make_occasions(again["person"].to_numpy(), day, again["cause"].to_numpy(), mode)


def _end_at_death(rng: np.random.Generator, people: Population, stays: pl.DataFrame) -> pl.DataFrame:
    """Stays that last until death or the move away; some who leave shortly before death stay on instead."""
    settings = read_table("region")["mortality"]
    dies, leaves = (days[stays["person"].to_numpy()] for days in (people.dies, people.leaves))
    last = (stays["person"] != stays["person"].shift(-1, fill_value=-1)).to_numpy()
    near = last & (stays["mode"].to_numpy() == ACUTE) & (dies - stays["day"].to_numpy() < LAST_DAYS)
    died = (stays["until"].to_numpy() >= dies) | (
        near & (rng.random(dies.size) < settings["dies_in_hospital"])
    )
    until = np.where(died, dies, np.minimum(stays["until"].to_numpy(), leaves))
    return stays.with_columns(
        pl.Series("until", until),
        pl.Series("died", died),
        pl.Series("left", stays["left"].to_numpy() & ~died),
    )
