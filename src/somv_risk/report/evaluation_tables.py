"""Tables of the evaluation page: tidy rows laid out for reading, with what cannot be said as a note."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.registers.schema import INDEX_TIME
from somv_risk.report.findings import Findings
from somv_risk.report.wording import ABSENT, Wording
from somv_risk.toml import load_packaged

SHOWN_ROWS: Final = 80
NAMED: Final = (
    *("ranking", "population", "strategy", "grouping"),
    *("known_or_new", "flagged", "metric", "measure"),
)
# Key columns that are no words.
WRITERS: Final[Mapping[str, Callable[[Wording, Any], str]]] = MappingProxyType(
    {
        INDEX_TIME: Wording.date,
        "from_index_time": Wording.date,
        "to_index_time": Wording.date,
        "test_time": Wording.date,
        "trained_until": Wording.date,
        "from_risk": Wording.percent,
        "to_risk": Wording.percent,
        "threshold": Wording.percent,
        "capacity": Wording.capacity,
        "rule": Wording.rule,
        "outcome": lambda words, value: words.name("outcome_is", value),
    }
)
WITH_INTERVAL: Final = ("value", "base_rate", "observed", "difference")


@dataclass(frozen=True, slots=True)
class Section:
    """How one part of the details is laid out, as `evaluation_sections.toml` says."""

    id: str
    table: str
    keys: tuple[str, ...]
    heading: int = 0
    across: str | None = None
    show: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    only: Mapping[str, Any] = field(default_factory=dict)
    without: Mapping[str, Any] = field(default_factory=dict)
    intervals: tuple[str, ...] | None = None
    latest: bool = False
    figures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure as it is read: its text, its interval, and the letter of its note."""

    text: str
    interval: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table laid out for reading; `groups` are rows under a heading, a row its names and its cells."""

    keys: tuple[str, ...]
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[tuple[str, ...], tuple[Cell, ...]], ...]], ...]
    notes: Mapping[str, str]
    shown: int
    all: int


class Notes:
    """Notes of one table: equal ones share a letter."""

    def __init__(self, words: Wording) -> None:
        self.words = words
        self.letters: dict[str, str] = {}

    def mark(self, note: str | None) -> str:
        """Return the letter of a note; nothing for none."""
        if note is None:
            return ""
        return self.letters.setdefault(self.words.note(note), _spell(len(self.letters)))


def _spell(place: int) -> str:
    """Spell a place as letters: a, b, ..., z, aa, ab."""
    head, last = divmod(place, 26)
    return (_spell(head - 1) if head else "") + chr(ord("a") + last)


@cache
def load_sections() -> tuple[Section, ...]:
    """Load how the details are laid out, in their order."""
    return tuple(_read_section(row) for row in _read_layout()["sections"])


def _read_section(row: Mapping[str, Any]) -> Section:
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    return Section(**given)


@cache
def _read_layout() -> dict[str, Any]:
    return load_packaged("somv_risk.report", "evaluation_sections.toml")


def lay_out(section: Section, findings: Findings, words: Wording) -> ReadTable:
    """Lay out one section's table for reading."""
    rows = _choose_rows(section, findings)
    section = replace(section, keys=tuple(key for key in section.keys if key in rows.columns))
    notes = Notes(words)
    lines = list(
        _lay_wide(section, rows, words, notes) if section.across else _lay_long(section, rows, words, notes)
    )
    shown = lines[:SHOWN_ROWS]
    return ReadTable(
        keys=tuple(words.name("column", key) for key in section.keys[section.heading :]),
        columns=_name_columns(section, rows, words),
        groups=tuple(_group_lines(shown, section.heading)),
        notes={letter: note for note, letter in notes.letters.items()},
        shown=len(shown),
        all=len(lines),
    )


def choose_style(table: str, column: str, key: str | None = None) -> str:
    """Choose the style of a figure, by its metric or measure, its column, or its table.

    Examples
    --------
    >>> choose_style("metrics", "value", "auroc"), choose_style("cases", "rows")
    ('decimal3', 'count')
    """
    layout = _read_layout()
    if column == "difference":
        return str(layout["differences"].get(key, "points"))
    styles = {**layout["styles"], **layout["values"]}
    return str(styles.get(key) or styles.get(column) or layout["tables"].get(table, "significant"))


