"""Page: how a made-up region compares with published figures, as Markdown with plots."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.simulate.measures import Measurements
from somv_risk.simulate.plots import render_plots
from somv_risk.simulate.targets import VERDICTS

PAGE_FILE: Final = "simulation.md"
PLOT_FOLDER: Final = "simulation"
CHECK_FILE: Final = "check.csv"

INTRODUCTION: Final = """\
# The made-up region beside published figures

The region is made up: none of its persons exists. This page holds the figures of one made-up region against
published ones. They show that the simulator has the right shape. They prove nothing about real people, and a
model that does well on this region has proved that it works as a program, not that it is valid in a hospital.

A figure is *within* if it lies in its band, and *off* if not. A band's width follows from what kind of figure was
published, not from what the simulator gives. Figures that are off are shown like the others; behind ± stands the
standard error."""

STATUSES: Final = {
    "sourced": "a Danish figure",
    "derived": "worked out from published figures, or the shape of another country",
    "assumed": "a usual value without a source",
}
CAPTIONS: Final = {
    "admissions": "Residents with at least so many acute somatic admissions in a year, and the published shares.",
    "persistence": "Who has 3 or more acute admissions again in a later year. Lines: 95 % intervals.",
    "bed_days": "Concentration of bed days. The published points are of costs, which are spread more evenly.",
    "ages": "Population and acute admissions by age and sex. Lines: 95 % intervals.",
    "benefits": "Residents on public support by municipality. Lines: 95 % intervals.",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was simulated: how many persons, from which day until before which, and how to repeat it."""

    persons: int
    seed: int
    start: date
    end: date
    command: str


def write_report(
    folder: str | Path,
    comparison: pl.DataFrame,
    measurements: Measurements,
    facts: RunFacts,
    *,
    difficulty: pl.DataFrame | None = None,
) -> Path:
    """Write `simulation.md`, `simulation/*.svg` and `simulation/check.csv`; return the page's path.

    Raises
    ------
    SourceError
        If the folder cannot be written.
    """
    page = Path(folder) / PAGE_FILE
    beside = Path(folder) / PLOT_FOLDER
    try:
        beside.mkdir(parents=True, exist_ok=True)
        for name, svg in render_plots(comparison, measurements).items():
            (beside / f"{name}.svg").write_text(svg, encoding="utf-8")
        comparison.write_csv(beside / CHECK_FILE)
        page.write_text(render_page(comparison, measurements, facts, difficulty=difficulty), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"Folder {folder} cannot be written ({error.strerror}). Choose another.") from None
    return page


def render_page(
    comparison: pl.DataFrame,
    measurements: Measurements,
    facts: RunFacts,
    *,
    difficulty: pl.DataFrame | None = None,
) -> str:
    """Render the page as Markdown.

    Parameters
    ----------
    comparison
        As `compare` returns it.
    measurements
        What the figures were computed from.
    facts
        What was simulated.
    difficulty
        How well persons can be ranked in this region: `ranking`, `metric`, `value`, `low`, `high` (null
        without a band) and perhaps `standard_error`. Without it the page has no such section.
    """
    sources = list(dict.fromkeys(comparison["source"]))
    parts = [
        INTRODUCTION,
        _render_facts(facts, measurements),
        _render_summary(comparison),
        _render_plots(),
        "## Figure by figure",
        *_render_subjects(comparison, sources),
        *([] if difficulty is None else [_render_difficulty(difficulty)]),
        _render_sources(sources),
    ]
    return "\n\n".join(parts) + "\n"


def _render_facts(facts: RunFacts, measurements: Measurements) -> str:
    years = measurements.sums.row(by_predicate=pl.col("figure") == "male_share", named=True)["x"]
    rows = [
        ("persons who ever live there", f"{facts.persons:,}"),
        ("years of residence that are counted", f"{years:,.0f}"),
        ("period", f"{facts.start} until before {facts.end}"),
        ("seed", str(facts.seed)),
        ("made with", f"`{facts.command}`"),
    ]
    return "## The run\n\n" + _render_table(("", ""), rows)


