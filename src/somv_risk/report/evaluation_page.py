"""Evaluation page: one self-contained HTML page, first for a manager, then in detail for an evaluator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import polars as pl
from markupsafe import Markup

from somv_risk.report.checklists import PROBAST, TRIPOD, answer, render_probast, render_tripod
from somv_risk.report.evaluation_figures import render_figure
from somv_risk.report.evaluation_opening import build_opening, say_limits
from somv_risk.report.evaluation_tables import ReadTable, Section, lay_out, load_sections
from somv_risk.report.findings import Findings
from somv_risk.report.group_figures import SHOWN_GROUPS, count_groups
from somv_risk.report.pages import find_tables, load_template, write_page
from somv_risk.report.wording import Wording, load_wording

TRIPOD_FILE: Final = "TRIPOD-AI.md"
PROBAST_FILE: Final = "PROBAST-AI.md"
# Why a table may be absent; the others are made whenever an index time can be judged.
WHY_ABSENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "turnover": "one_time",
        "rolling_origin": "absent",
        "places_left_out": "absent",
        "list_stability": "absent",
        "explanations": "absent",
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """What the page shows of one section of the details; no table where the run was not asked for it."""

    section: Section
    table: ReadTable | None
    figures: tuple[tuple[Markup, str], ...] = ()
    absent: str = ""


def write_evaluation(
    facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame], path: str | Path, language: str = "en"
) -> Path:
    """Write the page, every table as CSV in `<stem>-tables/` beside it, and the two checklists.

    Raises
    ------
    ConfigError
        If the page has no texts in the language.
    InputError
        If a table lacks a column.
    SourceError
        If the folder cannot be written.
    """
    page, tables = Path(path), Findings(facts, tables).tables
    html = render_evaluation(facts, tables, language, folder=find_tables(page).name)
    checklists = {
        TRIPOD_FILE: render_tripod(facts, tables),
        PROBAST_FILE: render_probast(facts, tables),
    }
    write_page("The evaluation", page, html, tables, checklists)
    return page


def render_evaluation(
    facts: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    language: str = "en",
    *,
    folder: str | None = None,
) -> str:
    """Render the page without scripts and without anything to fetch.

    Parameters
    ----------
    facts, tables
        As an evaluation gives them. A table that is not there is said to be so.
    language
        Language of the page; notes of the tables and the checklists are printed as they are.
    folder
        Where the tables lie as CSV, relative to the page, which then links to them.

    Raises
    ------
    ConfigError
        If the page has no texts in the language.
    InputError
        If a table lacks a column.
    """
    words = load_wording(language)
    findings = Findings(facts, tables)
    return load_template("evaluation.html.jinja").render(
        facts=facts,
        findings=findings,
        folder=None if folder is None else quote(folder),
        limits=say_limits(facts["is_simulated"], words),
        opening=build_opening(findings, words),
        opening_figure=Markup(render_figure("opening", findings, words)),  # noqa: S704 - our own drawing
        parts=tuple(_build_parts(findings, words)),
        probast=answer(PROBAST, facts, tables),
        run=tuple(_state_run(facts, words)),
        tripod=answer(TRIPOD, facts, tables),
        words=words,
    )


def _build_parts(findings: Findings, words: Wording) -> Iterator[Part]:
    for section in load_sections():
        if section.table not in findings.tables:
            yield Part(section, None, absent=words[WHY_ABSENT.get(section.table, "not_made")])
            continue
        figures = tuple(
            # The drawings are our own and escape the names in them.
            (Markup(svg), _caption(name, findings, words))  # noqa: S704
            for name in section.figures
            if (svg := render_figure(name, findings, words))
        )
        yield Part(section, lay_out(section, findings, words), figures)


def _caption(name: str, findings: Findings, words: Wording) -> str:
    """Write what a figure shows, and that it leaves out groups if it does."""
    caption, groups = str(words["figure"][name]), count_groups(name, findings)
    limit = words["group_limit"].format(shown=SHOWN_GROUPS, all=groups)
    return f"{caption} {limit}" if groups > SHOWN_GROUPS else caption


def _state_run(facts: Mapping[str, Any], words: Wording) -> Iterator[tuple[str, str]]:
    names, training, histories = words["run_facts"], facts["training"], facts["histories"]
    moments = [time for times in training["index_times"].values() for time in times]
    libraries = {**training["libraries"], **facts["libraries"]}
    yield names["model"], facts["model_hash"]
    yield names["target"], f"{facts['target']['name']}: {words.outcome(facts['target'])}"
    yield names["index_times"], ", ".join(words.date(time) for time in facts["index_times"])
    yield names["persons"], names.get(f"persons_{facts.get('persons')}", names["none"])
    yield names["trained"], ", ".join(words.date(time) for time in moments)
    yield names["data"], training["data_hash"]
    yield names["data_end"], words.date(histories["data_end"]) if histories["data_end"] else names["none"]
    yield names["tables"], ", ".join(histories["tables"])
    if told := " ".join(one["sentence"] for one in facts.get("warnings", ())):
        yield names["warnings"], told
    yield names["absent"], ", ".join(histories["absent"]) or names["none"]
    yield names["features"], words.number(facts["features"])
    yield names["libraries"], ", ".join(f"{name} {number}" for name, number in libraries.items())
