"""Psychiatric contacts outside the ward: in district psychiatry, and in emergencies during crises."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import read_municipalities, read_table
from somv_risk.simulate.crises import draw_moments_within, get_crisis_value, mark_in_crisis
from somv_risk.simulate.draws import Floats, Ints, Seed, pick, pick_per_row
from somv_risk.simulate.hours import place_in_day, place_in_office_hours
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population, draw_yearly

EMERGENCY = "emergency"


def draw_psychiatric_contacts(people: Population, crises: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per contact, attended or not."""
    rng = seed.open_stream("psychiatry")
    settings = read_table("care")["psychiatry"]
    regular, urgent = _draw_regular(rng, people, settings), _draw_emergencies(rng, people, crises)
    contacts = people.keep_seen(stack([regular, urgent]))
    contacts = _add_attendance(rng, people, crises, contacts, settings)
    return contacts.with_columns(
        pl.Series("diagnosis", _draw_codes(rng, people, contacts["person"].to_numpy(), settings)),
        pl.Series("provider", _name_providers(people, contacts["person"].to_numpy(), settings)),
    )


def _draw_regular(rng: np.random.Generator, people: Population, settings: Mapping[str, Any]) -> pl.DataFrame:
    """Contacts of those who are in care in a year."""
    weight = sum(each * people.measure_by_year(trait) for trait, each in settings["in_care"].items())
    who = np.flatnonzero(weight.max(axis=1))
    in_care = rng.random((who.size, people.years)) < 1 - np.exp(-weight[who])
    person, day = draw_yearly(rng, people, who, in_care * settings["contacts_per_year"])
    names = list(settings["kinds"])
    kinds = pl.Series(names).gather(pick(rng, np.array(list(settings["kinds"].values())), person.size))
    day = place_in_office_hours(rng, people.period, day)
    return pl.DataFrame({"person": person, "day": day, schema.CONTACT_TYPE: kinds})


def _draw_emergencies(rng: np.random.Generator, people: Population, crises: pl.DataFrame) -> pl.DataFrame:
    each = get_crisis_value(crises["kind"].to_numpy(), "emergencies")
    row, day = draw_moments_within(rng, crises, each * crises["stays"].to_numpy())
    day = place_in_day(rng, people.period, day, np.zeros(day.size, dtype=np.bool_))
    kind = pl.Series([EMERGENCY]).gather(np.zeros(row.size, dtype=np.int64))
    return pl.DataFrame({"person": crises["person"].to_numpy()[row], "day": day, schema.CONTACT_TYPE: kind})


def _add_attendance(
    rng: np.random.Generator,
    people: Population,
    crises: pl.DataFrame,
    contacts: pl.DataFrame,
    settings: Mapping[str, Any],
) -> pl.DataFrame:
    person, day = contacts["person"].to_numpy(), contacts["day"].to_numpy()
    urgent = (contacts[schema.CONTACT_TYPE] == EMERGENCY).to_numpy()
    missed = _compute_no_show(people, person, mark_in_crisis(crises, person, day), settings)
    missed = np.where(urgent, settings["emergency_no_show"] * (1 + missed), missed)
    cancelled = np.where(urgent, 0.0, settings["attends"]["cancelled"])
    choice = pick_per_row(rng, np.stack([1 - missed - cancelled, missed, cancelled], axis=1))
    length = np.where(urgent, rng.uniform(40, 240, day.size), rng.uniform(20, 75, day.size)) / 1440
    return contacts.with_columns(
        pl.Series(schema.ATTENDANCE, schema.ATTENDANCES).gather(choice),
        pl.Series("until", np.where(choice == 0, day + length, day)),
    )


def _compute_no_show(people: Population, person: Ints, unrest: Floats, settings: Mapping[str, Any]) -> Floats:
    weights = settings["no_show"]
    logs = weights["unrest"] * unrest
    for trait in ("leaving", "exclusion", "alcohol", "drugs"):
        logs = logs + weights[trait] * people.traits[trait][person]
    return np.asarray(np.minimum(settings["attends"]["no_show"] * np.exp(logs), settings["most_no_show"]))


def _draw_codes(
    rng: np.random.Generator, people: Population, person: Ints, settings: Mapping[str, Any]
) -> pl.Series:
    """A code of one of the person's own troubles."""
    codes = settings["codes"]
    severities = np.stack([people.traits[trait][person] for trait in codes], axis=1) + 1e-9
    trait = pick_per_row(rng, severities)
    counts = np.array([len(some) for some in codes.values()])
    number = np.floor(rng.random(person.size) * counts[trait]).astype(np.int64)
    flat = pl.Series([code for some in codes.values() for code in some])
    return flat.gather((np.cumsum(counts) - counts)[trait] + number)


def _name_providers(people: Population, person: Ints, settings: Mapping[str, Any]) -> pl.Series:
    names = pl.Series([settings["providers"][place.hospital] for place in read_municipalities()])
    return names.gather(people.places[person])
