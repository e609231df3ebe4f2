"""Timeline picture: one person's last two years as an SVG that stands on its own, with its legend."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from somv_risk.registers.schema import INDEX_TIME
from somv_risk.report import timeline
from somv_risk.report.pages import load_template
from somv_risk.report.timeline import MARKS, Timeline, build_timelines
from somv_risk.report.worklist_page import Language, load_language


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign in the legend: how it is drawn, how far below 0 its middle lies, and what it says."""

    kind: str
    path: str
    middle: float
    text: str


def render_timeline(row: pl.DataFrame, events: pl.DataFrame, *, language: str = "da") -> str:
    """Render the timeline of one person as SVG.

    Parameters
    ----------
    row
        One row of `person_id`, `index_time`.
    events
        As `render_worklist` takes them.

    Raises
    ------
    ConfigError
        If the language is not known.
    InputError
        If an event has a category without a lane.
    """
    words = load_language(language)
    (line,) = build_timelines(row, events)
    moment: datetime = row[INDEX_TIME].item()
    return load_template("timeline.svg.jinja").render(
        language=words,
        line=line,
        moment=moment,
        signs=list(_list_signs(line, words)),
        timeline=timeline,
        title=words.texts["index_date"].format(date=words.format_date(moment)),
        words=words.texts,
    )


def _list_signs(line: Timeline, language: Language) -> Iterator[Sign]:
    """List the signs that occur, with how often they do."""
    for category, count in line.counts.items():
        mark = MARKS[category]
        yield Sign(category, mark.sample, mark.y + mark.height / 2, language.format_category(category, count))
    if line.unfinished_count:
        text = language.format_count("unfinished_events", line.unfinished_count)
        yield Sign("unfinished", "M-20 1h14l-7 11z", 6, text)
    if line.open:
        yield Sign("open", "M-18 0l10 7l-10 7z", 7, language.texts["legend_open"])
