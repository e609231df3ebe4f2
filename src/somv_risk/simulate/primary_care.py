"""Primary care: contacts with the family doctor in the daytime and with the doctor on call at other hours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import apply_curve, read_table
from somv_risk.simulate.crises import draw_moments_within
from somv_risk.simulate.draws import Floats, Seed
from somv_risk.simulate.frames import leave_open
from somv_risk.simulate.hours import place_in_office_hours, place_on_call
from somv_risk.simulate.period import stack
from somv_risk.simulate.population import Population, draw_yearly

DAYS_PER_MONTH = 30.0


def draw_primary_care(people: Population, crises: pl.DataFrame, seed: Seed) -> pl.DataFrame:
    """One row per contact."""
    rng = seed.open_stream("primary_care")
    settings = read_table("care")["primary_care"]
    rates = _compute_rates(people, settings)
    months = crises["days"].to_numpy() / DAYS_PER_MONTH
    daytime = stack(
        [
            _draw_steady(rng, people, rates * settings["gp_per_year"]),
            _draw_unrest(rng, crises, months * settings["gp_in_unrest"]),
        ]
    )
    on_call = stack(
        [
            _draw_steady(rng, people, rates * settings["out_of_hours_per_year"]),
            _draw_unrest(rng, crises, months * settings["out_of_hours_in_unrest"]),
        ]
    )
    contacts = stack(
        [
            _place(daytime, place_in_office_hours(rng, people.period, daytime["day"].to_numpy()), "gp"),
            _place(on_call, place_on_call(rng, people.period, on_call["day"].to_numpy()), "out_of_hours"),
        ]
    )
    return leave_open(people.keep_seen(contacts))


def _compute_rates(people: Population, settings: Mapping[str, Any]) -> Floats:
    logs = (
        settings["gp_frailty"] * people.traits["frailty"]
        + settings["gp_exclusion"] * people.traits["exclusion"]
    )
    swing = settings["gp_swing"] * people.swings
    average = (settings["gp_frailty"] ** 2 + settings["gp_swing"] ** 2) / 2
    curve = apply_curve(settings["gp_curve"], people.ages_by_year)
    return np.asarray(curve * np.exp(logs[:, None] + swing - average))


def _draw_steady(rng: np.random.Generator, people: Population, rates: Floats) -> pl.DataFrame:
    person, day = draw_yearly(rng, people, np.arange(people.size), rates)
    return pl.DataFrame({"person": person, "day": day})


def _draw_unrest(rng: np.random.Generator, crises: pl.DataFrame, expected: Floats) -> pl.DataFrame:
    row, day = draw_moments_within(rng, crises, expected)
    return pl.DataFrame({"person": crises["person"].to_numpy()[row], "day": day})


def _place(contacts: pl.DataFrame, days: Floats, kind: str) -> pl.DataFrame:
    name = pl.lit(kind, pl.Enum(schema.PRIMARY_CARE_KINDS)).alias(schema.KIND)
    return contacts.with_columns(pl.Series("day", days), name)
