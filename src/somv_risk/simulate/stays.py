"""Stays: when people come to hospital, why, for how long, and whether they leave too early."""

from typing import Final

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import PSYCHIATRY, list_cause_values, read_causes, read_table
from somv_risk.simulate.crises import mark_in_crisis
from somv_risk.simulate.draws import Flags, Floats, Ints, Seed, draw_skewed, place_on_line
from somv_risk.simulate.occasions import ACUTE, PLANNED, VISIT, draw_occasions, make_occasions
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population

DAYS_BETWEEN_STAYS: Final = 0.25
SHORTEST_STAY: Final = 0.51
LONGEST_VISIT: Final = 0.46
LAST_DAYS: Final = 21.0
RETURNS: Final = ("somatic", "psychiatric", "left_early")
LEFT_EARLY: Final = RETURNS.index("left_early")


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
    day = place_in_day(rng, people, day, mode == PLANNED)
    unrest = mark_in_crisis(crises, person, day)
    left = rng.random(day.size) < _compute_leaving(people, person, cause, unrest)
    length = _draw_lengths(rng, cause, mode, left)
    return occasions.with_columns(
        pl.Series("day", day),
        pl.Series("until", day + length),
        pl.Series("unrest", unrest),
        pl.Series("left", left),
    )


def place_in_day(rng: np.random.Generator, people: Population, days: Floats, by_plan: Flags) -> Floats:
    """Moves planned events to a weekday morning and half of the others into the waking hours."""
    whole = np.floor(days)
    weekend = np.maximum(people.period.weekdays(days) - 4, 0)
    planned = whole - weekend + rng.triangular(7.0, 8.5, 13.0, days.size) / 24
    awake = whole + rng.uniform(8.0, 23.0, days.size) / 24
    return np.where(by_plan, planned, np.where(rng.random(days.size) < 0.5, awake, days))


def _compute_leaving(people: Population, person: Ints, cause: Ints, unrest: Floats) -> Floats:
    settings = read_table("stays")["leaving"]
    logs = settings["tendency"] * people.traits["leaving"][person] + settings["unrest"] * unrest
    logs += settings["housing"] * np.minimum(people.traits["housing"][person], 1.0)
    return np.asarray(np.minimum(list_cause_values("leaves")[cause] * np.exp(logs), settings["most"]))


def _draw_lengths(rng: np.random.Generator, cause: Ints, mode: Ints, left: Flags) -> Floats:
    size = cause.size
    days = list_cause_values("days")[cause]
    stay = SHORTEST_STAY + draw_skewed(
        rng, np.where(left, 0.35, days), list_cause_values("spread")[cause], size
    )
    visit = np.minimum(draw_skewed(rng, 0.13, 0.6, size), LONGEST_VISIT)
    return np.where(mode == VISIT, visit, np.minimum(stay, 400.0))


def _draw_returns(rng: np.random.Generator, stays: pl.DataFrame) -> pl.DataFrame:
    """Acute stays that follow soon after another: more of them, and sooner, after one left early."""
    settings = read_table("stays")["returns"]
    kind = np.where(stays["left"].to_numpy(), LEFT_EARLY, _is_psychiatric(stays["cause"].to_numpy()))
    chance = np.array([settings[name]["chance"] for name in RETURNS])[kind]
    chance *= np.where(stays["mode"].to_numpy() == PLANNED, settings["planned"], 1.0)
    back = rng.random(stays.height) < chance
    wait = rng.exponential(np.array([settings[name]["days"] for name in RETURNS])[kind])
    until = stays["until"].to_numpy()
    person, cause = stays["person"].to_numpy()[back], stays["cause"].to_numpy()[back]
    day = until[back] + DAYS_BETWEEN_STAYS + wait[back]
    return make_occasions(person, day, cause, ACUTE)


def _draw_next_plans(rng: np.random.Generator, stays: pl.DataFrame) -> pl.DataFrame:
    """Planned stays that carry on what a planned stay began."""
    settings = read_table("stays")["returns"]["next_plan"]
    planned = stays.filter((pl.col("mode") == PLANNED) & (rng.random(stays.height) < settings["chance"]))
    wait = rng.exponential(settings["days"], planned.height)
    day = planned["until"].to_numpy() + DAYS_BETWEEN_STAYS + wait
    return make_occasions(planned["person"].to_numpy(), day, planned["cause"].to_numpy(), PLANNED)


def _is_psychiatric(causes: Ints) -> Flags:
    return np.array([cause.department == PSYCHIATRY for cause in read_causes()])[causes]


def keep_separate(events: pl.DataFrame, gap: float) -> pl.DataFrame:
    """Drops events that begin before the person's earlier ones have ended; rows sorted by person and day."""
    while True:
        clash = _find_clashes(events, gap)
        # Only the first of a run is certain to go: the next may have met nothing but that one.
        first = clash & ~np.concatenate([[False], clash[:-1]])
        if not first.any():
            return events
        events = events.filter(~first)


def _find_clashes(events: pl.DataFrame, gap: float) -> Flags:
    person = events["person"].to_numpy()
    begins = place_on_line(person, events["day"].to_numpy())
    ends = np.maximum.accumulate(place_on_line(person, events["until"].to_numpy()))
    before = np.concatenate([[-1.0], ends[:-1]])
    return np.asarray(begins < before + gap)


def _end_at_death(rng: np.random.Generator, people: Population, stays: pl.DataFrame) -> pl.DataFrame:
    """Stays that last until death; some of those who leave shortly before it stay on instead."""
    settings = read_table("region")["mortality"]
    dies = people.dies[stays["person"].to_numpy()]
    last = (stays["person"] != stays["person"].shift(-1, fill_value=-1)).to_numpy()
    near = last & (stays["mode"].to_numpy() == ACUTE) & (dies - stays["day"].to_numpy() < LAST_DAYS)
    died = (stays["until"].to_numpy() >= dies) | (
        near & (rng.random(dies.size) < settings["dies_in_hospital"])
    )
    until = np.where(died, dies, stays["until"].to_numpy())
    return stays.with_columns(
        pl.Series("until", until),
        pl.Series("died", died),
        pl.Series("left", stays["left"].to_numpy() & ~died),
    )
