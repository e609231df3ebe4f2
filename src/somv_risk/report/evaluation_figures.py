"""Figures of the evaluation page: each drawn from a table of the page, as SVG to stand inside it."""

import re
from collections.abc import Callable, Mapping
from html import escape
from io import StringIO
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.report.evaluation_opening import RANKINGS
from somv_risk.report.findings import Findings
from somv_risk.report.wording import Wording
from somv_risk.schema import INDEX_TIME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 7.2
SHOWN_GROUPS: Final = 30
CURVES_PER_PANEL: Final = 5
PANELS_ACROSS: Final = 3
FAIRNESS_METRICS: Final = ("selection_rate", "precision", "false_negative_rate")
# Colour, dash and mark differ together, so that none is needed to tell two lines apart.
LOOKS: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        "model": {"color": "#1f3347", "linestyle": "-", "marker": "o", "linewidth": 2.2},
        "penalised_logistic": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
        "count_last_year": {"color": "#b34700", "linestyle": "-.", "marker": "^"},
        "count_rule": {"color": "#b34700", "linestyle": "-.", "marker": "^"},
        "programme_rule": {"color": "#007a5e", "linestyle": ":", "marker": "D"},
        "treat_all": {"color": "#6b7680", "linestyle": (0, (1, 1)), "marker": ""},
        "treat_none": {"color": "#6b7680", "linestyle": "-", "marker": ""},
    }
)
GROUP_LOOKS: Final = (
    ("#1f3347", "-", "o"),
    ("#b34700", "--", "s"),
    ("#0072b2", "-.", "^"),
    ("#007a5e", ":", "D"),
    ("#8a4f7d", "-", "v"),
)
TICKS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0)
FEW_TICKS: Final = (0.0, 1.0, 5.0, 20.0, 50.0, 100.0)
INK: Final = "#1d2730"
SOFT: Final = "#6b7680"
STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "somv_risk",
    "svg.fonttype": "none",
    # Names of groups come from outside; a dollar sign in one is not mathematics.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "legend.fontsize": 8,
}

Draw = Callable[[Findings, Wording], "Figure | None"]


def render_figure(name: str, findings: Findings, words: Wording) -> str:
    """Render a figure as an SVG element to stand in a page; nothing where its table has nothing to draw."""
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import

    with rc_context(STYLE):
        figure = FIGURES[name](findings, words)
        if figure is None:
            return ""
        _write_numbers(figure, words)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return embed_svg(text.getvalue(), name, words["figure"][name])


def _write_numbers(figure: "Figure", words: Wording) -> None:
    """Write the numbers of all axes as the language does, where they have no words of their own."""
    from matplotlib.ticker import FuncFormatter, LogFormatter, ScalarFormatter  # noqa: PLC0415 - slow to import

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatter | ScalarFormatter):
            axis.set_major_formatter(FuncFormatter(lambda value, _: words.tick(value)))


def embed_svg(svg: str, name: str, description: str) -> str:
    """Make an SVG file part of a page: no declarations, ids of its own, and words for who cannot see it."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    # Matplotlib names every part, and most alike in every figure; only what is referred to keeps a name.
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{name}-", body)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body))
    label = escape(description, quote=True)
    return re.sub(r"\n\s*", "\n", body.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def plot_opening(findings: Findings, words: Wording) -> "Figure | None":
    """Plot how many of 1,000 on each ranking's list had the outcome, among all and among new cases."""
    rows = findings.select("capacity", **findings.working, metric="precision").drop_nulls("value")
    if rows.is_empty():
        return None
    figure, panels = _make_panels(WIDTH, 1.55, 1, 2, sharey=True)
    for axes, population in zip(panels, ("all", "new"), strict=True):
        own = {row["ranking"]: row for row in rows.filter(population=population).iter_rows(named=True)}
        for place, ranking in enumerate(RANKINGS):
            if ranking in own:
                _draw_bar(axes, place, own[ranking], is_main=ranking == "model")
        base = findings.find("cases", index_time=findings.latest, population=population)
        if base is not None and base["base_rate"] is not None:
            axes.axvline(1000 * base["base_rate"], color=INK, linestyle=":", linewidth=1.4)
        axes.set_title(words.name("population", population))
        axes.set_yticks(range(len(RANKINGS)), [words.name("ranking", ranking) for ranking in RANKINGS])
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(words["axis"]["of_1000"])
    panels[0].invert_yaxis()
    return figure


