"""Drawing: what all figures of the evaluation page share, and how a drawing becomes part of a page."""

import re
from collections.abc import Mapping
from html import escape
from io import StringIO
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.extras import check_installed
from somv_risk.report.wording import Wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = dict[str, Any]
WIDTH: Final = 7.2
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
INK: Final = "#1d2730"
SOFT: Final = "#6b7680"
TICKS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0)
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


def make_panels(
    width: float,
    height: float,
    rows: int,
    columns: int,
    **how: Any,  # noqa: ANN401 - whatever subplots takes
) -> "tuple[Figure, list[Axes]]":
    """Make a figure of some panels, row by row."""
    check_installed("matplotlib", "pictures")
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **how).flat)


def embed_figure(figure: "Figure", name: str, words: Wording) -> str:
    """Make a figure part of a page, with the words that say what it shows."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return embed_svg(text.getvalue(), name, words["figure"][name])


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


def write_numbers(figure: "Figure", words: Wording) -> None:
    """Write the numbers of all axes as the language does, where they have no words of their own."""
    check_installed("matplotlib", "pictures")
    from matplotlib.ticker import FuncFormatter, LogFormatter, ScalarFormatter  # noqa: PLC0415 - slow to import

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatter | ScalarFormatter):
            axis.set_major_formatter(FuncFormatter(lambda value, _: words.tick(value)))


def mark_interval(
    axes: "Axes", value: float | None, place: int, low: float | None, high: float | None, look: dict[str, Any]
) -> None:
    """Mark a value on its line with its interval, where it has one."""
    mark = {key: look[key] for key in ("color", "marker", "mfc") if look.get(key)}
    arms = None
    if value is not None and low is not None and high is not None:
        if low <= value <= high:
            arms = [[value - low], [high - value]]
        else:  # an interval of draws need not hold the value, and no arm can be less than nothing
            draw_interval(axes, place, low, high, color=look["color"])
    axes.errorbar(value, place, xerr=arms, linestyle="", capsize=3, markersize=5, **mark)  # type: ignore[arg-type]  # one number


def draw_interval(axes: "Axes", place: float, low: float, high: float, *, color: str) -> None:
    """Draw an interval on its line, wherever the value lies that it is of."""
    half = (high - low) / 2
    axes.errorbar(low + half, place, xerr=half, linestyle="", capsize=3, color=color, zorder=3)


def draw_curve(axes: "Axes", x: pl.Series, rows: pl.DataFrame, look: dict[str, Any], label: str) -> None:
    """Draw values in per cent as a curve, with a band where there is an interval."""
    axes.plot(x, 100 * rows["value"], label=label, markersize=4, **look)
    axes.fill_between(x, 100 * rows["low"], 100 * rows["high"], color=look["color"], alpha=0.1, linewidth=0)


def scale_by_root(axes: "Axes", rows: pl.DataFrame, words: Wording, ticks: tuple[float, ...] = TICKS) -> None:
    """Scale both axes by their square root: most risks are small, and nought must be on the scale."""
    highest = 100 * max(find_highest(rows[name]) for name in ("mean_risk", "observed", "high"))
    end = min(100.0, max(1.0, 1.05 * highest))
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("function", functions=(lambda x: abs(x) ** 0.5, lambda x: x**2))
    axes.plot([0, end], [0, end], color=SOFT, linestyle="--", linewidth=1, label=words["axis"]["perfect"])
    shown = [tick for tick in ticks if tick <= end]
    for name in ("x", "y"):
        getattr(axes, f"set_{name}lim")(0, end)
        getattr(axes, f"set_{name}ticks")(shown, [words.tick(tick) for tick in shown])


def find_highest(numbers: pl.Series) -> float:
    """Find the highest number; nought if there is none."""
    return max(numbers.drop_nulls().to_list(), default=0.0)
