"""Window cases: a few events, one question, and the answers as counted by hand."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Literal, get_args

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.registers import schema as s
from somv_risk.toml import load_packaged

Measure = Literal["count", "distinct", "recency", "days", "horizon", "outcome"]
Capability = Literal[Measure, "between", "known_at", "censoring"]
Answer = float | bool | None
CAPABILITIES: Final[frozenset[Capability]] = frozenset(get_args(Capability))

VALUE: Final = "value"
_MOMENT: Final = pl.Datetime("us")
_EVENTS: Final = {
    s.PERSON_ID: pl.String,
    s.STARTED_AT: _MOMENT,
    s.ENDED_AT: _MOMENT,
    s.KNOWN_AT: _MOMENT,
    VALUE: pl.String,
}
_COHORT: Final = {s.PERSON_ID: pl.String, s.INDEX_TIME: _MOMENT}
# Finer than a float32, coarser than what doubles lose on the way.
_TOLERANCE: Final = 1e-9

_NOTHING: Final = "-"
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "us": "microseconds"}
_TERM: Final = re.compile(r"([+-]\d+)(d|h|us|m)")
_WORDS: Final[Mapping[str, Answer]] = {_NOTHING: None, "yes": True, "no": False}
Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every cohort row. A day is 24 hours.

    Of the events that were known before the index (`known_at < index`; one without `known_at` was known
    when it started) and lie in the look-back window `[index - days, index - until_days)`:

    - `count`: how many start in it;
    - `distinct`: how many different values those have, a missing one not counted;
    - `recency`: days from the latest of those to the index, null if there is none;
    - `days`: days of it that they cover; one without an end lasts until the index.

    Of all events in the horizon `[index, index + days)`, whenever they became known:

    - `horizon`: how many start in it;
    - `outcome`: whether at least `at_least` do; null if fewer do and the data, which are complete before
      `data_end`, do not reach to its end.
    """

    measure: Measure
    days: int
    until_days: int = 0
    at_least: int = 1
    data_end: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A few events, a cohort, one question, and the answers with the reason for each.

    `events` has one row per event: `person_id` (text), `started_at`, `ended_at`, `known_at` (naive,
    microseconds) and `value` (text); the last three are null where nothing is said. `cohort` has one row
    per question asked: `person_id`, `index_time`. `expected` and `because` have one entry per cohort row.
    A builder may refuse a case that `may_refuse` says it may.
    """

    name: str
    rule: str
    question: Question
    events: pl.DataFrame
    cohort: pl.DataFrame
    expected: tuple[Answer, ...]
    because: tuple[str, ...]
    may_refuse: bool = False

    def __post_init__(self) -> None:
        if not len(self.expected) == len(self.because) == self.cohort.height:
            raise ConfigError(
                f"Window case {self.name!r} has not one answer per cohort row. Give each row one, and why."
            )

    @property
    def needs(self) -> frozenset[Capability]:
        """What a builder must offer to be asked this."""
        further: dict[Capability, bool] = {
            "between": self.question.until_days > 0,
            "known_at": self.events[s.KNOWN_AT].count() > 0,
            "censoring": self._ends_too_early(),
        }
        return frozenset({self.question.measure, *(name for name, is_needed in further.items() if is_needed)})

    def _ends_too_early(self) -> bool:
        data_end, length = self.question.data_end, timedelta(days=self.question.days)
        return data_end is not None and any(i + length > data_end for i in self.cohort[s.INDEX_TIME])

    def is_answered_by(self, answers: Sequence[Answer]) -> bool:
        """Whether these are the expected answers, to within 1e-9."""
        return len(answers) == len(self.expected) and all(map(_is_same, answers, self.expected))


def _is_same(answered: Answer, expected: Answer) -> bool:
    if answered is None or expected is None:
        return answered is expected
    return math.isclose(answered, expected, rel_tol=0, abs_tol=_TOLERANCE)


@cache
def load_window_cases() -> tuple[Case, ...]:
    """Load all cases of this library.

    Examples
    --------
    >>> case = load_window_cases()[1]
    >>> case.name, case.question.measure, case.question.days, case.expected
    ('event_at_the_index', 'count', 30, (0, 1))
    >>> print(case.rule)
    The window ends before the index: an event at the index moment belongs to the outcome.
    """
    drawn = load_packaged("somv_risk.testing", "window_cases.toml")
    return tuple(_read_case(name, {"index": drawn["index"]} | row) for name, row in drawn["cases"].items())


def _read_case(name: str, row: Mapping[str, Any]) -> Case:
    index = row["index"]
    rows = list(_read_cells(row["cohort"]))
    return Case(
        name=name,
        rule=row["rule"],
        question=_read_question(row),
        events=_build_table([_read_event(cells, index) for cells in _read_cells(row["events"])], _EVENTS),
        cohort=_build_table([_read_asked(cells, index) for cells in rows], _COHORT),
        expected=tuple(_read_answer(cells["answer"]) for cells in rows),
        because=tuple(cells["because"] for cells in rows),
        may_refuse=row.get("may_refuse", False),
    )


def _read_question(row: Mapping[str, Any]) -> Question:
    settings = {key: row[key] for key in ("measure", "days", "until_days", "at_least") if key in row}
    return Question(**settings, data_end=_read_moment(row.get("data_end", _NOTHING), row["index"]))


def _read_event(cells: Cells, index: datetime) -> Mapping[str, Any]:
    return {
        s.PERSON_ID: _read_text(cells["person"]),
        s.STARTED_AT: _read_moment(cells["started"], index),
        s.ENDED_AT: _read_moment(cells.get("ended", _NOTHING), index),
        s.KNOWN_AT: _read_moment(cells.get("known", _NOTHING), index),
        VALUE: _read_text(cells.get("value", _NOTHING)),
    }


def _read_asked(cells: Cells, index: datetime) -> Mapping[str, Any]:
    return {s.PERSON_ID: cells["person"], s.INDEX_TIME: _read_moment(cells["index"], index)}


def _read_cells(text: str) -> Iterator[Cells]:
    """One mapping per drawn row."""
    header, *lines = [re.split(r"\s{2,}", line.strip()) for line in text.strip().splitlines()]
    for line in lines:
        yield dict(zip(header, line, strict=True))


def _read_text(cell: str) -> str | None:
    return None if cell == _NOTHING else cell


def _read_moment(cell: str, index: datetime) -> datetime | None:
    if cell == _NOTHING:
        return None
    terms = _TERM.findall(cell)
    if cell not in ("0", "".join(number + unit for number, unit in terms)):
        return datetime.fromisoformat(cell)
    return index + sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in terms), timedelta(0))


def _read_answer(cell: str) -> Answer:
    if cell in _WORDS:
        return _WORDS[cell]
    return int(cell) if cell.isdecimal() else float(cell)


def _build_table(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(schema))