def _draw_bar(axes: "Axes", place: int, row: Mapping[str, Any], *, is_main: bool) -> None:
    look = {"color": "#1f3347"} if is_main else {"color": "#ffffff", "hatch": "////", "edgecolor": SOFT}
    axes.barh(place, 1000 * row["value"], height=0.62, zorder=2, **look)
    if row["low"] is not None:
        ends = [[1000 * (row["value"] - row["low"])], [1000 * (row["high"] - row["value"])]]
        axes.errorbar(1000 * row["value"], place, xerr=ends, color="#b34700", capsize=3, zorder=3)


def plot_discrimination(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the AUROC of each ranking, among all and among new cases."""
    rows = findings.select("metrics", index_time=findings.latest, metric="auroc").drop_nulls("value")
    if rows.is_empty():
        return None
    figure, panels = _make_panels(WIDTH, 2.0, 1, 2, sharey=True, sharex=True)
    for axes, population in zip(panels, ("all", "new"), strict=True):
        for row in rows.filter(population=population).iter_rows(named=True):
            place = RANKINGS.index(row["ranking"])
            _mark_interval(axes, row["value"], place, row["low"], row["high"], LOOKS[row["ranking"]])
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
    figure, panels = _make_panels(WIDTH, 3.1, 1, 2)
    for axes, metric in zip(panels, ("precision", "sensitivity"), strict=True):
        for ranking in RANKINGS:
            own = rows.filter(metric=metric, ranking=ranking).unique("persons", maintain_order=True)
            _draw_curve(axes, own["persons"], own, LOOKS[ranking], words.name("ranking", ranking))
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


def _draw_curve(axes: "Axes", x: pl.Series, rows: pl.DataFrame, look: dict[str, Any], label: str) -> None:
    """Draw values in per cent as a curve, with a band where there is an interval."""
    axes.plot(x, 100 * rows["value"], label=label, markersize=4, **look)
    axes.fill_between(x, 100 * rows["low"], 100 * rows["high"], color=look["color"], alpha=0.1, linewidth=0)


def plot_calibration(findings: Findings, words: Wording) -> "Figure | None":
    """Plot risk against what happened, and below it how many had such a risk."""
    where = {INDEX_TIME: findings.latest, "grouping": "all"}
    rows = findings.select("reliability", **where).drop_nulls(["mean_risk", "observed"])
    if rows.is_empty():
        return None
    figure, (axes, below) = _make_panels(
        WIDTH, 5.0, 2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]}
    )
    for ranking in ("model", "penalised_logistic"):
        own = rows.filter(ranking=ranking).sort("mean_risk")
        _draw_reliability(axes, own, LOOKS[ranking], words.name("ranking", ranking))
    _scale_by_root(axes, rows, words)
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
        **look,
    )


def _scale_by_root(axes: "Axes", rows: pl.DataFrame, words: Wording, ticks: tuple[float, ...] = TICKS) -> None:
    """Scale both axes by their square root: most risks are small, and nought must be on the scale."""
    highest = max(100 * rows[name].fill_null(0).max() for name in ("mean_risk", "observed", "high"))  # type: ignore[operator]  # numbers
    end = min(100.0, max(1.0, 1.05 * highest))
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("function", functions=(lambda x: abs(x) ** 0.5, lambda x: x**2))
    axes.plot([0, end], [0, end], color=SOFT, linestyle="--", linewidth=1, label=words["axis"]["perfect"])
    shown = [tick for tick in ticks if tick <= end]
    for name in ("x", "y"):
        getattr(axes, f"set_{name}lim")(0, end)
        getattr(axes, f"set_{name}ticks")(shown, [words.tick(tick) for tick in shown])


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


def plot_calibration_groups(findings: Findings, words: Wording) -> "Figure | None":
    """Plot expected over observed of each group."""
    where = {INDEX_TIME: findings.latest, "ranking": "model", "metric": "expected_over_observed"}
    rows = findings.select("calibration", **where).filter(pl.col("grouping") != "all").drop_nulls("value")
    return _plot_groups(_keep_largest(rows), ("expected_over_observed",), words, columns=("value", "low", "high"))


def plot_fairness(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the difference of each group to everybody else, one panel per measure."""
    rows = findings.select("fairness", index_time=findings.latest).drop_nulls("difference")
    rows = rows.filter(pl.col("metric").is_in(FAIRNESS_METRICS))
    if rows.is_empty():
        return None
    largest = rows.group_by("grouping", "group", maintain_order=True).agg(pl.col("of").max().alias("rows"))
    rows = rows.join(_keep_largest(largest).select("grouping", "group"), on=["grouping", "group"])
    columns = ("difference", "difference_low", "difference_high")
    return _plot_groups(rows, FAIRNESS_METRICS, words, columns=columns)


def _keep_largest(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the largest groups, in their order."""
    if rows.height <= SHOWN_GROUPS:
        return rows
    order = rows.with_row_index("place")
    largest = order.sort("rows", "place", descending=[True, False], nulls_last=True).head(SHOWN_GROUPS)
    return largest.sort("place").drop("place")


def _plot_groups(
    rows: pl.DataFrame, metrics: tuple[str, ...], words: Wording, *, columns: tuple[str, str, str]
) -> "Figure | None":
    """Plot one mark per group, one panel per metric, and a line where there is no difference."""
    if rows.is_empty():
        return None
    groups = list(dict.fromkeys(rows.select("grouping", "group").iter_rows()))
    figure, panels = _make_panels(WIDTH, 1.1 + 0.21 * len(groups), 1, len(metrics), sharey=True)
    for axes, metric in zip(panels, metrics, strict=True):
        is_ratio = columns[0] == "value"
        for row in rows.filter(metric=metric).iter_rows(named=True):
            place = groups.index((row["grouping"], row["group"]))
            _mark_group(axes, place, [row[name] for name in columns], is_ratio=is_ratio)
        axes.axvline(1 if is_ratio else 0, color=SOFT, linestyle="--", linewidth=1)
        axes.set_xlabel(words["axis"]["ratio" if is_ratio else "points"])
        axes.set_title("" if is_ratio else words["short"][metric])
        axes.set_yticks(range(len(groups)), [words.describe_group(*group) for group in groups])
    panels[0].set_ylim(len(groups) - 0.5, -0.5)
    return figure


def _mark_group(axes: "Axes", place: int, numbers: list[float | None], *, is_ratio: bool) -> None:
    value, low, high = (None if number is None else number * (1 if is_ratio else 100) for number in numbers)
    none = 1.0 if is_ratio else 0.0
    is_clear = low is not None and high is not None and not low <= none <= high
    look = {"color": "#b34700" if is_clear else "#1f3347", "marker": "D" if is_clear else "o"}
    _mark_interval(axes, value, place, low, high, look | {"mfc": None if is_clear else "white"})


def _mark_interval(
    axes: "Axes", value: float | None, place: int, low: float | None, high: float | None, look: dict[str, Any]
) -> None:
    """Mark a value on its line with its interval, where it has one."""
    ends = None if value is None or low is None or high is None else [[value - low], [high - value]]
    mark = {key: look[key] for key in ("color", "marker", "mfc") if look.get(key)}
    axes.errorbar(value, place, xerr=ends, linestyle="", capsize=3, markersize=5, **mark)  # type: ignore[arg-type]  # one number


def plot_reliability_groups(findings: Findings, words: Wording) -> "Figure | None":
    """Plot risk against what happened by group, one panel per grouping."""
    where = {INDEX_TIME: findings.latest, "ranking": "model"}
    rows = findings.select("reliability", **where).filter(pl.col("grouping") != "all")
    rows = rows.drop_nulls(["mean_risk", "observed"])
    groupings = rows["grouping"].unique(maintain_order=True).to_list()
    if not groupings:
        return None
    lines = -(-len(groupings) // PANELS_ACROSS)
    figure, panels = _make_panels(WIDTH, 2.5 * lines, lines, PANELS_ACROSS)
    for axes in panels[len(groupings) :]:
        axes.remove()
    for axes, grouping in zip(panels, groupings, strict=False):
        own = rows.filter(grouping=grouping)
        sizes = own.group_by("group", maintain_order=True).agg(pl.col("rows").sum())
        largest = sizes.sort("rows", descending=True, maintain_order=True).head(CURVES_PER_PANEL)["group"]
        for group, (colour, dash, mark) in zip(largest, GROUP_LOOKS, strict=False):
            curve = own.filter(group=group).sort("mean_risk")
            look = {"color": colour, "linestyle": dash, "marker": mark, "linewidth": 1.2, "markersize": 3}
            label = words.name_group(grouping, group)
            axes.plot(100 * curve["mean_risk"], 100 * curve["observed"], label=label, **look)
        _scale_by_root(axes, own.with_columns(high=pl.col("observed")), words, FEW_TICKS)
        axes.set_title(words.name("grouping", grouping))
        axes.legend(fontsize=6.5, handlelength=2.6)
    return figure


def plot_decision_curve(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the net benefit of each strategy."""
    rows = findings.select("decision_curve", index_time=findings.latest).drop_nulls("value")
    if rows.is_empty():
        return None
    figure, (axes,) = _make_panels(WIDTH, 3.4, 1, 1)
    best = 1000 * rows["value"].max()  # type: ignore[operator]  # a number
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
    axes.set_xlim(left=100 * rows["threshold"].min())  # type: ignore[operator]  # a number
    axes.set_xticks([tick for tick in TICKS[1:] if tick <= 100 * rows["threshold"].max()])  # type: ignore[operator]
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
    figure, (axes,) = _make_panels(WIDTH, 2.8, 1, 1)
    looks = {False: {"color": "#c9d1d8", "edgecolor": SOFT}, True: {"color": "#b34700", "hatch": "//"}}
    for side, (outcome, look) in zip((-0.2, 0.2), looks.items(), strict=True):
        own = rows.filter(outcome=outcome).drop_nulls("share")
        places = [bins.index(edges) + side for edges in own.select("from_risk", "to_risk").iter_rows()]
        label = words.name("outcome_is", outcome)
        axes.bar(places, 100 * own["share"], 0.4, label=label, **look)
    names = [f"{words.tick(100 * low)}–{words.tick(100 * high)}" for low, high in bins]
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
    figure, (axes,) = _make_panels(WIDTH, 2.8, 1, 1)
    names = rows["ranking"].unique(maintain_order=True).to_list()
    for side, ranking in enumerate(names):
        own = rows.filter(ranking=ranking)
        # Set a little aside, so that intervals do not hide each other.
        places = [moments.index(moment) + 0.05 * side for moment in own["test_time"]]
        ends = [(own["value"] - own["low"]).fill_null(0), (own["high"] - own["value"]).fill_null(0)]
        look = LOOKS.get(ranking, {"color": INK}) | {"label": words.name("ranking", ranking)}
        axes.errorbar(places, own["value"], yerr=ends, capsize=3, markersize=4, elinewidth=1, **look)
    axes.set_xticks(range(len(moments)), [words.date(moment) for moment in moments])
    axes.set_ylabel(words.name("metric", "auroc"))
    axes.legend(loc="best")
    return figure


def plot_places_left_out(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the model's AUROC in each place that was left out."""
    rows = findings.select("places_left_out", metric="auroc", ranking="model").drop_nulls("value")
    if rows.is_empty():
        return None
    rows = _keep_largest(rows)
    figure, (axes,) = _make_panels(WIDTH, 1.0 + 0.22 * rows.height, 1, 1)
    for place, row in enumerate(rows.iter_rows(named=True)):
        _mark_interval(axes, row["value"], place, row["low"], row["high"], LOOKS["model"])
    axes.set_yticks(range(rows.height), rows["name"].to_list())
    axes.set_ylim(rows.height - 0.5, -0.5)
    axes.set_xlabel(words.name("metric", "auroc"))
    return figure


def _make_panels(
    width: float, height: float, rows: int, columns: int, **how: Any
) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **how).flat)


FIGURES: Final[Mapping[str, Draw]] = MappingProxyType(
    {
        "opening": plot_opening,
        "discrimination": plot_discrimination,
        "capacity": plot_capacity,
        "calibration": plot_calibration,
        "calibration_groups": plot_calibration_groups,
        "reliability_groups": plot_reliability_groups,
        "decision_curve": plot_decision_curve,
        "risk_distribution": plot_risk_distribution,
        "fairness": plot_fairness,
        "rolling_origin": plot_rolling_origin,
        "places_left_out": plot_places_left_out,
    }
)
