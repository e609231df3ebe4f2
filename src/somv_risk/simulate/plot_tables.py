"""Plot tables: what each picture of a made-up region is drawn from."""

from typing import Final

import polars as pl

from somv_risk.registers.codes import load_municipalities
from somv_risk.simulate.measures import (
    ACUTE_IN_A_YEAR,
    AGE_BANDS,
    LAGS_YEARS,
    PROFILE_SEXES,
    Measurements,
    compute_figures,
)

OBSERVED_SHARES: Final = {"admissions": pl.Int64, "observed": pl.Float64}
_SHOWN: Final = ("target", "low", "high")


def build_admission_shares(comparison: pl.DataFrame, measurements: Measurements) -> pl.DataFrame:
    """Build the shares of residents with at least so many acute somatic admissions in a year.

    Returns
    -------
    One row per number from 1 to the highest that occurred or is published: `admissions`, `observed`, and
    `target`, `low`, `high` where a share is published.
    """
    counts = measurements.distributions.filter(distribution=ACUTE_IN_A_YEAR, group="somatic")
    name = r"^residents_(\d+)_or_more_acute_somatic_share$"
    published = comparison.select(
        pl.col("figure").str.extract(name).cast(pl.Int64).alias("admissions"), *_SHOWN
    ).drop_nulls("admissions")
    highest = max([1, *counts["value"].to_list(), *published["admissions"].to_list()])
    numbers = range(1, highest + 1)
    persons = [counts.filter(pl.col("value") >= least)["persons"].sum() for least in numbers]
    observed = pl.DataFrame(
        {"admissions": numbers, "observed": persons}, schema=OBSERVED_SHARES
    ).with_columns(
        # Of nobody there is no share.
        (pl.col("observed") / counts["persons"].sum()).fill_nan(None)
    )
    return observed.join(published, on="admissions", how="left", maintain_order="left")


def build_age_profile(measurements: Measurements) -> pl.DataFrame:
    """Build population and acute admissions by age and sex.

    Returns
    -------
    One row per age band and sex: `age`, `sex`, `population_share`, and `acute_per_1000` residents in a year
    with its `standard_error`.
    """
    figures = compute_figures(measurements)
    cells = [(band, sex) for sex in PROFILE_SEXES for band in AGE_BANDS]
    shares = _pick(figures, [f"age_{band}_{sex}_share" for band, sex in cells])
    rates = _pick(figures, [f"acute_per_1000_{sex}_{band}" for band, sex in cells])
    return pl.DataFrame(
        {
            "age": [_name_band(band) for band, _ in cells],
            "sex": [sex for _, sex in cells],
            "population_share": shares["observed"],
            "acute_per_1000": rates["observed"],
            "standard_error": rates["standard_error"],
        }
    )


def build_persistence(comparison: pl.DataFrame, measurements: Measurements) -> pl.DataFrame:
    """Build who, of those with 3 or more acute admissions in a year, has as many again in a later one.

    Returns
    -------
    One row per number of years that the data allow: `years_later`, `observed`, `standard_error`, and
    `target`, `low`, `high` where a share is published.
    """
    names = {lag: f"frequent_again_after_{lag}_years_share" for lag in LAGS_YEARS}
    observed = _pick(compute_figures(measurements), list(names.values()))
    published = comparison.select("figure", *_SHOWN)
    return (
        pl.DataFrame({"years_later": list(names), "figure": list(names.values())})
        .join(observed, on="figure", maintain_order="left")
        .drop_nulls("observed")
        .join(published, on="figure", how="left", maintain_order="left")
        .drop("figure", "denominator")
    )


def build_benefit_shares(comparison: pl.DataFrame) -> pl.DataFrame:
    """Build the shares on public support by municipality, highest published share first.

    Returns
    -------
    One row per municipality with a published share: `municipality`, `target`, `low`, `high`, `observed`,
    `standard_error`.
    """
    names = {f"on_benefits_share_{code}": name for code, name in load_municipalities().items()}
    return (
        comparison.filter(pl.col("figure").is_in(list(names)))
        .with_columns(pl.col("figure").replace_strict(names, return_dtype=pl.String).alias("municipality"))
        .select("municipality", *_SHOWN, "observed", "standard_error")
        .sort("target", "municipality", descending=[True, False])
    )


def _pick(figures: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    wanted = pl.DataFrame({"figure": names})
    return wanted.join(figures, on="figure", how="left", maintain_order="left")


def _name_band(band: str) -> str:
    return band.replace("_plus", "+").replace("_", "-")
