"""Measures: numbers that follow from the weights of persons, and their intervals by resampling persons."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.metrics.notes import NO_DRAWS, NO_INTERVAL

FloatArray = npt.NDArray[np.float64]

VALUE: Final = "value"
LOW: Final = "low"
HIGH: Final = "high"
NOTE: Final = "note"
UNDEFINED: Final = "if_undefined"
LEVEL: Final = (2.5, 97.5)
LEAST_DEFINED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Resampling:
    """Draws of persons with replacement: the bootstrap, with a person as the unit.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap (percentile intervals).

    Raises
    ------
    ConfigError
        If the number of draws is negative.
    """

    draws: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ConfigError(f"draws is {self.draws}. Give 0 or more.")


def draw_weights(persons: int, *, seed: int, number: int) -> FloatArray:
    """Draw how often each of the persons is taken in one of the draws of a bootstrap; shape (persons,)."""
    taken = np.random.default_rng([seed, number]).integers(0, persons, persons, dtype=np.int32)
    return np.bincount(taken, minlength=persons).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Measure:
    """Numbers of one table.

    `keys` has a row for each of them, with what it is of; columns `note` (what has to be said of it in any
    case) and `if_undefined` (what to say where it cannot be computed) may be among them. `compute` returns
    the numbers for given weights of the persons, NaN where there is none.
    """

    keys: pl.DataFrame
    compute: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The numbers of a measure, shape (values,), and those of each draw, shape (draws, values)."""

    values: FloatArray
    draws: FloatArray


def compute_tables(
    measures: Mapping[str, Measure], persons: int, resampling: Resampling
) -> dict[str, pl.DataFrame]:
    """Compute the tables of several measures on the same draws, so that their numbers can be compared.

    Returns
    -------
    By name, the keys of the measure with `value`, `low`, `high` (95 % percentile interval) and `note`, a
    sentence where something must be said of the number or it, or its interval, is null.
    """
    drawn = draw(measures, persons, resampling)
    return {name: tabulate(measure.keys, drawn[name]) for name, measure in measures.items()}


def draw(measures: Mapping[str, Measure], persons: int, resampling: Resampling) -> dict[str, Drawn]:
    """Compute several measures for all persons and for each draw, the same draws for all measures."""
    ones = np.ones(persons)
    values = {name: measure.compute(ones) for name, measure in measures.items()}

    def compute(number: int) -> list[FloatArray]:
        weights = draw_weights(persons, seed=resampling.seed, number=number)
        return [measure.compute(weights) for measure in measures.values()]

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        draws = list(pool.map(compute, range(resampling.draws)))
    columns = zip(*draws, strict=True) if draws else ([] for _ in measures)
    return {
        name: Drawn(numbers, np.array(column).reshape(resampling.draws, len(numbers)))
        for (name, numbers), column in zip(values.items(), columns, strict=True)
    }


def tabulate(keys: pl.DataFrame, drawn: Drawn) -> pl.DataFrame:
    """Put values and the intervals of their draws beside their keys."""
    values, draws = drawn.values, drawn.draws
    low, high = compute_interval(draws)
    given = keys if NOTE in keys.columns else keys.with_columns(pl.lit(None, pl.String).alias(NOTE))
    if UNDEFINED not in given.columns:
        given = given.with_columns(pl.lit("It cannot be computed from these cases.").alias(UNDEFINED))
    numbers = pl.DataFrame({VALUE: values, LOW: low, HIGH: high}).fill_nan(None)
    without_interval = NO_INTERVAL if len(draws) else NO_DRAWS
    note = (
        pl.when(pl.col(VALUE).is_null())
        .then(pl.col(UNDEFINED))
        .when(pl.col(NOTE).is_not_null())
        .then(pl.col(NOTE))
        .when(pl.col(LOW).is_null())
        .then(pl.lit(without_interval))
    )
    has_value = pl.col(VALUE).is_not_null()
    return (
        pl.concat([given, numbers], how="horizontal")
        .with_columns(pl.when(has_value).then(pl.col(LOW, HIGH)), note.alias(NOTE))
        .select(*(name for name in keys.columns if name not in (NOTE, UNDEFINED)), VALUE, LOW, HIGH, NOTE)
    )


def compute_interval(draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute 95 % percentile intervals of draws, shape (draws, values); NaN where too few are defined."""
    columns = draws.shape[1]
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    is_enough = (
        np.isfinite(draws).mean(axis=0) >= LEAST_DEFINED if len(draws) else np.zeros(columns, np.bool_)
    )
    if is_enough.any():
        chosen = np.where(np.isfinite(draws[:, is_enough]), draws[:, is_enough], np.nan)
        low[is_enough], high[is_enough] = np.nanpercentile(chosen, LEVEL, axis=0)
    return low, high
