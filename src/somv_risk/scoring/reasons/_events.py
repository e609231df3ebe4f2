"""Events in words: how those behind a reason are listed, in every language and wherever they are read."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import polars as pl

from somv_risk.features import EVENTS
from somv_risk.registers import schema as s
from somv_risk.scoring.reasons._texts import load_texts

SHOWN_EVENTS: Final = 5
MARGIN: Final = " " * 9


def format_events(events: pl.DataFrame, language: str, *, label: str | None = None) -> list[str]:
    """Format the latest events, a line each, and how many more there are.

    Parameters
    ----------
    events
        Rows of `events` (the kind of event), `started_at`, `ended_at`, as evidence has them.
    label
        What to say before each, if anything.

    Raises
    ------
    ConfigError
        If there are no texts in that language.
    """
    lines = [format_event(event, language) for event in events.head(SHOWN_EVENTS).iter_rows(named=True)]
    more = events.height - len(lines)
    told = [*lines, load_texts(language).evidence["more"].format(n=more)] if more else lines
    return [f"{MARGIN}{line}" if label is None else f"{MARGIN}{label}: {line}" for line in told]


def format_event(event: Mapping[str, Any], language: str) -> str:
    """Format one event: what kind it is, when it started, and when it ended unless that is not known."""
    texts = load_texts(language)
    span = format_span(event[s.STARTED_AT], event[s.ENDED_AT], texts.dates.format_moment, texts.evidence)
    return f"{texts.events[event[EVENTS]]}: {span}"


def format_span(
    start: datetime, end: datetime | None, format_moment: Callable[[datetime], str], words: Mapping[str, str]
) -> str:
    """Format from when to when an event lasted, as far as it is known; one moment where both read the same.

    Parameters
    ----------
    format_moment
        How a start or an end is written.
    words
        The texts `since` and `span`.
    """
    first = format_moment(start)
    if end is None:
        return words["since"].format(start=first)
    last = format_moment(end)
    return first if first == last else words["span"].format(start=first, end=last)
