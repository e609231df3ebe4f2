"""Concentration: how large a part of all bed days falls to the few who have most."""

from typing import Final

import polars as pl

from somv_risk.simulate.measures.distributions import BED_HOURS, PERSONS, VALUE

TOP_SHARES: Final = {"bed_day_share_of_top_1_percent": 0.01, "bed_day_share_of_top_10_percent": 0.10}


def compute_lorenz(distributions: pl.DataFrame) -> pl.DataFrame:
    """Compute the Lorenz curve of bed days, from those who have most.

    Returns
    -------
    One row per number of hours, from the highest: `value`, `persons`, and `person_share`, `bed_day_share`
    up to and with that row. Bed days are those of the last year.
    """
    counts = distributions.filter(distribution=BED_HOURS).sort(VALUE, descending=True)
    hours = pl.col(VALUE) * pl.col(PERSONS)
    return counts.select(
        VALUE,
        PERSONS,
        (pl.col(PERSONS).cum_sum() / pl.col(PERSONS).sum()).alias("person_share"),
        (hours.cum_sum() / hours.sum()).alias("bed_day_share"),
    )


def compute_concentration(distributions: pl.DataFrame) -> pl.DataFrame:
    """Compute the shares of the top few; their error takes the number of hours at the edge as given."""
    counts = distributions.filter(distribution=BED_HOURS).sort(VALUE, descending=True)
    rows = [(figure, *_share_of_top(counts, share)) for figure, share in TOP_SHARES.items()]
    schema = {
        "figure": pl.String,
        "observed": pl.Float64,
        "standard_error": pl.Float64,
        "denominator": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _share_of_top(counts: pl.DataFrame, share: float) -> tuple[float | None, float | None, float]:
    persons = counts[PERSONS].cast(pl.Float64)
    hours = counts[VALUE].cast(pl.Float64)
    total = float((hours * persons).sum())
    if total == 0:
        return None, None, 0.0
    before = persons.cum_sum() - persons
    # Of those tied at the edge, a part belongs to the top.
    taken = ((share * float(persons.sum()) - before) / persons).clip(0, 1)
    ratio = float((taken * hours * persons).sum()) / total
    variance = float((persons * hours**2 * (taken - ratio) ** 2).sum())
    return ratio, variance**0.5 / total, total
