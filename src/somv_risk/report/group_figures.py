"""Figures of groups: calibration and fairness by group, and places the model has not seen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl

from somv_risk.registers.schema import INDEX_TIME
from somv_risk.report.drawing import LOOKS, SOFT, WIDTH, Look, make_panels, mark_interval, scale_by_root
from somv_risk.report.findings import Findings
from somv_risk.report.wording import Wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_GROUPS: Final = 30
CURVES_PER_PANEL: Final = 5
PANELS_ACROSS: Final = 3
FAIRNESS_METRICS: Final = ("selection_rate", "precision", "false_negative_rate")
FEW_TICKS: Final = (0.0, 1.0, 5.0, 20.0, 50.0, 100.0)
# Figures with a mark per group: their table, and what names a group in it.
GROUPED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "calibration_groups": ("calibration", ("grouping", "group")),
        "fairness": ("fairness", ("grouping", "group")),
        "places_left_out": ("places_left_out", ("municipality",)),
    }
)
GROUP_LOOKS: Final = (
    ("#1f3347", "-", "o"),
    ("#b34700", "--", "s"),
    ("#0072b2", "-.", "^"),
    ("#007a5e", ":", "D"),
    ("#8a4f7d", "-", "v"),
)


def plot_calibration_groups(findings: Findings, words: Wording) -> "Figure | None":
    """Plot expected over observed of each group."""
    where = {INDEX_TIME: findings.latest, "ranking": "model", "metric": "expected_over_observed"}
    rows = findings.select("calibration", **where).filter(pl.col("grouping") != "all").drop_nulls("value")
    return _plot_groups(
        _keep_largest(rows), ("expected_over_observed",), words, columns=("value", "low", "high")
    )


def plot_reliability_groups(findings: Findings, words: Wording) -> "Figure | None":
    """Plot risk against what happened by group, one panel per grouping."""
    where = {INDEX_TIME: findings.latest, "ranking": "model"}
    rows = findings.select("reliability", **where).filter(pl.col("grouping") != "all")
    rows = rows.drop_nulls(["mean_risk", "observed"])
    groupings = rows["grouping"].unique(maintain_order=True).to_list()
    if not groupings:
        return None
    lines = -(-len(groupings) // PANELS_ACROSS)
    figure, panels = make_panels(WIDTH, 2.5 * lines, lines, PANELS_ACROSS)
    for axes in panels[len(groupings) :]:
        axes.remove()
    for axes, grouping in zip(panels, groupings, strict=False):
        own = rows.filter(grouping=grouping)
        sizes = own.group_by("group", maintain_order=True).agg(pl.col("rows").sum())
        largest = sizes.sort("rows", descending=True, maintain_order=True).head(CURVES_PER_PANEL)["group"]
        for group, (colour, dash, mark) in zip(largest, GROUP_LOOKS, strict=False):
            curve = own.filter(group=group).sort("mean_risk")
            look: Look = {"color": colour, "linestyle": dash, "marker": mark, "linewidth": 1.2}
            label = words.name_group(grouping, group)
            axes.plot(100 * curve["mean_risk"], 100 * curve["observed"], label=label, markersize=3, **look)
        scale_by_root(axes, own.with_columns(high=pl.col("observed")), words, FEW_TICKS)
        axes.set_title(words.name("grouping", grouping))
        axes.legend(fontsize=6.5, handlelength=2.6)
    return figure


def plot_fairness(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the difference of each group to everybody else, one panel per measure."""
    where = {INDEX_TIME: findings.latest, "ranking": "model"}
    rows = findings.select("fairness", **where).drop_nulls("difference")
    rows = rows.filter(pl.col("metric").is_in(FAIRNESS_METRICS))
    if rows.is_empty():
        return None
    largest = rows.group_by("grouping", "group", maintain_order=True).agg(pl.col("of").max().alias("rows"))
    rows = rows.join(_keep_largest(largest).select("grouping", "group"), on=["grouping", "group"])
    columns = ("difference", "difference_low", "difference_high")
    return _plot_groups(rows, FAIRNESS_METRICS, words, columns=columns)


def plot_places_left_out(findings: Findings, words: Wording) -> "Figure | None":
    """Plot the model's AUROC in each place that was left out."""
    rows = findings.select("places_left_out", metric="auroc", ranking="model").drop_nulls("value")
    if rows.is_empty():
        return None
    rows = _keep_largest(rows)
    figure, (axes,) = make_panels(WIDTH, 1.0 + 0.22 * rows.height, 1, 1)
    for place, row in enumerate(rows.iter_rows(named=True)):
        mark_interval(axes, row["value"], place, row["low"], row["high"], LOOKS["model"])
    axes.set_yticks(range(rows.height), rows["name"].to_list())
    axes.set_ylim(rows.height - 0.5, -0.5)
    axes.set_xlabel(words.name("metric", "auroc"))
    return figure


def count_groups(name: str, findings: Findings) -> int:
    """Count the groups that a figure would show if there were room for all; 0 for a figure without groups."""
    if name not in GROUPED:
        return 0
    table, columns = GROUPED[name]
    where = {} if table == "places_left_out" else {INDEX_TIME: findings.latest}
    rows = findings.select(table, **where).drop_nulls("value")
    groups = rows.select(columns).unique()
    return groups.height if "grouping" not in columns else groups.filter(pl.col("grouping") != "all").height


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
    figure, panels = make_panels(WIDTH, 1.1 + 0.21 * len(groups), 1, len(metrics), sharey=True)
    for axes, metric in zip(panels, metrics, strict=True):
        is_ratio = columns[0] == "value"
        for row in rows.filter(metric=metric).iter_rows(named=True):
            place = groups.index((row["grouping"], row["group"]))
            _mark_group(axes, place, [row[name] for name in columns], is_ratio=is_ratio)
        if is_ratio:
            axes.set_xscale("log")
            _choose_ratios(axes, rows)
        axes.axvline(1 if is_ratio else 0, color=SOFT, linestyle="--", linewidth=1)
        axes.set_xlabel(words["axis"]["ratio" if is_ratio else "points"])
        axes.set_title("" if is_ratio else words["short"][metric])
        axes.set_yticks(range(len(groups)), [words.describe_group(*group) for group in groups])
    panels[0].set_ylim(len(groups) - 0.5, -0.5)
    return figure


def _choose_ratios(axes: "Axes", rows: pl.DataFrame) -> None:
    """Choose what stands on a logarithmic axis of ratios: halves and doubles as far as there are any."""
    ends = [value for name in ("value", "low", "high") for value in rows[name].drop_nulls() if value > 0]
    steps = [2.0**power for power in range(-10, 11)]
    shown = [step for step in steps if min([1, *ends]) / 2 < step < 2 * max([1, *ends])]
    axes.set_xticks(shown, [f"{step:g}" for step in shown])
    axes.set_xticks([], minor=True)


def _mark_group(axes: "Axes", place: int, numbers: list[float | None], *, is_ratio: bool) -> None:
    value, low, high = (None if number is None else number * (1 if is_ratio else 100) for number in numbers)
    none = 1.0 if is_ratio else 0.0
    is_clear = low is not None and high is not None and not low <= none <= high
    look = {"color": "#b34700" if is_clear else "#1f3347", "marker": "D" if is_clear else "o"}
    mark_interval(axes, value, place, low, high, look | {"mfc": None if is_clear else "white"})