def _render_summary(comparison: pl.DataFrame) -> str:
    rows = []
    for status, meaning in STATUSES.items():
        own = comparison.filter(status=status)["verdict"].to_list()
        rows.append((f"{status}: {meaning}", *(str(own.count(verdict)) for verdict in VERDICTS)))
    everything = comparison["verdict"].to_list()
    rows.append(("together", *(str(everything.count(verdict)) for verdict in VERDICTS)))
    return "## In short\n\n" + _render_table(("figures that are", *VERDICTS), rows)


def _render_plots() -> str:
    images = [f"![{caption}]({PLOT_FOLDER}/{name}.svg)\n\n*{caption}*" for name, caption in CAPTIONS.items()]
    return "## In pictures\n\n" + "\n\n".join(images)


def _render_subjects(comparison: pl.DataFrame, sources: list[str]) -> Iterator[str]:
    header = ("figure", "published", "band", "made-up region", "verdict", "status", "source")
    for (subject,), rows in comparison.group_by("subject", maintain_order=True):
        cells = [_render_figure(row, sources.index(row["source"]) + 1) for row in rows.iter_rows(named=True)]
        table = _render_table(header, cells)
        notes = [
            f"- *{title}*: {note}" for title, note in rows.drop_nulls("note").select("title", "note").rows()
        ]
        yield "\n\n".join([f"### {str(subject).capitalize()}", table, *(["\n".join(notes)] if notes else [])])


def _render_figure(row: dict[str, object], source: int) -> tuple[str, ...]:
    unit = str(row["unit"])
    title = row["title"] if unit in ("share", "ratio") else f"{row['title']}, {unit}"
    band = f"{_show(row['low'], unit)} to {_show(row['high'], unit)}"
    observed = "" if row["observed"] is None else _show(row["observed"], unit)
    error = "" if row["standard_error"] is None else f" ± {_show(row['standard_error'], unit, digits=2)}"
    verdict = "**off**" if row["verdict"] == "off" else str(row["verdict"])
    return (
        *(str(title), _show(row["target"], unit), band, observed + error),
        *(verdict, str(row["status"]), f"[{source}]"),
    )


def _render_difficulty(difficulty: pl.DataFrame) -> str:
    rows = [
        (str(row["ranking"]), str(row["metric"]), *_render_metric(row))
        for row in difficulty.iter_rows(named=True)
    ]
    text = (
        "How well persons can be ranked in this region, held against what is seen in real registers. A region "
        "in which it is much easier has given something away."
    )
    table = _render_table(("ranking", "metric", "made-up region", "plausible", "verdict"), rows)
    return f"## Difficulty\n\n{text}\n\n{table}"


def _render_metric(row: dict[str, object]) -> tuple[str, str, str]:
    value, low, high = row["value"], row["low"], row["high"]
    error = row.get("standard_error")
    shown = _show(value, "") + ("" if error is None else f" ± {_show(error, '', digits=2)}")
    if not isinstance(value, float) or not isinstance(low, float) or not isinstance(high, float):
        return shown, "", ""
    return shown, f"{_show(low, '')} to {_show(high, '')}", "within" if low <= value <= high else "**off**"


def _render_sources(sources: list[str]) -> str:
    return "## Sources\n\n" + "\n".join(
        f"{number}. {source}" for number, source in enumerate(sources, start=1)
    )


def _render_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _show(value: object, unit: str, *, digits: int = 3) -> str:
    """Show a number with so many significant digits, a share in per cent."""
    if not isinstance(value, float):
        return ""
    number = 100 * value if unit == "share" else value
    text = f"{number:.{digits}g}" if abs(number) < 1000 else f"{number:,.0f}"
    plain = f"{float(text):.7f}".rstrip("0").rstrip(".") if "e" in text else text
    return f"{plain} %" if unit == "share" else plain
