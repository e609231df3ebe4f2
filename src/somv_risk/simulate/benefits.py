"""Benefits: one for every adult and week, painted on a calendar and read off as spells."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import read_table
from somv_risk.simulate.draws import Floats, Seed, number_within, place_on_line, spread_out
from somv_risk.simulate.livelihoods import draw_livelihoods, find_birthday
from somv_risk.simulate.population import Population

Calendar = NDArray[np.int8]

DAYS_PER_WEEK: Final = 7
NOTHING: Final = -1
SHORTEST_DELAY: Final = 7.0
LONGEST_DELAY: Final = 28.0


def draw_benefits(people: Population, crises: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per spell; together they cover each adult's time without overlaps."""
    rng = seed.open_stream("benefits")
    mondays = _list_mondays(people)
    calendar = np.zeros((people.size, mondays.size), dtype=np.int8)
    for spells in draw_livelihoods(rng, people, crises):
        _paint(calendar, spells, mondays)
    _paint_pensions(calendar, people, mondays)
    _clear_unseen(calendar, people, mondays)
    return _drop_unknown(people, _add_known(rng, _read_spells(calendar, people, mondays)))


def _list_mondays(people: Population) -> Floats:
    first = -float(people.period.first_weekday)
    return np.arange(first, people.period.days, DAYS_PER_WEEK)


def _paint(calendar: Calendar, spells: pl.DataFrame, mondays: Floats) -> None:
    weeks = mondays.size
    first = np.clip(np.searchsorted(mondays, spells["day"].to_numpy()), 0, weeks)
    last = np.clip(np.searchsorted(mondays, spells["until"].to_numpy()), 0, weeks)
    counts = np.maximum(last - first, 0)
    row = spread_out(counts)
    calendar[spells["person"].to_numpy()[row], first[row] + number_within(counts)] = spells[
        "benefit"
    ].to_numpy()[row]


def _paint_pensions(calendar: Calendar, people: Population, mondays: Floats) -> None:
    pensioned = find_birthday(people, read_table("benefits")["pension_age"])
    calendar[mondays >= pensioned[:, None]] = schema.BENEFITS.index("pension")


def _clear_unseen(calendar: Calendar, people: Population, mondays: Floats) -> None:
    """Weeks of childhood and weeks outside the region stay empty."""
    grown_up = find_birthday(people, read_table("benefits")["grown_up_age"])
    calendar[mondays < grown_up[:, None]] = NOTHING
    calendar[mondays + DAYS_PER_WEEK <= people.arrives[:, None]] = NOTHING
    calendar[mondays >= people.last_days[:, None]] = NOTHING


def _read_spells(calendar: Calendar, people: Population, mondays: Floats) -> pl.DataFrame:
    before = np.pad(calendar[:, :-1], ((0, 0), (1, 0)), constant_values=NOTHING)
    person, week = np.nonzero((calendar != before) & (calendar != NOTHING))
    return pl.DataFrame(
        {
            "person": person,
            "day": np.maximum(mondays[week], people.arrives[person]),
            schema.BENEFIT: pl.Series(schema.BENEFITS).gather(calendar[person, week].astype(np.int64)),
        }
    )


def _add_known(rng: np.random.Generator, spells: pl.DataFrame) -> pl.DataFrame:
    """A change is known some weeks late, in the order of the changes; what runs from the start, at once."""
    person, day = spells["person"].to_numpy(), spells["day"].to_numpy()
    late = day + rng.uniform(SHORTEST_DELAY, LONGEST_DELAY, day.size)
    known = np.maximum.accumulate(place_on_line(person, np.where(day <= 0, 0.0, late))) - place_on_line(
        person, np.zeros(day.size)
    )
    return spells.with_columns(known=pl.Series(np.where(day <= 0, np.nan, known)).fill_nan(None))


def _drop_unknown(people: Population, spells: pl.DataFrame) -> pl.DataFrame:
    """What is not known when the period ends is left out: the spell before it seems to run on."""
    known = spells.filter(pl.col("known").fill_null(0.0) < people.period.days)
    person, day = known["person"].to_numpy(), known["day"].to_numpy()
    is_last = np.append(person[1:] != person[:-1], True) if person.size else np.zeros(0, dtype=np.bool_)
    until = np.where(is_last, np.floor(people.last_days[person]) + 1, np.roll(day, -1))
    return known.with_columns(pl.Series("until", until, dtype=pl.Float64))
