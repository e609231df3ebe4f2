"""The record of a view: all that is known of one kind of events, and the ways in which views are built."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

import numpy as np

from somv_risk.features._events import Array, Events
from somv_risk.features._kinds import Extent, ValueKind
from somv_risk.features._loops import Mask, find_before, find_new, join_spells
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Seen, Timeline

Build = Callable[[Timeline], Events]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the events of a view come from.

    An event is one row of the table, or where `is_joined` all rows that lie in it. Rows are joined if the
    column `text` says the same of them, or any of the texts in `only`. `code` is the column of the
    diagnosis, if an event takes nothing else of the row: one of any of `groups`, if there are some.
    """

    table: str
    is_joined: bool = False
    text: str | None = None
    only: tuple[str, ...] = ()
    code: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """One kind of events, and what one may ask of it.

    Parameters
    ----------
    build
        Builds the events from the rows as they were known. Its docstring opens the view's part of the
        feature page.
    tables, also
        Tables without which nothing can be said; tables that are read where they are present.
    extent
        How the events lie in time, which decides the measures that can be taken of them.
    flags, texts
        What one can ask for in `where` and `of`, and in `match`.
    values
        What can be measured, each with its kind.
    sources
        The rows of the tables that an event is made of.
    version
        Raised whenever the same rows come to give other events.
    """

    build: Build
    tables: tuple[str, ...]
    extent: Extent
    flags: tuple[str, ...] = ()
    values: Mapping[str, ValueKind] = field(default_factory=lambda: MappingProxyType({}))
    texts: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    version: int = 1


def build_once(build: Build, timeline: Timeline) -> Events:
    """Build the events of a view, once for each time line."""
    if build not in timeline.views:
        timeline.views[build] = build(timeline)
    events: Events = timeline.views[build]
    return events


def make_events(
    seen: Seen,
    timeline: Timeline,
    *,
    flags: Mapping[str, Mask] | None = None,
    values: Mapping[str, Array] | None = None,
    coded: Mapping[str, Coded] | None = None,
) -> Events:
    """Make each row seen an event."""
    return Events(
        timeline.size, seen.moment, seen.start_age, seen.end_age, flags=flags, values=values, coded=coded
    )


def join_events(
    seen: Seen,
    timeline: Timeline,
    by: str | None = None,
    flag: Callable[[Coded, Array], dict[str, Mask]] | None = None,
) -> Events:
    """Join overlapping and adjoining events (of one text); a spell is open if any of them is.

    `flag` is given the text of each spell and the spell before it in the same moment.
    """
    coded = seen.get(by) if by else Coded(np.zeros(len(seen), dtype=np.int32), ("",))
    _, first, farthest = join_spells(seen.moment, coded.codes, len(coded), seen.start_age, seen.end_age, 0)
    moment, text = seen.moment[first], coded.take(first)
    before = find_before(moment, np.ones(len(moment), dtype=np.bool_))
    return Events(
        timeline.size,
        moment,
        seen.start_age[first],
        seen.end_age[farthest],
        flags=flag(text, before) if flag else {},
        coded={by: text} if by else {},
    )


def take_times(events: Seen | Events, rows: Array) -> dict[str, Array]:
    """Take the moments and ages of some events, as columns that others can be put beside."""
    return {
        "moment": events.moment[rows],
        "start_age": events.start_age[rows],
        "end_age": events.end_age[rows],
    }


def concatenate(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Put the columns of events of several kinds together, one kind after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def flag_values(coded: Coded, values: tuple[str, ...]) -> dict[str, Mask]:
    """Flag which events have each of the values."""
    return {value: coded.are(value) for value in values}


def flag_new(seen: Seen, coded: Coded) -> Mask:
    """Flag the events that are the first with their text, and later than the first with any."""
    return find_new(seen.moment, coded.codes, len(coded), seen.start_age)


def to_microseconds(duration: timedelta) -> int:
    """Return a duration as microseconds."""
    return duration // timedelta(microseconds=1)
