"""Figures of the evaluation page: each drawn from a table of the page, as SVG to stand inside it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.extras import check_installed
from somv_risk.registers.schema import INDEX_TIME
from somv_risk.report import group_figures
from somv_risk.report.drawing import (
    INK,
    LOOKS,
    SOFT,
    STYLE,
    TICKS,
    WIDTH,
    Look,
    draw_curve,
    draw_interval,
    embed_figure,
    find_highest,
    make_panels,
    mark_interval,
    scale_by_root,
    write_numbers,
)
from somv_risk.report.evaluation_opening import RANKINGS
from somv_risk.report.findings import Findings
from somv_risk.report.small_counts import LEAST_PER_1000, is_per_1000
from somv_risk.report.wording import Wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[[Findings, Wording], "Figure | None"]


def render_figure(name: str, findings: Findings, words: Wording) -> str:
    """Render a figure as an SVG element to stand in a page; nothing where its table has nothing to draw."""
    check_installed("matplotlib", "pictures")
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import

    with rc_context(STYLE):
        figure = FIGURES[name](findings, words)
        if figure is None:
            return ""
        write_numbers(figure, words)
        return embed_figure(figure, name, words)


def plot_opening(findings: Findings, words: Wording) -> "Figure | None":
    """Plot how many of 1,000 on each ranking's list had the outcome, among all and among new cases."""
    rows = findings.select("capacity", **findings.working, metric="precision").drop_nulls("value")
    rows = rows.filter(pl.col("persons").cast(pl.Int64) >= LEAST_PER_1000)
    if rows.is_empty():
        return None
    figure, panels = make_panels(WIDTH, 1.55, 1, 2, sharey=True)
    for axes, population in zip(panels, ("all", "new"), strict=True):
        own = {row["ranking"]: row for row in rows.filter(population=population).iter_rows(named=True)}
        for place, ranking in enumerate(RANKINGS):
            if ranking in own:
                _draw_bar(axes, place, own[ranking], is_main=ranking == "model")
        base = findings.find("cases", index_time=findings.latest, population=population)
        if base is not None and base["base_rate"] is not None and is_per_1000(base["rows"]):
            axes.axvline(1000 * base["base_rate"], color=INK, linestyle=":", linewidth=1.4)
        axes.set_title(words.name("population", population))
        axes.set_yticks(range(len(RANKINGS)), [words.name("ranking", ranking) for ranking in RANKINGS])
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(words["axis"]["of_1000"])
    panels[0].invert_yaxis()
    return figure


def _draw_bar(axes: "Axes", place: int, row: Mapping[str, Any], *, is_main: bool) -> None:
    look: Look = {"color": "#1f3347"}
    if not is_main:
        look = {"color": "#ffffff", "hatch": "////", "edgecolor": SOFT}
    axes.barh(place, 1000 * row["value"], height=0.62, zorder=2, **look)
    if row["low"] is not None:
        draw_interval(axes, place, 1000 * row["low"], 1000 * row["high"], color="#b34700")


