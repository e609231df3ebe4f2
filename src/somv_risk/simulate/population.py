"""The population: who lives in the region, from when until when, and what each carries along."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import read_municipalities, read_table
from somv_risk.simulate.draws import Flags, Floats, Ints, draw_events, pick
from somv_risk.simulate.mortality import draw_deaths
from somv_risk.simulate.period import DAYS_PER_CALENDAR_YEAR, DAYS_PER_YEAR, Period
from somv_risk.simulate.plan import Block
from somv_risk.simulate.traits import draw_begins, draw_swings, draw_traits

YEARS_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Population:
    """Persons as columns of equal length; days count from the start of the period.

    A person's years run from birthday to birthday, so that nothing changes for everybody on one day. The
    first of them begins a year and more before the period: what is seen on its first day has a past. Some
    die within the year after the period, since their last stays lie in it. A trait is felt from the day in
    `begins`.
    """

    period: Period
    first_number: int
    ages: Floats
    male: Flags
    places: Ints
    arrives: Floats
    leaves: Floats
    dies: Floats
    traits: Mapping[str, Floats]
    begins: Mapping[str, Floats]
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
    def years(self) -> int:
        """Number of years of each person."""
        return self.period.years + YEARS_AHEAD

    @property
    def first_days(self) -> Floats:
        """The birthday on which each person's first year begins."""
        return np.asarray(-DAYS_PER_YEAR * (self.ages % 1.0 + YEARS_AHEAD - 1))

    @property
    def ages_by_year(self) -> Floats:
        """Age of each person in the middle of each year; negative before birth."""
        years = np.arange(self.years) + (1.5 - YEARS_AHEAD)
        return np.asarray(np.floor(self.ages)[:, None] + years, dtype=np.float64)

    def ages_on(self, persons: Ints, days: Floats) -> Floats:
        """Age of the given persons on the given days."""
        return self.ages[persons] + days / DAYS_PER_CALENDAR_YEAR

    def feels(self, trait: str, persons: Ints, days: Floats) -> Flags:
        """Whether the given persons feel a trait, or an illness has begun, on the given days."""
        begins = self.begins.get(trait)
        if begins is None:
            return np.ones(persons.size, dtype=np.bool_)
        return np.asarray((self.traits[trait][persons] > 0) & (days >= begins[persons]))

    def measure_by_year(self, trait: str) -> Floats:
        """Severity of a trait by person and year, 0 until the year in which it begins."""
        ends = self.first_days[:, None] + DAYS_PER_YEAR * np.arange(1, self.years + 1)
        return np.asarray(self.traits[trait][:, None] * (self.begins[trait][:, None] < ends))

    def keep_seen(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events that lie in the period and in the person's residence and life."""
        person, day = events["person"].to_numpy(), events["day"].to_numpy()
        return events.filter((day >= self.arrives[person]) & (day < self.last_days[person]))

    def keep_running(self, spells: pl.DataFrame) -> pl.DataFrame:
        """Spells that reach into the period and the person's residence, seen from where they do."""
        arrives = self.arrives[spells["person"].to_numpy()]
        reaching = spells.with_columns(pl.Series("day", np.maximum(spells["day"].to_numpy(), arrives)))
        return self.keep_seen(reaching.filter(spells["until"].to_numpy() > arrives))


def draw_yearly(
    rng: np.random.Generator, people: Population, who: Ints, rates: Floats
) -> tuple[Ints, Floats]:
    """Persons and days of events; `rates` has a row per person of `who` and a column per year."""
    row, years = draw_events(rng, rates)
    person = who[row]
    return person, people.first_days[person] + DAYS_PER_YEAR * years


def draw_population(block: Block) -> Population:
    """Persons with residence, traits and death."""
    persons, seed, period = block.persons, block.seed, block.plan.period
    rng = seed.open_stream("population")
    settings = read_table("region")["population"]
    arrives, ages = _draw_arrivals(rng, persons, period, settings)
    male = rng.random(persons) < settings["male"]
    places = _draw_places(rng, persons, np.array(block.list_places()))
    leaves = _draw_departures(rng, arrives, period, settings)
    ages_midway = np.maximum(ages + period.days / DAYS_PER_YEAR / 2, 0.0)
    traits = draw_traits(seed.open_stream("traits"), ages_midway, male, places)
    swings = draw_swings(seed.open_stream("swings"), persons, period.years + YEARS_AHEAD)
    begins = draw_begins(seed.open_stream("begins"), ages, period)
    dies = draw_deaths(seed.open_stream("deaths"), ages, arrives, traits, begins, period.years + 1)
    return Population(
        period,
        block.first_number,
        ages,
        male,
        places,
        arrives,
        leaves,
        np.where(dies < leaves, dies, np.inf),
        traits,
        begins,
        swings,
    )


def _draw_places(rng: np.random.Generator, persons: int, among: Ints) -> Ints:
    people = np.array([place.people for place in read_municipalities()])
    return np.asarray(among[pick(rng, people[among], persons)])


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
