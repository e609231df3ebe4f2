"""The eight tables of a made-up region, block by block."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import islice

import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.benefits import draw_benefits
from somv_risk.simulate.contacts import draw_contacts, draw_diagnoses
from somv_risk.simulate.crises import draw_crises
from somv_risk.simulate.draws import Seed
from somv_risk.simulate.frames import finish_events, finish_persons, number_events
from somv_risk.simulate.occasions import VISIT
from somv_risk.simulate.period import Period
from somv_risk.simulate.plan import FIRST_DAY, LAST_DAY, Block, Plan, to_whole
from somv_risk.simulate.population import Population, draw_population
from somv_risk.simulate.primary_care import draw_primary_care
from somv_risk.simulate.psychiatry import draw_psychiatric_contacts
from somv_risk.simulate.registration import add_coding, add_known
from somv_risk.simulate.separation import keep_outside
from somv_risk.simulate.services import draw_services
from somv_risk.simulate.stays import draw_stays
from somv_risk.simulate.substances import draw_treatments

Tables = Mapping[str, pl.DataFrame]


def simulate_tables(
    persons: int,
    seed: int = 7,
    *,
    start: date = FIRST_DAY,
    end: date = LAST_DAY,
    municipalities: Collection[str] | None = None,
) -> dict[str, pl.DataFrame]:
    """Register tables of made-up persons, as an extract taken at `end` would show them.

    Everything happens in ``[start, end)``; what still runs at `end` has no end yet, and what is registered
    later is not there. The same arguments give the same rows, on any number of threads. The figures
    resemble published ones but prove nothing about real people.

    Parameters
    ----------
    persons
        How many persons ever live in the region during the period.
    seed
        Which region of the many possible ones.
    start, end
        First day, and the day after the last.
    municipalities
        Codes of those in which people live; None for all of the region.

    Returns
    -------
    dict of str to DataFrame
        All tables of `schema`, with its columns and types, sorted by person and time.

    Raises
    ------
    ConfigError
        If `persons` or `seed` is not a whole number from 1 or 0, `end` is not after `start`, or a
        municipality is not one of the region.

    Examples
    --------
    >>> tables = simulate_tables(persons=50, seed=1)
    >>> tables["persons"].height
    50
    """
    return build_tables(Plan(persons, seed, Period(start, end), municipalities))


def build_tables(plan: Plan) -> dict[str, pl.DataFrame]:
    """All tables of the region of a plan; see `simulate_tables`."""
    blocks = list(draw_blocks(plan))
    return {
        table: pl.concat([block[table] for block in blocks]) for table in schema.TABLES if table in blocks[0]
    }


def draw_blocks(plan: Plan, threads: int | None = None) -> Iterator[Tables]:
    """The tables of one block of persons after the other, in the order of persons.

    At most as many blocks as there are threads are drawn ahead; None means one thread per core.

    Raises
    ------
    ConfigError
        If `threads` is not a whole number from 1.
    """
    at_once = (os.cpu_count() or 1) if threads is None else to_whole("threads", threads, 1)
    draws = [partial(_draw_block, block) for block in plan.list_blocks()]
    return _run_in_order(draws, at_once)


def _run_in_order(draws: Iterable[Callable[[], Tables]], threads: int) -> Iterator[Tables]:
    waiting = iter(draws)
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Tables]] = deque(pool.submit(draw) for draw in islice(waiting, threads))
        while running:
            finished = running.popleft().result()
            running.extend(pool.submit(draw) for draw in islice(waiting, 1))
            yield finished


def _draw_block(block: Block) -> Tables:
    people = draw_population(block)
    events = _draw_events(people, block.seed)
    finished = {table: finish_events(table, people, rows) for table, rows in events.items()}
    return {schema.PERSONS: finish_persons(people)} | finished


def _draw_events(people: Population, seed: Seed) -> Tables:
    """All event tables, numbered and with the moment from which the registers know of each row."""
    late = seed.open_stream("registration")
    crises = draw_crises(people, seed)
    stays = draw_stays(people, crises, seed)

    def register(table: str, events: pl.DataFrame) -> pl.DataFrame:
        return add_known(late, table, events)

    contacts = register(
        schema.ADMISSIONS,
        number_events(draw_contacts(people, stays, seed), schema.CONTACT_ID, "A", seed.block),
    )
    lying = stays.filter(pl.col("mode") != VISIT)
    outside = keep_outside(lying, draw_psychiatric_contacts(people, crises, seed))
    psychiatric = number_events(outside, schema.CONTACT_ID, "B", seed.block)
    primary_care = keep_outside(lying, draw_primary_care(people, crises, seed))
    treatments = number_events(draw_treatments(people, crises, seed), schema.EPISODE_ID, "E", seed.block)
    return {
        schema.ADMISSIONS: contacts,
        schema.DIAGNOSES: add_coding(late, schema.DIAGNOSES, draw_diagnoses(people, contacts, seed)),
        schema.PSYCHIATRIC_CONTACTS: register(schema.PSYCHIATRIC_CONTACTS, psychiatric),
        schema.SUBSTANCE_ABUSE: register(schema.SUBSTANCE_ABUSE, treatments),
        schema.SOCIAL_BENEFITS: draw_benefits(people, crises, seed),
        schema.SOCIAL_SERVICES: register(schema.SOCIAL_SERVICES, draw_services(people, crises, seed)),
        schema.PRIMARY_CARE: register(schema.PRIMARY_CARE, primary_care),
    }
