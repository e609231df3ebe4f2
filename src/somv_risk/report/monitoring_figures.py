"""Figures of the monitoring page: rows per week of each table, and risks now beside those at training."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.extras import check_installed
from somv_risk.report.drawing import INK, SOFT, STYLE, WIDTH, embed_figure
from somv_risk.report.wording import Wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_HEIGHT: Final = 1.15
MARK: Final = "#b34700"

Tables = Mapping[str, pl.DataFrame]
Draw = Callable[[Tables, Wording], "Figure | None"]


def render_monitoring_figure(name: str, tables: Tables, words: Wording) -> str:
    """Render a figure as an SVG element to stand in a page; nothing where its table has nothing to draw."""
    check_installed("matplotlib", "pictures")
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import

    with rc_context(STYLE):
        figure = FIGURES[name](tables, words)
        return "" if figure is None else embed_figure(figure, name, words)


def plot_volumes(tables: Tables, words: Wording) -> "Figure | None":
    """Plot the rows of each table by week, the band, and the weeks out of the ordinary."""
    check_installed("matplotlib", "pictures")
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    rows = tables["volumes"].filter(pl.col("by") == "started")
    # Of a scarce table nearly every week is hidden, and there is no line to draw.
    names = rows.drop_nulls(["rows", "expected"])["table"].unique(maintain_order=True).to_list()
    if not names:
        return None
    height = PANEL_HEIGHT * ((len(names) + 1) // 2) + 0.3
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = list(figure.subplots((len(names) + 1) // 2, 2, squeeze=False, sharex=True).flat)
    for axes, name in zip(panels, names, strict=False):
        _draw_weeks(axes, rows.filter(pl.col("table") == name), words)
        axes.set_title(name)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    return figure


def _draw_weeks(axes: "Axes", rows: pl.DataFrame, words: Wording) -> None:
    back = pl.Series(range(-rows.height, 0))
    axes.fill_between(
        back,
        rows["low"].cast(pl.Float64).fill_null(float("nan")),
        rows["high"].cast(pl.Float64).fill_null(float("nan")),
        color="#c9d1d8",
        linewidth=0,
    )
    axes.plot(back, rows["rows"].cast(pl.Float64).fill_null(float("nan")), color=INK, linewidth=1)
    odd = rows.with_columns(back.alias("back")).filter(pl.col("verdict").is_in(["low", "high", "stopped"]))
    odd = odd.drop_nulls("rows")
    axes.plot(odd["back"], odd["rows"], color=MARK, marker="o", markersize=3, linestyle="")
    axes.set_ylim(bottom=0)
    weeks = [place for place in (-104, -78, -52, -26, -1) if place >= -rows.height]
    axes.set_xticks(weeks, [words.date(rows["week"][place].date()) for place in weeks], fontsize=6)
    axes.yaxis.set_major_formatter(lambda value, _: words.tick(value))
    axes.tick_params(axis="y", labelsize=7)


def plot_score_bins(tables: Tables, words: Wording) -> "Figure | None":
    """Plot the share of persons by bin of risk, of the first target, now and at training."""
    check_installed("matplotlib", "pictures")
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    rows = tables["score_bins"].filter(pl.col("target") == pl.col("target").first())
    if rows.height < 2:
        return None
    figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
    axes = figure.subplots()
    look: dict[str, Any] = {"width": 0.4, "zorder": 2}
    axes.bar(
        rows["bin"] - 0.2, 100 * rows["share"].fill_null(0), color=INK, label=words["axis"]["now"], **look
    )
    axes.bar(
        rows["bin"] + 0.2,
        100 * rows["reference"],
        label=words["axis"]["then"],
        color="#ffffff",
        edgecolor=SOFT,
        hatch="////",
        **look,
    )
    axes.set_xticks(rows["bin"].to_list())
    axes.set_xlabel(words["axis"]["risk"])
    axes.set_ylabel(words["axis"]["share"])
    axes.yaxis.set_major_formatter(lambda value, _: words.tick(value))
    # Bins of equal size make bars of equal height, which leave no room among them.
    figure.legend(loc="outside upper right", ncols=2)
    return figure


FIGURES: Final[Mapping[str, Draw]] = MappingProxyType(
    {"volumes": plot_volumes, "score_bins": plot_score_bins}
)
