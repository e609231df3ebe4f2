"""Warnings: what a reader of a score must know about the data behind it, for all scores or for one person."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from somv_risk.scoring.reasons._texts import load_texts
from somv_risk.toml import load_packaged


@cache
def _load() -> dict[str, Any]:
    return load_packaged("somv_risk.scoring.reasons", "warnings.toml")


def render_warnings(
    absent: Iterable[str],
    index_time: datetime,
    data_end: datetime | None,
    *,
    changed: int = 0,
    last_event: datetime | None = None,
    language: str,
) -> list[str]:
    """Write the warnings that hold for every score of a call.

    Parameters
    ----------
    absent
        Tables the model was trained with that these histories lack.
    data_end
        Moment at which the data end, if known.
    changed
        How many features count something else than when the model was trained.
    last_event
        The last event, if it is long past and nothing says where the data end.
    """
    texts = _load()[language]
    names = [texts["tables"][table] for table in absent]
    return [
        *([texts["absent_tables"].format(tables=", ".join(names))] if names else []),
        *([render_note("other_definitions", changed, language=language)] if changed else []),
        *_tell_data_end(texts["data_ended"], index_time, data_end, language),
        *_tell_data_end(texts["last_event"], index_time, last_event, language),
    ]


def render_note(name: str, count: int, *, language: str) -> str:
    """Write a note about one person that has a count, in the form for one or for several.

    Parameters
    ----------
    name
        Which texts of warnings.toml: `one`, and `many` with the place `{count}`.
    """
    forms = _load()[language][name]
    words = load_texts(language).numbers
    return str(forms["one"] if count == 1 else forms["many"].format(count=words.format_number(count)))


def _tell_data_end(
    template: str, index_time: datetime, data_end: datetime | None, language: str
) -> list[str]:
    """Tell when the data ended, or had a last event, if that is a day or more before the index."""
    if data_end is None or index_time - data_end < timedelta(days=1):
        return []
    words, days = load_texts(language), (index_time - data_end).days
    told = template.format(date=words.dates.format_date(data_end), days=words.numbers.format_days(days))
    return [told]