def plot_discrimination(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the AUROC of each ranking, among all and among new cases."""
    rows = findings.select("metrics", index_time=findings.latest, metric="auroc").drop_nulls("value")
    if rows.is_empty():
        return None
    figure, panels = make_panels(WIDTH, 2.0, 1, 2, sharey=True, sharex=True)
    for axes, population in zip(panels, ("all", "new"), strict=True):
        for row in rows.filter(population=population).iter_rows(named=True):
            place = RANKINGS.index(row["ranking"])
            mark_interval(axes, row["value"], place, row["low"], row["high"], LOOKS[row["ranking"]])
        axes.set_title(words.name("population", population))
        axes.set_yticks(range(len(RANKINGS)), [words.name("ranking", ranking) for ranking in RANKINGS])
        axes.set_xlabel(words.name("metric", "auroc"))
    panels[0].set_ylim(len(RANKINGS) - 0.5, -0.5)
    return figure


def plot_capacity(findings: Findings, words: Wording) -> "Figure | None":
    """Plot precision and sensitivity against the size of the list, for all cases."""
    where = {INDEX_TIME: findings.latest, "population": "all"}
    rows = findings.select("capacity", **where).drop_nulls("value").sort("persons")
    if rows.is_empty():
        return None
    figure, panels = make_panels(WIDTH, 3.1, 1, 2)
    for axes, metric in zip(panels, ("precision", "sensitivity"), strict=True):
        for ranking in RANKINGS:
            own = rows.filter(metric=metric, ranking=ranking).unique("persons", maintain_order=True)
            draw_curve(axes, own["persons"], own, LOOKS[ranking], words.name("ranking", ranking))
        axes.set_xscale("log")
        _write_plain_ticks(axes, sorted(set(rows["persons"].to_list())))
        axes.set_ylim(bottom=0)
        axes.set_title(words.name("metric", metric))
        axes.set_xlabel(words["axis"]["list_size"])
        axes.set_ylabel("%")
    panels[0].legend()
    return figure


def _write_plain_ticks(axes: "Axes", sizes: list[int]) -> None:
    """Write sizes of lists where they stand, leaving out those that would overprint another."""
    shown = sizes[:1]
    for size in sizes:
        shown += [size] if size > 1.7 * shown[-1] else []
    axes.set_xticks(shown, [str(size) for size in shown])
    axes.set_xticks([], minor=True)


def plot_calibration(findings: Findings, words: Wording) -> "Figure | None":
    """Plot risk against what happened, and below it how many had such a risk."""
    where = {INDEX_TIME: findings.latest, "grouping": "all"}
    rows = findings.select("reliability", **where).drop_nulls(["mean_risk", "observed"])
    if rows.is_empty():
        return None
    figure, (axes, below) = make_panels(WIDTH, 5.0, 2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    for ranking in ("model", "penalised_logistic"):
        own = rows.filter(ranking=ranking).sort("mean_risk")
        _draw_reliability(axes, own, LOOKS[ranking], words.name("ranking", ranking))
    scale_by_root(axes, rows, words)
    axes.set_ylabel(words["axis"]["observed"])
    axes.legend(loc="upper left")
    _draw_histogram(below, findings, words)
    below.set_xlabel(words["axis"]["risk"])
    return figure


def _draw_reliability(axes: "Axes", rows: pl.DataFrame, look: dict[str, Any], label: str) -> None:
    observed = 100 * rows["observed"]
    low = (observed - 100 * rows["low"]).clip(0).fill_null(0)
    high = (100 * rows["high"] - observed).clip(0).fill_null(0)
    axes.errorbar(
        100 * rows["mean_risk"],
        observed,
        yerr=[low, high],
        label=label,
        capsize=2,
        markersize=4,
        elinewidth=1,
        # Bins of small risks jump about by chance; a line through them would draw the eye to it.
        **(look | {"linestyle": ""}),
    )


def _draw_histogram(axes: "Axes", findings: Findings, words: Wording) -> None:
    where = {INDEX_TIME: findings.latest, "ranking": "model"}
    rows = findings.select("risk_distribution", **where).drop_nulls("rows")
    for outcome, look in ((False, {"color": "#c9d1d8"}), (True, {"color": "#b34700", "alpha": 0.85})):
        own = rows.filter(outcome=outcome)
        widths = 100 * (own["to_risk"] - own["from_risk"])
        name = words.name("outcome_is", outcome)
        axes.bar(100 * own["from_risk"], own["rows"], widths, align="edge", label=name, **look)
    axes.set_yscale("log")
    axes.set_ylabel(words["axis"]["rows"])
    axes.legend(loc="upper right")


def plot_decision_curve(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the net benefit of each strategy."""
    rows = findings.select("decision_curve", index_time=findings.latest).drop_nulls("value")
    if rows.is_empty():
        return None
    figure, (axes,) = make_panels(WIDTH, 3.4, 1, 1)
    best = 1000 * find_highest(rows["value"])
    for strategy in rows["strategy"].unique(maintain_order=True):
        own = rows.filter(strategy=strategy).sort("threshold")
        look = LOOKS.get(strategy, {"color": INK}) | {"marker": ""}
        label = words.name("strategy", strategy)
        axes.plot(100 * own["threshold"], 1000 * own["value"], label=label, **look)
        if strategy == "model":
            ends = 1000 * own["low"], 1000 * own["high"]
            axes.fill_between(100 * own["threshold"], *ends, color=look["color"], alpha=0.1, linewidth=0)
    # Offering to all falls far below; what is worth reading lies about nought and above.
    axes.set_ylim(-0.35 * max(best, 0.1), 1.25 * max(best, 0.1))
    axes.set_xscale("function", functions=(lambda x: abs(x) ** 0.5, lambda x: x**2))
    axes.set_xlim(left=100 * min(rows["threshold"].to_list()))
    axes.set_xticks([tick for tick in TICKS[1:] if tick <= 100 * find_highest(rows["threshold"])])
    axes.set_xlabel(words["axis"]["threshold"])
    axes.set_ylabel(words["axis"]["net_benefit"])
    axes.legend(ncols=2)
    return figure


def plot_risk_distribution(findings: Findings, words: Wording) -> "Figure | None":
    """Plot how the risks of those with and without the outcome are spread."""
    where = {INDEX_TIME: findings.latest, "ranking": "model"}
    rows = findings.select("risk_distribution", **where)
    bins = list(dict.fromkeys(rows.select("from_risk", "to_risk").iter_rows()))
    if rows["share"].null_count() == rows.height:
        return None
    figure, (axes,) = make_panels(WIDTH, 2.8, 1, 1)
    looks: dict[bool, Look] = {
        False: {"color": "#c9d1d8", "edgecolor": SOFT},
        True: {"color": "#b34700", "hatch": "//"},
    }
    for side, (outcome, look) in zip((-0.2, 0.2), looks.items(), strict=True):
        own = rows.filter(outcome=outcome).drop_nulls("share")
        places = [bins.index(edges) + side for edges in own.select("from_risk", "to_risk").iter_rows()]
        label = words.name("outcome_is", outcome)
        axes.bar(places, 100 * own["share"], 0.4, label=label, **look)
    names = [f"{words.tick(100 * low)}\u2013{words.tick(100 * high)}" for low, high in bins]
    axes.set_xticks(range(len(bins)), names, rotation=0 if len(bins) <= 14 else 60)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(words["axis"]["risk_bins"])
    axes.set_ylabel(words["axis"]["share_percent"])
    axes.legend()
    return figure


def plot_rolling_origin(findings: Findings, words: Wording) -> "Figure | None":
    """Plot AUROC by the moment of the test."""
    rows = findings.select("rolling_origin", metric="auroc").drop_nulls("value").sort("test_time")
    if rows.is_empty():
        return None
    moments = rows["test_time"].unique(maintain_order=True).to_list()
    figure, (axes,) = make_panels(WIDTH, 2.8, 1, 1)
    names = rows["ranking"].unique(maintain_order=True).to_list()
    for side, ranking in enumerate(names):
        own = rows.filter(ranking=ranking)
        # Set a little aside, so that intervals do not hide each other.
        places = [moments.index(moment) + 0.05 * side for moment in own["test_time"]]
        look = LOOKS.get(ranking, {"color": INK}) | {"label": words.name("ranking", ranking)}
        axes.plot(places, own["value"], markersize=4, **look)
        # An interval of draws need not hold the value, so it is drawn by itself.
        middle, half = (own["low"] + own["high"]) / 2, (own["high"] - own["low"]) / 2
        axes.errorbar(
            places,
            middle.fill_null(float("nan")),
            yerr=half.fill_null(0),
            linestyle="",
            capsize=3,
            elinewidth=1,
            color=look["color"],
        )
    axes.set_xticks(range(len(moments)), [words.date(moment) for moment in moments])
    axes.set_ylabel(words.name("metric", "auroc"))
    figure.legend(loc="outside lower center", ncols=len(names))
    return figure


FIGURES: Final[Mapping[str, Draw]] = MappingProxyType(
    {
        "opening": plot_opening,
        "discrimination": plot_discrimination,
        "capacity": plot_capacity,
        "calibration": plot_calibration,
        "calibration_groups": group_figures.plot_calibration_groups,
        "reliability_groups": group_figures.plot_reliability_groups,
        "decision_curve": plot_decision_curve,
        "risk_distribution": plot_risk_distribution,
        "fairness": group_figures.plot_fairness,
        "rolling_origin": plot_rolling_origin,
        "places_left_out": group_figures.plot_places_left_out,
    }
)
