"""The population: who lives in the region, from when until when, and what each carries along."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import read_municipalities, read_table
from somv_risk.simulate.draws import Flags, Floats, Ints, make_stream, pick
from somv_risk.simulate.mortality import draw_deaths
from somv_risk.simulate.period import DAYS_PER_YEAR, Period
from somv_risk.simulate.traits import draw_swings, draw_traits

DAYS_PER_CALENDAR_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Population:
    """Persons as columns of equal length; days count from the start of the period."""

    period: Period
    ages: Floats
    male: Flags
    places: Ints
    arrives: Floats
    leaves: Floats
    dies: Floats
    traits: Mapping[str, Floats]
    swings: Floats

    @property
    def size(self) -> int:
        """Number of persons."""
        return self.ages.size

    @property
    def last_days(self) -> Floats:
        """The day from which nothing more is seen of each person."""
        return np.minimum(np.minimum(self.leaves, self.dies), self.period.days)

    @property
    def ages_by_year(self) -> Floats:
        """Age of each person in the middle of each year; negative before birth."""
        return self.ages[:, None] + np.arange(self.period.years) + 0.5

    def ages_on(self, persons: Ints, days: Floats) -> Floats:
        """Age of the given persons on the given days."""
        return self.ages[persons] + days / DAYS_PER_CALENDAR_YEAR

    def keep_seen(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events that lie in the period and in the person's residence and life."""
        person, day = events["person"].to_numpy(), events["day"].to_numpy()
        return events.filter((day >= self.arrives[person]) & (day < self.last_days[person]))


def draw_population(persons: int, seed: int, period: Period) -> Population:
    """Persons with residence, traits and death."""
    rng = make_stream(seed, "population")
    settings = read_table("region")["population"]
    arrives, ages = _draw_arrivals(rng, persons, period, settings)
    male = rng.random(persons) < settings["male"]
    places = pick(rng, np.array([place.people for place in read_municipalities()]), persons)
    leaves = _draw_departures(rng, arrives, period, settings)
    ages_midway = np.maximum(ages + period.days / DAYS_PER_YEAR / 2, 0.0)
    traits = draw_traits(make_stream(seed, "traits"), ages_midway, male, places)
    swings = draw_swings(make_stream(seed, "swings"), persons, period.years)
    deaths = draw_deaths(make_stream(seed, "deaths"), ages, traits, period)
    dies = np.where(deaths < np.minimum(leaves, period.days), np.maximum(deaths, arrives + 0.5), np.inf)
    return Population(
        period,
        ages,
        male,
        places,
        arrives,
        leaves,
        np.where(dies < period.days, dies, np.inf),
        traits,
        swings,
    )


def _draw_arrivals(
    rng: np.random.Generator, persons: int, period: Period, settings: Mapping[str, Any]
) -> tuple[Floats, Floats]:
    """Day of arrival (0 for those who already live there) and age at the start of the period."""
    births, moves = settings["births_per_year"], settings["arrivals_per_year"]
    new = (births + moves) * period.days / DAYS_PER_YEAR
    is_new = rng.random(persons) < new / (1 + new)
    is_birth = is_new & (rng.random(persons) < births / (births + moves))
    arrives = np.where(is_new, np.floor(rng.random(persons) * period.days), 0.0)
    resident_ages = _draw_ages(rng, settings["residents"], persons)
    arrival_ages = np.where(is_birth, 0.0, _draw_ages(rng, settings["movers"], persons))
    return arrives, np.where(is_new, arrival_ages - arrives / DAYS_PER_CALENDAR_YEAR, resident_ages)


def _draw_ages(rng: np.random.Generator, bands: list[list[float]], size: int) -> Floats:
    table = np.array(bands)
    band = pick(rng, table[:, 2], size)
    lowest, width = table[band, 0], table[band, 1] - table[band, 0]
    return np.asarray(lowest + rng.random(size) * width, dtype=np.float64)


def _draw_departures(
    rng: np.random.Generator, arrives: Floats, period: Period, settings: Mapping[str, Any]
) -> Floats:
    """Day of moving out; endless for those who still live there at the end."""
    stays = rng.exponential(DAYS_PER_YEAR / settings["departures_per_year"], arrives.size)
    leaves = np.floor(arrives + stays) + 1
    return np.where(leaves < period.days, leaves, np.inf)