def name_value(words: Wording, column: str, row: Mapping[str, Any]) -> str:
    """Name what a key column says in a row."""
    value = row[column]
    if value is None:
        return str(words["any"]) if column == "flagged" else ABSENT
    if column == "group":
        return words.name_group(str(row["grouping"]), value)
    if column in WRITERS:
        return WRITERS[column](words, value)
    return words.name(column, value) if column in NAMED else str(value)


def _choose_rows(section: Section, findings: Findings) -> pl.DataFrame:
    where = dict(section.only)
    if section.latest:
        where[INDEX_TIME] = findings.latest
    rows = findings.select(section.table, **where)
    for column, value in section.without.items():
        rows = rows.filter(pl.col(column) != value)
    return rows


def _name_columns(section: Section, rows: pl.DataFrame, words: Wording) -> tuple[str, ...]:
    if section.across is None:
        return tuple(_name_column(section, column, words) for column in section.show)
    values = tuple(
        words.name("column", "value") if value is None else words.name(section.across, value)
        for value in _list_across(section, rows)
    )
    return tuple(words.name("column", column) for column in section.beside) + values


def _name_column(section: Section, column: str, words: Wording) -> str:
    return str(words["column_of"].get(f"{section.table}_{column}") or words.name("column", column))


def _list_across(section: Section, rows: pl.DataFrame) -> list[str | None]:
    """List what becomes columns; one without a name if the rows hold nothing but notes."""
    if section.across is None:
        return []
    return rows[section.across].drop_nulls().unique(maintain_order=True).to_list() or [None]


Line = tuple[tuple[str, ...], tuple[Cell, ...]]


def _lay_long(section: Section, rows: pl.DataFrame, words: Wording, notes: Notes) -> Iterator[Line]:
    for row in rows.iter_rows(named=True):
        names = tuple(name_value(words, key, row) for key in section.keys)
        yield names, tuple(_read_cell(section, row, column, words, notes) for column in section.show)


def _lay_wide(section: Section, rows: pl.DataFrame, words: Wording, notes: Notes) -> Iterator[Line]:
    across = _list_across(section, rows)
    lines: dict[tuple[Any, ...], dict[str | None, dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        lines.setdefault(tuple(row[key] for key in section.keys), {})[row[str(section.across)]] = row
    for found in lines.values():
        first = next(iter(found.values()))
        names = tuple(name_value(words, key, first) for key in section.keys)
        beside = (_read_cell(section, first, column, words, notes) for column in section.beside)
        values = (
            _read_cell(section, found.get(name, found.get(None)), "value", words, notes) for name in across
        )
        yield names, (*beside, *values)


def _read_cell(
    section: Section, row: Mapping[str, Any] | None, column: str, words: Wording, notes: Notes
) -> Cell:
    """Read one figure; a row without a metric holds a note on all of them."""
    if row is None:
        return Cell("")
    key = row.get("metric") or row.get("measure") or row.get(str(section.across))
    is_value = column in WITH_INTERVAL
    style = choose_style(section.table, column, key if is_value else None)
    if row[column] is None:
        return Cell(ABSENT, mark=notes.mark(row.get("note") or words["no_note"]))
    is_wanted = is_value and (section.intervals is None or key in section.intervals)
    interval = words.interval(row.get("low"), row.get("high"), style) if is_wanted else ""
    # A figure may be there and still carry a note, such as that it is uncertain.
    return Cell(
        words.quantity(row[column], style), interval, notes.mark(row.get("note") if is_value else None)
    )


def _group_lines(lines: Sequence[Line], heading: int) -> Iterator[tuple[str, tuple[Line, ...]]]:
    groups: dict[tuple[str, ...], list[Line]] = {}
    for names, cells in lines:
        groups.setdefault(names[:heading], []).append((names[heading:], cells))
    for head, own in groups.items():
        yield join_names(head), tuple(own)


def join_names(names: Iterable[str]) -> str:
    """Join the names of a heading."""
    return " · ".join(names)
