"""Stays: when people come to hospital, why, for how long, and whether they leave too early."""

from typing import Final

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import Cause, apply_curve, list_cause_values, read_causes, read_table
from somv_risk.simulate.crises import (
    draw_crisis_causes,
    draw_moments_within,
    get_crisis_value,
    mark_in_crisis,
)
from somv_risk.simulate.draws import (
    Flags,
    Floats,
    Ints,
    draw_events,
    draw_skewed,
    make_stream,
    pick,
    place_on_line,
)
from somv_risk.simulate.period import DAYS_PER_YEAR, stack
from somv_risk.simulate.population import Population

ACUTE: Final = 0
PLANNED: Final = 1
VISIT: Final = 2
MODES: Final = ("acute", "planned", "visit")

DAYS_BETWEEN_STAYS: Final = 0.25
SHORTEST_STAY: Final = 0.51
LONGEST_VISIT: Final = 0.46


def draw_stays(people: Population, crises: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One row per stay or visit: person, day, until, cause, mode, unrest, left, died; none overlap."""
    rng = make_stream(seed, "stays")
    reasons = stack([*_draw_steady(rng, people), *_draw_in_crises(rng, crises), _draw_last(rng, people)])
    stays = _add_course(rng, people, crises, reasons)
    rounds = [stays]
    for _ in range(read_table("stays")["return_rounds"]):
        stays = _add_course(rng, people, crises, _draw_returns(rng, stays))
        rounds.append(stays)
    seen = people.keep_seen(stack(rounds)).sort("person", "day", maintain_order=True)
    return _end_at_death(people, keep_separate(seen, DAYS_BETWEEN_STAYS))


def _draw_steady(rng: np.random.Generator, people: Population) -> list[pl.DataFrame]:
    """What happens to people year in, year out."""
    weights = read_table("causes")["multiplier"]
    average = (weights["frailty"] ** 2 + weights["swing"] ** 2) / 2
    logs = weights["frailty"] * people.traits["frailty"][:, None] + weights["swing"] * people.swings
    multiplier = np.exp(logs - average)
    return [_draw_cause(rng, people, number, cause, multiplier) for number, cause in enumerate(read_causes())]


def _draw_cause(
    rng: np.random.Generator, people: Population, number: int, cause: Cause, multiplier: Floats
) -> pl.DataFrame:
    severity = people.traits[cause.driver]
    who = np.flatnonzero(severity)
    rates = severity[who, None] * multiplier[who] * apply_curve(cause.curve, people.ages_by_year[who])
    each = np.array([cause.acute, cause.planned, cause.visit])
    row, day = draw_events(rng, rates * each.sum(), DAYS_PER_YEAR)
    return _make_reasons(who[row], day, np.full(row.size, number), pick(rng, each, row.size))


def _make_reasons(person: Ints, day: Floats, cause: Ints, mode: Ints) -> pl.DataFrame:
    return pl.DataFrame({"person": person, "day": day, "cause": cause, "mode": mode})


def _draw_in_crises(rng: np.random.Generator, crises: pl.DataFrame) -> list[pl.DataFrame]:
    expected = crises["stays"].to_numpy()
    visits = expected * get_crisis_value(crises["kind"].to_numpy(), "visits")
    return [_draw_crisis_mode(rng, crises, expected, ACUTE), _draw_crisis_mode(rng, crises, visits, VISIT)]


def _draw_crisis_mode(
    rng: np.random.Generator, crises: pl.DataFrame, expected: Floats, mode: int
) -> pl.DataFrame:
    row, day = draw_moments_within(rng, crises, expected)
    cause = draw_crisis_causes(rng, crises["kind"].to_numpy()[row])
    return _make_reasons(crises["person"].to_numpy()[row], day, cause, np.full(row.size, mode))


def _draw_last(rng: np.random.Generator, people: Population) -> pl.DataFrame:
    """The last stays of those who die: one that ends in death for many, and some before it."""
    settings = read_table("region")["mortality"]
    dying = np.flatnonzero(np.isfinite(people.dies))
    in_hospital = dying[rng.random(dying.size) < settings["dies_in_hospital"]]
    earlier = np.repeat(dying, rng.poisson(settings["declines_before"], dying.size))
    who = np.concatenate([in_hospital, earlier])
    before = np.concatenate(
        [draw_skewed(rng, 4.0, 1.0, in_hospital.size), 5 + rng.exponential(60.0, earlier.size)]
    )
    day = np.maximum(people.dies[who] - before, 0.0)
    weights = np.array([cause.acute * (cause.curve == "old") for cause in read_causes()])
    return _make_reasons(who, day, pick(rng, weights, who.size), np.full(who.size, ACUTE))


def _add_course(
    rng: np.random.Generator, people: Population, crises: pl.DataFrame, reasons: pl.DataFrame
) -> pl.DataFrame:
    """Adds how long a stay lasts and whether the person leaves before it is finished."""
    person, day, cause, mode = (reasons[name].to_numpy() for name in ("person", "day", "cause", "mode"))
    day = place_in_day(rng, people, day, mode == PLANNED)
    unrest = mark_in_crisis(crises, person, day)
    left = rng.random(day.size) < _compute_leaving(people, person, cause, unrest)
    length = _draw_lengths(rng, cause, mode, left)
    return reasons.with_columns(
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
    return np.minimum(list_cause_values("leaves")[cause] * np.exp(logs), settings["most"])


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
    left = stays["left"].to_numpy()
    chance = np.where(left, settings["after_leaving"], settings["after_finishing"])
    back = rng.random(stays.height) < np.where(stays["mode"].to_numpy() == PLANNED, 0.3, 1.0) * chance
    wait = rng.exponential(np.where(left, settings["days_after_leaving"], settings["days_after_finishing"]))
    until = stays["until"].to_numpy()
    person, cause = stays["person"].to_numpy()[back], stays["cause"].to_numpy()[back]
    day = until[back] + DAYS_BETWEEN_STAYS + wait[back]
    return _make_reasons(person, day, cause, np.full(day.size, ACUTE))


def keep_separate(events: pl.DataFrame, gap: float) -> pl.DataFrame:
    """Drops events that begin before an earlier one of the same person has ended; rows sorted by person and day."""
    while True:
        clash = _find_clashes(events, gap)
        # Only the first of a run of clashes is certain to go: what it clashed with may be all that the next one met.
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


def _end_at_death(people: Population, stays: pl.DataFrame) -> pl.DataFrame:
    dies = people.dies[stays["person"].to_numpy()]
    died = stays["until"].to_numpy() >= dies
    until = np.where(died, dies, stays["until"].to_numpy())
    return stays.with_columns(
        pl.Series("until", until),
        pl.Series("died", died),
        pl.Series("left", stays["left"].to_numpy() & ~died),
    )
