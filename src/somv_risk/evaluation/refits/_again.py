"""Fitting again: to the rows that were prepared, each taken as often as its person is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from somv_risk.cohort.splits import ROLE
from somv_risk.model.matrix import Places
from somv_risk.model.model import Head
from somv_risk.registers import schema as s
from somv_risk.training.fit import Slice, fit_head
from somv_risk.training.steps import PARTS, Prepared, take_slices

TIMES: Final = "times"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was prepared, and the main target's head as fitted to all of it: what refits are compared with."""

    prepared: Prepared
    head: Head


def fit_whole(prepared: Prepared) -> Fitted:
    """Fit the main target's head to everybody.

    Raises
    ------
    CohortError
        If too few events are left in a slice, or scores do not rise with the outcome.
    """
    return Fitted(prepared, fit_again(prepared))


def fit_again(prepared: Prepared, taken: pl.DataFrame | None = None, seed: int | None = None) -> Head:
    """Fit the main target's head again, on some of the persons or on several copies of them.

    Parameters
    ----------
    taken
        How often each person's rows are taken: `person_id`, `times`. A person who is not in it is left out;
        where None, everybody is taken once.
    seed
        Of the trees; the configuration's where None.

    Raises
    ------
    CohortError
        If too few events are left in a slice, or scores do not rise with the outcome.
    """
    settings, target = prepared.settings.build_tree_settings(), prepared.settings.build_targets()[0]
    slices = take_slices(prepared, target)
    if taken is not None:
        slices = {role: _repeat(part, _count(prepared, role, taken)) for role, part in slices.items()}
    grown = settings if seed is None else replace(settings, seed=seed)
    return fit_head(target, prepared.encoding, slices, grown)


def _count(prepared: Prepared, role: str, taken: pl.DataFrame) -> Places:
    """Count how often each row of the sample of a role is taken."""
    part = next(part for part, roles in PARTS.items() if role in roles)
    rows = prepared.samples[part].rows.select(s.PERSON_ID)
    counted = rows.join(taken, on=s.PERSON_ID, how="left", maintain_order="left")
    return counted[TIMES].fill_null(0).to_numpy()


def _repeat(part: Slice, times: Places) -> Slice:
    """Repeat the rows of a slice; the matrix is shared, and copied only while trees grow on it."""
    return part.take(np.repeat(np.arange(len(part.places)), times[part.places]))


def leave_out(prepared: Prepared, persons: pl.DataFrame) -> pl.DataFrame:
    """Take everybody once but the given persons (`person_id`)."""
    everybody = _list_persons(prepared)
    kept = everybody.join(persons, on=s.PERSON_ID, how="anti", maintain_order="left")
    return kept.select(s.PERSON_ID, pl.lit(1, pl.Int64).alias(TIMES))


def draw_persons(prepared: Prepared, seed: int) -> pl.DataFrame:
    """Draw the persons of each role again with replacement, as many as there are: a bootstrap by person."""
    draw = np.random.default_rng([prepared.settings.seed, seed])
    roles = _list_persons(prepared).partition_by(ROLE, maintain_order=True)
    return pl.concat(_draw(persons, draw.integers) for persons in roles)


def _draw(persons: pl.DataFrame, integers: Callable[[int, int, int], Places]) -> pl.DataFrame:
    size = persons.height
    times = np.bincount(integers(0, size, size), minlength=size)
    return persons.select(s.PERSON_ID, pl.Series(TIMES, times, pl.Int64))


def _list_persons(prepared: Prepared) -> pl.DataFrame:
    """List the persons a model is fitted to, with their roles, in an order that depends on them alone."""
    rows = [prepared.samples[part].rows.select(s.PERSON_ID, ROLE) for part in PARTS if part != "test"]
    return pl.concat(rows).unique().sort(ROLE, s.PERSON_ID)
