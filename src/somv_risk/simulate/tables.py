"""The eight tables of a made-up region."""

from collections.abc import Mapping
from datetime import date
from typing import Final

import polars as pl

from somv_risk import schema
from somv_risk.errors import ConfigError
from somv_risk.simulate.benefits import draw_benefits
from somv_risk.simulate.contacts import draw_contacts, draw_diagnoses
from somv_risk.simulate.crises import draw_crises
from somv_risk.simulate.frames import finish_events, finish_persons, number_events
from somv_risk.simulate.period import Period
from somv_risk.simulate.population import Population, draw_population
from somv_risk.simulate.primary_care import draw_primary_care
from somv_risk.simulate.psychiatry import draw_psychiatric_contacts
from somv_risk.simulate.services import draw_services
from somv_risk.simulate.stays import draw_stays
from somv_risk.simulate.substances import draw_treatments

FIRST_DAY: Final = date(2020, 1, 1)
LAST_DAY: Final = date(2026, 1, 1)


def simulate_tables(
    persons: int, seed: int = 7, *, start: date = FIRST_DAY, end: date = LAST_DAY
) -> dict[str, pl.DataFrame]:
    """Register tables of made-up persons, as an extract taken at `end` would show them.

    Everything happens in ``[start, end)``; what still runs at `end` has no end yet. The same arguments give
    the same rows. The figures resemble published ones but prove nothing about real people.

    Parameters
    ----------
    persons
        How many persons ever live in the region during the period.
    seed
        Which region of the many possible ones.
    start, end
        First day, and the day after the last.

    Returns
    -------
    dict of str to DataFrame
        All tables of `schema`, with its columns and types, sorted by person and time.

    Raises
    ------
    ConfigError
        If `persons` or `seed` is not a whole number from 1 or 0, or `end` is not after `start`.

    Examples
    --------
    >>> tables = simulate_tables(persons=50, seed=1)
    >>> tables["persons"].height
    50
    """
    _check_whole("persons", persons, 1)
    _check_whole("seed", seed, 0)
    people = draw_population(persons, seed, Period(start, end))
    events = _draw_events(people, seed)
    finished = {table: finish_events(table, people, rows) for table, rows in events.items()}
    return {schema.PERSONS: finish_persons(people)} | finished


def _draw_events(people: Population, seed: int) -> Mapping[str, pl.DataFrame]:
    crises = draw_crises(people, seed)
    stays = draw_stays(people, crises, seed)
    contacts = number_events(draw_contacts(people, stays, seed), schema.CONTACT_ID, "A")
    treatments = draw_treatments(people, crises, seed)
    return {
        schema.ADMISSIONS: contacts,
        schema.DIAGNOSES: draw_diagnoses(people, contacts, seed),
        schema.PSYCHIATRIC_CONTACTS: draw_psychiatric_contacts(people, crises, seed),
        schema.SUBSTANCE_ABUSE: number_events(treatments, schema.EPISODE_ID, "E"),
        schema.SOCIAL_BENEFITS: draw_benefits(people, crises, seed),
        schema.SOCIAL_SERVICES: draw_services(people, crises, seed),
        schema.PRIMARY_CARE: draw_primary_care(people, crises, seed),
    }


def _check_whole(name: str, number: int, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ConfigError(
            f"{name!r} of a simulation must be a whole number from {least}, not {number!r}. "
            f"Give an integer of at least {least}."
        )
