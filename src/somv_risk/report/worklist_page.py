"""Worklist page: one self-contained HTML page that staff read on screen and on paper."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import ceil, floor
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.errors import ConfigError, InputError
from somv_risk.registers.schema import INDEX_TIME, MUNICIPALITY, PERSON_ID, SEX
from somv_risk.report import timeline
from somv_risk.report.pages import load_template
from somv_risk.report.timeline import PlacedEvent, Timeline, build_timelines
from somv_risk.scoring.reasons import DateWords, format_span, load_texts
from somv_risk.toml import load_packaged

REQUIRED_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "scores": (
            PERSON_ID,
            INDEX_TIME,
            "risk",
            "percentile",
            "rank",
            "known_or_new",
            "reasons",
            "unfinished_risk",
            "warnings",
        ),
        "events": timeline.EVENT_COLUMNS,
        "persons": (PERSON_ID, "age_years", SEX, MUNICIPALITY),
    }
)


@dataclass(frozen=True, slots=True)
class Language:
    """The words of the page in one language, and how that language writes numbers and dates."""

    code: str
    texts: Mapping[str, Any]
    dates: DateWords
    marks: Mapping[str, str]

    def format_count(self, text: str, count: int) -> str:
        """Write a counted thing, such as ``1 ny`` or ``3 nye``."""
        return str(self.texts[text]["one" if count == 1 else "other"]).format(count=count)

    def format_category(self, category: str, count: int) -> str:
        """Write how many events of a category there are."""
        return f"{count}\u00a0{self.texts['category'][category]['one' if count == 1 else 'other']}"

    def format_percent(self, percent: float, decimals: int = 0) -> str:
        """Write a percentage."""
        return str(self.texts["percent"]).format(number=self._format_decimal(percent, decimals))

    def format_risk(self, risk: float) -> str:
        """Write a risk between 0 and 1 as a percentage that never claims certainty.

        Examples
        --------
        >>> load_language("en").format_risk(0.384), load_language("en").format_risk(0.0421)
        ('38%', '4.2%')
        """
        percent = 100 * risk
        if percent < 0.1:
            return str(self.texts["percent_below"]).format(number=self._format_decimal(0.1, 1))
        if percent > 99:
            return str(self.texts["percent_above"]).format(number=99)
        return self.format_percent(percent, decimals=1 if percent < 9.95 else 0)

    def format_standing(self, percentile: float) -> str:
        """Write where a percentile lies: among the few highest, or higher than so many.

        Examples
        --------
        >>> load_language("en").format_standing(99.3)
        'among the 1% with the highest risk'
        """
        above = 100 - percentile
        if above > 50:
            return str(self.texts["standing_low"]).format(share=self.format_percent(floor(percentile)))
        share = self.format_percent(0.1, 1) if above <= 0.1 else self.format_percent(ceil(round(above, 6)))
        return str(self.texts["standing_high"]).format(share=share)

    def format_date(self, moment: date) -> str:
        """Write a date in full, such as ``3. oktober 2026``."""
        return self.dates.format_date(moment)

    def format_span(self, event: PlacedEvent) -> str:
        """Write from when to when an event lasted, as far as it is known."""
        words = {"since": self.texts["span_open"], "span": self.texts["span"]}
        return format_span(event.started_at, event.ended_at, self.dates.format_short_date, words)

    def format_month(self, first: date) -> str:
        """Write a month and its year, for the axis."""
        month = self.dates.months_short[first.month - 1]
        return str(self.texts["axis_month"]).format(month=month, year=first.year)

    def _format_decimal(self, number: float, decimals: int) -> str:
        return f"{number:.{decimals}f}".replace(".", self.texts["decimal_mark"])


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one person: the row of the worklist and the timeline."""

    row: Mapping[str, Any]
    timeline: Timeline


def render_worklist(
    scores: pl.DataFrame,
    events: pl.DataFrame,
    persons: pl.DataFrame,
    *,
    title: str,
    risk_meaning: str,
    language: str = "da",
    notes: Sequence[str] = (),
) -> str:
    """Render the worklist as one HTML page without scripts and without anything to fetch.

    Parameters
    ----------
    scores
        The rows to show, in the order to show them, as `score` returns them.
    events
        What the timelines show, one row per event: `person_id`, `started_at`, `ended_at`, `category`
        (see `timeline.MARKS`) and `unfinished`. A null end is a point, or for something that lasts, still
        open. What starts at or after the index is left out; an end that lies there is not shown.
    persons
        One row per person: `person_id`, `age_years`, `sex`, `municipality`.
    title
        Heading of the page.
    risk_meaning
        One sentence in the page's language: what the risk is the probability of.
    language
        Language of the page's own words; titles, notes and reasons are printed as given.
    notes
        Sentences printed at the top, such as what the figures do not prove.

    Raises
    ------
    ConfigError
        If the language is not known.
    InputError
        If a table lacks a column, or an event has a category without a lane.
    """
    words = load_language(language)
    for table, frame in {"scores": scores, "events": events, "persons": persons}.items():
        check_columns(table, frame)
    return load_template("worklist.html.jinja").render(
        cards=tuple(_build_cards(scores, events, persons)),
        index_times=scores[INDEX_TIME].unique().sort().to_list(),
        known_count=(scores["known_or_new"] == "known").sum(),
        language=words,
        new_count=(scores["known_or_new"] == "new").sum(),
        notes=notes,
        risk_meaning=risk_meaning,
        timeline=timeline,
        title=title,
        words=words.texts,
    )


def load_language(code: str) -> Language:
    """Load the words of one language."""
    languages = _read_texts()
    if code not in languages:
        raise ConfigError(
            f"The page has no texts in the language {code!r}. Use one of: {', '.join(sorted(languages))}."
        )
    words = load_texts(code)
    return Language(code, languages[code], words.dates, words.marks)


def check_columns(table: str, frame: pl.DataFrame) -> None:
    """Check that a table of the page has the columns the page shows."""
    missing = [column for column in REQUIRED_COLUMNS[table] if column not in frame.columns]
    if missing:
        raise InputError(f"`{table}` lacks {', '.join(missing)}. Add them; null is allowed where unknown.")


def _build_cards(scores: pl.DataFrame, events: pl.DataFrame, persons: pl.DataFrame) -> Iterator[Card]:
    about = persons.select(REQUIRED_COLUMNS["persons"]).with_columns(pl.col(SEX).cast(pl.String))
    shown = scores.select(REQUIRED_COLUMNS["scores"])
    rows = shown.join(about, on=PERSON_ID, how="left", validate="m:1", maintain_order="left")
    timelines = build_timelines(scores, events)
    return (Card(row, line) for row, line in zip(rows.iter_rows(named=True), timelines, strict=True))


@cache
def _read_texts() -> dict[str, dict[str, Any]]:
    return load_packaged("somv_risk.report", "texts.toml")
