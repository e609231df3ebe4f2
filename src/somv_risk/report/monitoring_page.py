"""Monitoring page: one self-contained HTML page, what is beyond its limit first and the figures after it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import polars as pl
from markupsafe import Markup

from somv_risk.report.evaluation_opening import say_limits
from somv_risk.report.evaluation_tables import Cell, Notes
from somv_risk.report.monitoring_figures import render_monitoring_figure
from somv_risk.report.pages import find_tables, load_template, write_page
from somv_risk.report.wording import ABSENT, Wording, load_wording
from somv_risk.toml import load_packaged

SHOWN_ALARMS: Final = 30


@dataclass(frozen=True, slots=True)
class MonitoringSection:
    """One row of `monitoring_sections.toml`."""

    id: str
    table: str
    names: tuple[str, ...]
    show: Mapping[str, str]
    limit: int = 60
    figure: str | None = None


@dataclass(frozen=True, slots=True)
class MonitoringPart:
    """What the page shows of one section; a row is its names and its cells."""

    section: MonitoringSection
    rows: Sequence[tuple[Sequence[str], Sequence[Cell]]]
    all: int
    figure: Markup | None
    nothing: str
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def write_monitoring(
    facts: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    alarms: Sequence[str],
    path: str | Path,
    language: str = "en",
) -> Path:
    """Write the page, and every table as CSV in `<stem>-tables/` beside it.

    Raises
    ------
    ConfigError
        If the page has no texts in the language.
    SourceError
        If the folder cannot be written.
    """
    page = Path(path)
    html = render_monitoring(facts, tables, alarms, language, folder=find_tables(page).name)
    write_page("The monitoring", page, html, tables)
    return page


def render_monitoring(
    facts: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    alarms: Sequence[str],
    language: str = "en",
    *,
    folder: str | None = None,
) -> str:
    """Render the page without scripts and without anything to fetch.

    Parameters
    ----------
    alarms
        One sentence each, in the language of the page.
    folder
        Where the tables lie as CSV, relative to the page, which then links to them.
    """
    words = load_monitoring_wording(language)
    return load_template("monitoring.html.jinja").render(
        alarms=alarms[:SHOWN_ALARMS],
        all_alarms=len(alarms),
        facts=facts,
        folder=None if folder is None else quote(folder),
        lead=_say_lead(len(alarms), words),
        limit=say_limits(facts["is_simulated"], words)[0],
        compared=_say_compared(facts, words),
        parts=tuple(_build_part(section, tables, words) for section in load_monitoring_sections()),
        run=tuple(_state_run(facts, words)),
        words=words,
    )


def load_monitoring_wording(language: str) -> Wording:
    """Load the words of the page: those of the evaluation page, with its own put over them.

    Raises
    ------
    ConfigError
        If there are no texts in that language.
    """
    base, own = load_wording(language), _read("monitoring_texts.toml")[language]
    merged = {
        key: {**base.texts.get(key, {}), **texts} if isinstance(texts, dict) else texts
        for key, texts in own.items()
    }
    return Wording(language, {**base.texts, **merged})


@cache
def load_monitoring_sections() -> tuple[MonitoringSection, ...]:
    """Load how the page is laid out, in its order."""
    rows = _read("monitoring_sections.toml")["sections"]
    return tuple(MonitoringSection(**{**row, "names": tuple(row["names"])}) for row in rows)


@cache
def _read(name: str) -> dict[str, Any]:
    return load_packaged("somv_risk.report", name)


def _say_lead(alarms: int, words: Wording) -> str:
    if alarms == 1:
        return str(words["one_alarm"])
    return str(words["alarms"]).format(count=words.number(alarms)) if alarms else str(words["no_alarm"])


def _say_compared(facts: Mapping[str, Any], words: Wording) -> str:
    return str(words["compared"]).format(
        persons=words.number(facts["persons"]),
        date=words.date(facts["index_time"]),
        reference=words.number(facts["reference"]["persons"]),
        then=words.date(facts["reference"]["index_time"]),
    )


def _build_part(
    section: MonitoringSection, tables: Mapping[str, pl.DataFrame], words: Wording
) -> MonitoringPart:
    chosen = choose_rows(section, tables[section.table])
    notes = Notes(words)
    rows = [_read_row(section, row, words, notes) for row in chosen.head(section.limit).iter_rows(named=True)]
    svg = "" if section.figure is None else render_monitoring_figure(section.figure, tables, words)
    nothing = {"volumes": "no_week", "calibration": "no_earlier", "turnover": "no_earlier"}
    return MonitoringPart(
        section=section,
        rows=rows,
        all=chosen.height,
        figure=Markup(svg) if svg else None,  # noqa: S704 - our own drawing
        nothing=words[nothing.get(section.id, "empty")],
        notes={letter: note for note, letter in notes.letters.items()},
    )


def choose_rows(section: MonitoringSection, table: pl.DataFrame) -> pl.DataFrame:
    """Choose what is worth reading: weeks out of the ordinary, columns that moved most, the model itself."""
    if section.id == "volumes":
        return table.filter(pl.col("verdict") != "usual").sort("week", descending=True, maintain_order=True)
    if section.id == "columns":
        moved = (pl.col("null_share") - pl.col("reference_null_share")).abs()
        return table.filter(moved > 0).sort(moved, descending=True, maintain_order=True)
    if section.id == "features":
        last = {"drift": 0, "empty": 0, "small": 1, "same": 1, "cut": 2}
        place = pl.col("verdict").replace_strict(last, default=3, return_dtype=pl.Int8)
        return table.sort(place, maintain_order=True)
    if section.id == "calibration":
        return table.filter(pl.col("ranking").is_null() | (pl.col("ranking") == "model"))
    return table


def _read_row(
    section: MonitoringSection, row: Mapping[str, Any], words: Wording, notes: Notes
) -> tuple[list[str], list[Cell]]:
    mark = notes.mark(row.get("note"))
    names = [_name(column, row[column], words) for column in section.names]
    cells = [Cell(words.quantity(row[column], style)) for column, style in section.show.items()]
    first = Cell(cells[0].text, mark=mark) if cells else Cell("", mark=mark)
    return names, [first, *cells[1:]]


def _name(column: str, value: object, words: Wording) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, datetime):
        return words.date(value)
    if column == "capacity":
        return words.capacity(str(value))
    # Names of tables, columns and features are those of the delivery and the CSV, in every language.
    is_worded = column in ("status", "by", "verdict", "measure", "metric", "judged_on")
    return words.name(column, value) if is_worded else str(value)


def _state_run(facts: Mapping[str, Any], words: Wording) -> Iterator[tuple[str, str]]:
    names, histories = words["run_facts"], facts["histories"]
    yield names["model"], facts["model_hash"]
    yield names["index_time"], words.date(facts["index_time"])
    yield names["earlier"], ", ".join(words.date(time) for time in facts["earlier"]) or names["none"]
    yield names["reference"], words.date(facts["reference"]["index_time"])
    yield names["data_end"], words.date(histories["data_end"]) if histories["data_end"] else names["none"]
    if told := " ".join(one["sentence"] for one in facts.get("warnings", ())):
        yield names["warnings"], told
    yield names["absent"], ", ".join(histories["absent"]) or names["none"]
    yield names["libraries"], ", ".join(f"{name} {number}" for name, number in facts["libraries"].items())
