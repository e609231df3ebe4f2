"""Page: how a made-up region compares with published figures, as Markdown with plots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from string import ascii_lowercase
from typing import Any, Final

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.simulate.measures import Measurements
from somv_risk.simulate.plan import FIRST_DAY, LAST_DAY, Plan
from somv_risk.simulate.plots import render_plots
from somv_risk.simulate.targets import VERDICTS, find_targets

PAGE_FILE: Final = "simulation.md"
PLOT_FOLDER: Final = "simulation"
CHECK_FILE: Final = "check.csv"

INTRODUCTION: Final = """\
# The made-up region beside published figures

The region is made up: none of its persons exists. This page holds the figures of one made-up region against
published ones. They show that the simulator has the right shape. They prove nothing about real people, and a
model that does well on this region has proved that it works as a program, not that it is valid in a hospital.

A figure is *within* if it lies in its band, *off* if not, and *uncertain* if it misses the band by less than
its sampling error, or if that error cannot be told because something happened to nobody or to everybody. A
band's width follows from what kind of figure was published, not from what the simulator gives. Figures that
are off are shown like the others; behind ± stands the standard error."""


STATUSES: Final = {
    "sourced": "a Danish figure",
    "derived": "worked out from published figures, or the shape of another country",
    "assumed": "a usual value without a source",
}
CAPTIONS: Final = {
    "admissions": "Residents with at least so many acute somatic admissions in a year.",
    "persistence": "Who has 3 or more acute admissions again in a later year. Lines: 95 % intervals.",
    "bed_days": "Concentration of bed days. The published points are of costs, which are spread more evenly.",
    "ages": "Population and acute admissions by age and sex. Lines: 95 % intervals.",
    "benefits": "Residents on public support by municipality. Lines: 95 % intervals.",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was simulated, and how to repeat it; without `targets`, those of `find_targets`."""

    plan: Plan
    difficulty: bool = False
    targets: Path | None = None

    @property
    def command(self) -> str:
        """The command that makes the same page, without what is as usual."""
        plan = self.plan
        has_own_targets = self.targets is not None and self.targets.resolve() != find_targets()
        options = [f"--persons {plan.persons}", f"--seed {plan.seed}", "--check"]
        options += ["--difficulty"] if self.difficulty else []
        options += [] if plan.period.start == FIRST_DAY else [f"--start {plan.period.start}"]
        options += [] if plan.period.end == LAST_DAY else [f"--end {plan.period.end}"]
        options += [f"--municipality {code}" for code in plan.municipalities or ()]
        options += [f"--targets {quote(str(self.targets))}"] if has_own_targets else []
        return f"somv-risk simulate {' '.join(options)}"


def make_report_folder(folder: str | Path) -> Path:
    """Make the folder of a report, before anything long is begun; return that of its plots.

    Raises
    ------
    SourceError
        If the folder cannot be made.
    """
    beside = Path(folder) / PLOT_FOLDER
    try:
        beside.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"Folder {folder} cannot be written ({reason}). Choose another.") from None
    return beside


def write_report(
    folder: str | Path,
    comparison: pl.DataFrame,
    measurements: Measurements,
    facts: RunFacts,
) -> Path:
    """Write `simulation.md`, `simulation/*.svg` and `simulation/check.csv`; return the page's path.

    Raises
    ------
    SourceError
        If the folder cannot be written.
    """
    page = Path(folder) / PAGE_FILE
    beside = make_report_folder(folder)
    try:
        for name, svg in render_plots(comparison, measurements).items():
            (beside / f"{name}.svg").write_text(svg, encoding="utf-8")
        comparison.write_csv(beside / CHECK_FILE)
        page.write_text(render_page(comparison, measurements, facts), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"Folder {folder} cannot be written ({error.strerror}). Choose another.") from None
    return page


def render_page(comparison: pl.DataFrame, measurements: Measurements, facts: RunFacts) -> str:
    """Render the page as Markdown.

    Parameters
    ----------
    comparison
        As `compare` returns it.
    measurements
        What the figures were computed from.
    facts
        What was simulated.
    """
    sources = list(dict.fromkeys(comparison["source"]))
    parts = [
        INTRODUCTION,
        _render_facts(facts, measurements),
        _render_summary(comparison),
        _render_plots(),
        "## Figure by figure",
        *_render_subjects(comparison, sources),
        _render_sources(sources),
    ]
    return "\n\n".join(parts) + "\n"


def _render_facts(facts: RunFacts, measurements: Measurements) -> str:
    years = measurements.sums.row(by_predicate=pl.col("figure") == "male_share", named=True)["x"]
    rows = [
        ("persons who ever live there", f"{facts.plan.persons:,}"),
        ("years of residence that are counted", f"{years:,.0f}"),
        ("period", f"{facts.plan.period.start} until before {facts.plan.period.end}"),
        ("seed", str(facts.plan.seed)),
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
        # A note is often the same for many figures, so each gets a letter.
        notes = dict(zip(dict.fromkeys(rows["note"].drop_nulls()), ascii_lowercase, strict=False))
        cells = [_render_figure(row, sources, notes) for row in rows.iter_rows(named=True)]
        listed = "\n".join(f"- ({letter}) {note}" for note, letter in notes.items())
        heading = f"### {str(subject).capitalize()}"
        yield "\n\n".join([heading, _render_table(header, cells), *([listed] if listed else [])])


def _render_figure(row: dict[str, Any], sources: list[str], notes: dict[str, str]) -> tuple[str, ...]:
    unit = row["unit"]
    title = row["title"] if unit in ("share", "ratio") else f"{row['title']}, {unit}"
    letter = "" if row["note"] is None else f" ({notes[row['note']]})"
    band = f"{_show(row['low'], unit)} to {_show(row['high'], unit)}"
    verdict = "**off**" if row["verdict"] == "off" else row["verdict"]
    return (
        *(f"{title}{letter}", _show(row["target"], unit), band, _show_measured(row, "observed", unit)),
        *(verdict, row["status"], f"[{sources.index(row['source']) + 1}]"),
    )


def _render_sources(sources: list[str]) -> str:
    return "## Sources\n\n" + "\n".join(
        f"{number}. {source}" for number, source in enumerate(sources, start=1)
    )


def _render_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _show_measured(row: dict[str, Any], column: str, unit: str) -> str:
    """Show a measured number with its standard error, if it has one."""
    error = row.get("standard_error")
    return _show(row[column], unit) + ("" if error is None else f" ± {_show(error, unit, digits=2)}")


def _show(value: float | None, unit: str, *, digits: int = 3) -> str:
    """Show a number with so many significant digits, a share in per cent."""
    if value is None:
        return ""
    number = 100 * value if unit == "share" else value
    text = f"{number:.{digits}g}" if abs(number) < 1000 else f"{number:,.0f}"
    plain = f"{float(text):.7f}".rstrip("0").rstrip(".") if "e" in text else text
    return f"{plain} %" if unit == "share" else plain
