"""Plots: pictures of a made-up region beside published figures, as SVG that is the same on every run."""

from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.extras import check_installed
from somv_risk.simulate.measures import TWO_SIDED_95, Measurements, compute_lorenz
from somv_risk.simulate.plot_tables import (
    build_admission_shares,
    build_age_profile,
    build_benefit_shares,
    build_persistence,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MADE_UP: Final = "#0072b2"
PUBLISHED: Final = "#d55e00"
SEX_COLOURS: Final = {"female": "#cc79a7", "male": "#0072b2"}
COSTS: Final = {"costs, Region Sjælland": (0.01, 0.29), "costs, Denmark 2017": (0.10, 0.71)}
LORENZ_END: Final = 0.12
ASIDE_YEARS: Final = 0.08
STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "somv_risk",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.framealpha": 1,
    "legend.edgecolor": "white",
    "figure.constrained_layout.h_pad": 0.12,
    "figure.constrained_layout.w_pad": 0.12,
}


def render_plots(comparison: pl.DataFrame, measurements: Measurements) -> dict[str, str]:
    """Render every plot as SVG text, by its file name without ending."""
    lorenz = compute_lorenz(measurements.distributions)
    return {
        "admissions": render_svg(plot_admission_shares, build_admission_shares(comparison, measurements)),
        "bed_days": render_svg(plot_lorenz, lorenz),
        "ages": render_svg(plot_age_profile, build_age_profile(measurements)),
        "persistence": render_svg(plot_persistence, build_persistence(comparison, measurements)),
        "benefits": render_svg(plot_benefit_shares, build_benefit_shares(comparison)),
    }


def render_svg(plot: Callable[[pl.DataFrame], "Figure"], table: pl.DataFrame) -> str:
    """Render one plot of a table; equal tables give equal text."""
    check_installed("matplotlib", "pictures")
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import

    with rc_context(STYLE):
        text = StringIO()
        plot(table).savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def plot_admission_shares(table: pl.DataFrame) -> "Figure":
    """Plot the shares of `build_admission_shares`, on a logarithmic scale."""
    figure, axes = _make_figure(7.2, 4.4)
    seen = table.filter(pl.col("observed") > 0)
    axes.plot(seen["admissions"], 100 * seen["observed"], "o-", color=MADE_UP, ms=4, label="made-up region")
    _mark_published(axes, table.drop_nulls("target"), "admissions")
    axes.set_xticks(range(0, table.height + 1, 2))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title("Residents by number of acute somatic admissions in a year")
    axes.set_xlabel("at least so many acute somatic admissions in a year")
    axes.set_ylabel("residents, % (logarithmic scale)")
    axes.legend(loc="upper right")
    return figure


def plot_lorenz(table: pl.DataFrame) -> "Figure":
    """Plot the first part of the curve of `compute_lorenz`, with published points of costs beside it."""
    figure, axes = _make_figure(7.2, 4.4)
    shares = pl.concat([table.head(0).clear(1).fill_null(0), table]).filter(
        pl.col("bed_day_share").is_not_nan()
    )
    axes.plot(
        100 * shares["person_share"],
        100 * shares["bed_day_share"],
        color=MADE_UP,
        label="bed days, made-up region",
    )
    for marker, (name, (persons, costs)) in zip("Ds", COSTS.items(), strict=True):
        axes.plot(100 * persons, 100 * costs, marker, color=PUBLISHED, label=f"{name} (not bed days)")
    axes.set_xlim(0, 100 * LORENZ_END)
    axes.set_ylim(0, 104)
    axes.set_title("How few residents have most of the bed days")
    axes.set_xlabel("residents, %, those with most bed days in the last year first")
    axes.set_ylabel("part of all bed days, %")
    axes.legend(loc="lower right")
    return figure


def plot_age_profile(table: pl.DataFrame) -> "Figure":
    """Plot population and acute admissions of `build_age_profile` in two panels."""
    check_installed("matplotlib", "pictures")
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    people, rates = figure.subplots(1, 2)
    for side, (sex, colour) in zip((-0.2, 0.2), SEX_COLOURS.items(), strict=True):
        own = table.filter(sex=sex).fill_null(0)
        places = [place + side for place in range(own.height)]
        people.bar(places, 100 * own["population_share"], width=0.4, color=colour, label=sex)
        errors = TWO_SIDED_95 * own["standard_error"]
        rates.bar(places, own["acute_per_1000"], yerr=errors, width=0.4, color=colour, ecolor="#444444")
    for axes in (people, rates):
        axes.set_xticks(range(table["age"].n_unique()), table["age"].unique(maintain_order=True))
        axes.set_xlabel("age, years")
        axes.grid(visible=False, axis="x")
    people.set_title("Population")
    people.set_ylabel("part of all residents, %")
    people.legend(loc="upper right")
    rates.set_title("Acute admissions")
    rates.set_ylabel("acute admissions per 1000 residents in a year")
    return figure


def plot_persistence(table: pl.DataFrame) -> "Figure":
    """Plot the shares of `build_persistence`."""
    figure, axes = _make_figure(7.2, 4.0)
    errors = 100 * TWO_SIDED_95 * table["standard_error"]
    observed = 100 * table["observed"]
    axes.errorbar(
        table["years_later"],
        observed,
        yerr=errors,
        fmt="o-",
        color=MADE_UP,
        capsize=3,
        label="made-up region",
    )
    # Set a little aside, so that the published band does not hide the interval.
    published = table.drop_nulls("target").with_columns(pl.col("years_later") + ASIDE_YEARS)
    _mark_published(axes, published, "years_later")
    axes.set_ylim(bottom=0)
    axes.set_xticks(table["years_later"].to_list())
    axes.set_title("Of those with 3 or more acute admissions in a year: as many again")
    axes.set_xlabel("years later")
    axes.set_ylabel("persons, %")
    axes.legend(loc="upper right")
    return figure


def plot_benefit_shares(table: pl.DataFrame) -> "Figure":
    """Plot the shares of `build_benefit_shares`, one line per municipality."""
    figure, axes = _make_figure(7.2, 5.2)
    places = list(range(table.height))
    measured = table.with_row_index("place").drop_nulls("observed")
    errors = 100 * TWO_SIDED_95 * measured["standard_error"]
    observed = 100 * measured["observed"]
    axes.errorbar(
        observed,
        measured["place"],
        xerr=errors,
        fmt="o",
        color=MADE_UP,
        ms=5,
        label="made-up region, 18-64 years",
    )
    axes.plot(
        100 * table["target"], places, "D", color=PUBLISHED, mfc="white", ms=6, label="published, 16-64 years"
    )
    axes.set_yticks(places, table["municipality"])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_title("Residents of working age on public support")
    axes.set_xlabel("residents of working age, %")
    axes.legend(loc="lower right")
    return figure


def _make_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    check_installed("matplotlib", "pictures")
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _mark_published(axes: "Axes", table: pl.DataFrame, column: str) -> None:
    """Mark published shares with their bands."""
    band = 100 * table["target"] - 100 * table["low"], 100 * table["high"] - 100 * table["target"]
    axes.errorbar(
        table[column],
        100 * table["target"],
        yerr=band,
        fmt="D",
        color=PUBLISHED,
        mfc="white",
        ms=6,
        capsize=4,
        label="published, with band",
    )
