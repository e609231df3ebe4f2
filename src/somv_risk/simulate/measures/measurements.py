"""Measurements: sums over persons from which figures and their standard errors are computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.simulate.measures.concentration import compute_concentration
from somv_risk.simulate.measures.distributions import DISTRIBUTION, GROUP, PERSONS, VALUE
from somv_risk.simulate.measures.figure import Figure

FIGURE: Final = "figure"
OBSERVED: Final = "observed"
STANDARD_ERROR: Final = "standard_error"
DENOMINATOR: Final = "denominator"
TWO_SIDED_95: Final = 1.96  # standard errors to either side of a figure

SUMS_SCHEMA: Final = {
    FIGURE: pl.String,
    "scale": pl.Float64,
    **dict.fromkeys(("y", "x", "yy", "xy", "xx"), pl.Float64),
    PERSONS: pl.Int64,
}
DISTRIBUTIONS_SCHEMA: Final = {
    DISTRIBUTION: pl.String,
    GROUP: pl.String,
    VALUE: pl.Int64,
    PERSONS: pl.Int64,
}


@dataclass(frozen=True, slots=True)
class Measurements:
    """What one set of persons adds to every figure.

    `sums` has one row per figure: its `scale`, `y`, `x` and their squares and product summed over persons,
    and `persons` with a part in the denominator. The sums are of whole numbers, so that the order in which
    parts are added changes nothing. `distributions` counts persons, or years
    of persons, by value.
    """

    sums: pl.DataFrame
    distributions: pl.DataFrame

    def __post_init__(self) -> None:
        if self.sums.schema != SUMS_SCHEMA or self.distributions.schema != DISTRIBUTIONS_SCHEMA:
            raise ConfigError("Measurements have other columns than declared. Make them with measure().")


def sum_figures(counts: pl.DataFrame, figures: Sequence[Figure]) -> pl.DataFrame:
    """Sum the figures over a frame with one row per person."""
    return pl.DataFrame([_sum_figure(counts, figure) for figure in figures], schema=SUMS_SCHEMA, orient="row")


def _sum_figure(counts: pl.DataFrame, figure: Figure) -> tuple[object, ...]:
    y = pl.col(figure.y).cast(pl.Float64)
    x = pl.col(figure.x).cast(pl.Float64)
    sums = counts.select(
        y=y.sum(), x=x.sum(), yy=(y * y).sum(), xy=(x * y).sum(), xx=(x * x).sum(), persons=(x != 0).sum()
    )
    return figure.name, figure.scale, *sums.row(0)


def combine(parts: Iterable[Measurements]) -> Measurements:
    """Combine the measurements of disjoint sets of persons.

    Raises
    ------
    ConfigError
        If there is nothing to combine.
    """
    collected = list(parts)
    if not collected:
        raise ConfigError("There are no measurements to combine. Measure at least one part.")
    sums = pl.concat([part.sums for part in collected]).group_by(FIGURE, "scale", maintain_order=True)
    counts = pl.concat([part.distributions for part in collected]).group_by(DISTRIBUTION, GROUP, VALUE)
    return Measurements(sums.sum(), counts.agg(pl.col(PERSONS).sum()).sort(DISTRIBUTION, GROUP, VALUE))


def compute_figures(measurements: Measurements) -> pl.DataFrame:
    """Compute each figure and its standard error, clustered on persons.

    Returns
    -------
    One row per figure: `figure`, `observed` and `standard_error` (null if the denominator is 0),
    `denominator`.
    """
    return pl.concat([_compute_ratios(measurements.sums), compute_concentration(measurements.distributions)])


def _compute_ratios(sums: pl.DataFrame) -> pl.DataFrame:
    ratio = pl.col(OBSERVED)
    # Rounding can push the variance of a figure without any spread a hair below 0.
    variance = (pl.col("yy") - 2 * ratio * pl.col("xy") + ratio**2 * pl.col("xx")).clip(lower_bound=0)
    return (
        sums.with_columns(pl.when(pl.col("x") != 0).then(pl.col("y") / pl.col("x")).alias(OBSERVED))
        .with_columns((variance.sqrt() / pl.col("x")).alias(STANDARD_ERROR))
        .with_columns(pl.col(OBSERVED, STANDARD_ERROR) * pl.col("scale"))
        .select(FIGURE, OBSERVED, STANDARD_ERROR, pl.col("x").alias(DENOMINATOR))
    )
