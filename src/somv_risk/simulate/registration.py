"""Registration: when the registers come to know of what happened."""

import numpy as np
import polars as pl

from somv_risk.simulate.catalogue import read_table
from somv_risk.simulate.draws import Floats, draw_skewed


def add_known(rng: np.random.Generator, table: str, events: pl.DataFrame) -> pl.DataFrame:
    """Adds `known`, some time after `day`; null for what ran already when the period began."""
    day = events["day"].to_numpy()
    known = np.where(day > 0, day + draw_delays(rng, table, day.size), np.nan)
    return events.with_columns(pl.Series("known", known).fill_nan(None))


def add_coding(rng: np.random.Generator, table: str, diagnoses: pl.DataFrame) -> pl.DataFrame:
    """Puts off `known` of a contact's diagnoses until they are coded, some time after `until`."""
    coded = diagnoses["until"].to_numpy() + draw_delays(rng, table, diagnoses.height)
    return diagnoses.with_columns(known=pl.max_horizontal("known", pl.Series(coded)))


def draw_delays(rng: np.random.Generator, table: str, size: int) -> Floats:
    """Delays in days of the rows of a table: most short, some long."""
    usual = read_table("registration")[table]
    delays = draw_skewed(rng, usual["days"], usual["spread"], size)
    late = np.flatnonzero(rng.random(size) < usual["late_share"])
    delays[late] = draw_skewed(rng, usual["late_days"], usual["late_spread"], late.size)
    return delays
