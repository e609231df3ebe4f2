"""A plain builder of windows: each rule is a function, so that a test can put a wrong one in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from somv_risk.testing import Question

DAY = timedelta(days=1)
Event = dict[str, Any]
Span = tuple[datetime, datetime]


def read_events(events: pl.DataFrame) -> list[Event]:
    return events.to_dicts()


def is_of(event: Event, person: str) -> bool:
    return event["person_id"] == person


def is_known(event: Event, index: datetime) -> bool:
    return event["known_at"] is None or event["known_at"] < index


def look_back(index: datetime, question: Question, own: list[Event]) -> Span:  # noqa: ARG001  faults look at them
    return index - question.days * DAY, index - question.until_days * DAY


def look_ahead(index: datetime, question: Question) -> Span:
    return index, index + question.days * DAY


def lies_in(moment: datetime, span: Span) -> bool:
    return span[0] <= moment < span[1]


def clip(event: Event, window: Span) -> Span:
    return max(event["started_at"], window[0]), min(event["ended_at"] or window[1], window[1])


def cover_days(spans: list[Span]) -> float:
    """Add the length of each span that lies after the end of those before it."""
    covered, reached = timedelta(0), datetime.min
    for start, end in sorted(spans):
        covered += max(end - max(start, reached), timedelta(0))
        reached = max(reached, end)
    return covered / DAY


def find_latest(moments: list[datetime]) -> datetime | None:
    return max(moments, default=None)


def count_values(events: list[Event]) -> int:
    return len({event["value"] for event in events} - {None})


def decide(count: int, horizon: Span, question: Question) -> bool | None:
    if count >= question.at_least:
        return True
    return None if question.data_end < horizon[1] else False


def arrange(cohort: pl.DataFrame, answer_row: Callable[[str, datetime], Any]) -> list[Any]:
    return [answer_row(person, index) for person, index in cohort.iter_rows()]


@dataclass(frozen=True)
class PlainBuilder:
    """Right as it is; `replace` one of its rules to plant a fault."""

    read_events: Callable = read_events
    is_of: Callable = is_of
    is_known: Callable = is_known
    look_back: Callable = look_back
    look_ahead: Callable = look_ahead
    lies_in: Callable = lies_in
    clip: Callable = clip
    cover_days: Callable = cover_days
    find_latest: Callable = find_latest
    count_values: Callable = count_values
    decide: Callable = decide
    arrange: Callable = arrange

    def __call__(self, events: pl.DataFrame, cohort: pl.DataFrame, question: Question) -> list[Any]:
        rows = self.read_events(events)

        def answer_row(person: str, index: datetime) -> Any:
            own = [event for event in rows if self.is_of(event, person)]
            if question.measure in ("horizon", "outcome"):
                return self.answer_ahead(own, index, question)
            known = [event for event in own if self.is_known(event, index)]
            return self.answer_behind(known, index, question)

        return self.arrange(cohort, answer_row)

    def answer_behind(self, own: list[Event], index: datetime, question: Question) -> Any:
        window = self.look_back(index, question, own)
        if question.measure == "days":
            return self.cover_days([self.clip(event, window) for event in own])
        inside = [event for event in own if self.lies_in(event["started_at"], window)]
        match question.measure:
            case "count":
                return len(inside)
            case "distinct":
                return self.count_values(inside)
            case "recency":
                latest = self.find_latest([event["started_at"] for event in inside])
                return None if latest is None else (index - latest) / DAY

    def answer_ahead(self, own: list[Event], index: datetime, question: Question) -> Any:
        horizon = self.look_ahead(index, question)
        count = sum(self.lies_in(event["started_at"], horizon) for event in own)
        return count if question.measure == "horizon" else self.decide(count, horizon, question)
