"""Finished tables: drawn rows turned into the columns and types of the schema."""

from typing import Final

import numpy as np
import polars as pl

from somv_risk.registers import schema
from somv_risk.simulate.catalogue import read_municipalities
from somv_risk.simulate.period import DAYS_PER_CALENDAR_YEAR
from somv_risk.simulate.population import Population

DIGITS_OF_A_PERSON: Final = 7


def name_persons(people: Population) -> pl.Series:
    """The pseudonymous keys, P0000001 onwards."""
    numbers = pl.Series(np.arange(people.size) + people.first_number).cast(pl.String)
    return ("P" + numbers.str.zfill(DIGITS_OF_A_PERSON)).alias(schema.PERSON_ID)


def finish_persons(people: Population) -> pl.DataFrame:
    """The table of persons."""
    codes = pl.Series([place.code for place in read_municipalities()])
    period = people.period
    birth = -people.ages * DAYS_PER_CALENDAR_YEAR
    columns = {
        schema.PERSON_ID: name_persons(people),
        schema.BIRTH_DATE: period.dates(np.minimum(birth, people.arrives)),
        schema.SEX: pl.Series(np.where(people.male, "male", "female")),
        schema.MUNICIPALITY: codes.gather(people.places),
        schema.DEATH_DATE: period.dates(np.where(people.dies < period.days, people.dies, np.inf)),
        schema.OBSERVED_FROM: period.dates(people.arrives),
        schema.OBSERVED_UNTIL: period.dates(people.leaves),
    }
    nulls = schema.make_nulls(schema.PERSONS, columns)
    return pl.DataFrame(columns).with_columns(nulls).cast(pl.Schema(schema.get_columns(schema.PERSONS)))


def number_events(events: pl.DataFrame, column: str, letter: str, block: int) -> pl.DataFrame:
    """Adds an id in the order of persons and time, unlike those of other blocks."""
    ordered = events.sort("person", "day", maintain_order=True)
    numbers = pl.Series(np.arange(1, ordered.height + 1)).cast(pl.String).str.zfill(6)
    return ordered.with_columns((f"{letter}{block:04d}" + numbers).alias(column))


def finish_events(table: str, people: Population, events: pl.DataFrame) -> pl.DataFrame:
    """An event table as it is known at the end of the period.

    Ends that lie beyond it are open, and what is learnt at the end with them.
    """
    wanted = schema.get_columns(table)
    known_in_time = pl.col("known").fill_null(0.0) < people.period.days
    drawn = events.filter(known_in_time).sort("person", "day", maintain_order=True)
    is_over = pl.col("until") < people.period.days
    timed = drawn.with_columns(
        name_persons(people).gather(drawn["person"]),
        people.period.moments("day").alias(schema.STARTED_AT),
        pl.when(is_over).then(people.period.moments("until")).alias(schema.ENDED_AT),
        people.period.moments("known").alias(schema.KNOWN_AT),
        *[pl.when(is_over).then(name).alias(name) for name in ("discharge", "end_reason") if name in wanted],
    )
    complete = timed.with_columns(schema.make_nulls(table, timed.columns))
    return complete.select(*wanted).cast(pl.Schema(wanted))


def leave_open(points: pl.DataFrame) -> pl.DataFrame:
    """Adds the end that a point event does not have."""
    return points.with_columns(until=pl.lit(None, pl.Float64))
