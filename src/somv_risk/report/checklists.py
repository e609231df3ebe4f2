"""Checklists: TRIPOD+AI and PROBAST+AI, answered by what a run knows and by what a person must still say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

import jinja2
import polars as pl

from somv_risk.report.checklist_facts import collect_said
from somv_risk.toml import load_packaged

TRIPOD: Final = "tripod_ai.toml"
PROBAST: Final = "probast_ai.toml"
Status = Literal["run", "partly", "person"]
STATUSES: Final[Mapping[str, str]] = MappingProxyType(
    {"run": "answered by the run", "partly": "partly", "person": "a person must answer"}
)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a checklist: what is asked, and how a run answers it.

    `answer` is a template of facts; `person` says what a person must still answer; an item that needs
    tables which the run did not make is a person's.
    """

    number: str
    section: str
    topic: str
    asked: str
    status: Status
    applies: str = ""
    answer: str = ""
    person: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One item with the answer of a run."""

    number: str
    section: str
    topic: str
    asked: str
    status: Status
    text: str
    person: str

    @property
    def status_text(self) -> str:
        """The status in words."""
        return STATUSES[self.status]


@cache
def load_items(checklist: str) -> tuple[Item, ...]:
    """Load the items of a checklist in their order."""
    return tuple(_read_item(row) for row in _read(checklist)["items"])


def _read_item(row: Mapping[str, Any]) -> Item:
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    return Item(**given)


@cache
def _read(checklist: str) -> dict[str, Any]:
    return load_packaged("somv_risk.report", checklist)


def render_tripod(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    """Render the TRIPOD+AI checklist of a run as Markdown."""
    return _render(TRIPOD, facts, tables)


def render_probast(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    """Render the PROBAST+AI self-assessment of a run as Markdown."""
    return _render(PROBAST, facts, tables)


def answer(
    checklist: str, facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]
) -> tuple[Answer, ...]:
    """Answer every item of a checklist with what a run knows."""
    said = collect_said(facts, tables)
    return tuple(_answer_item(item, said, tables) for item in load_items(checklist))


def _answer_item(item: Item, said: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> Answer:
    missing = [name for name in item.needs if not _says_something(tables.get(name))]
    if missing:
        text = f"This run has no figures of it (table {', '.join(missing)})."
        person = item.person or "whether it was looked at elsewhere."
        return Answer(item.number, item.section, item.topic, item.asked, "person", text, person)
    text = " ".join(_prepare(item.answer).render(said).split())
    return Answer(item.number, item.section, item.topic, item.asked, item.status, text, item.person)


def _says_something(table: pl.DataFrame | None) -> bool:
    return table is not None and table["value"].count() > 0


@cache
def _prepare(template: str) -> jinja2.Template:
    # Markdown is text, and the page escapes what it takes from here.
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template)  # noqa: S701


def _render(checklist: str, facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    about = _read(checklist)
    answers = answer(checklist, facts, tables)
    counts = {status: sum(one.status == status for one in answers) for status in STATUSES}
    summary = ", ".join(f"{counts[status]} {STATUSES[status]}" for status in STATUSES)
    parts = [f"# {about['title']}", about["introduction"].strip(), f"{len(answers)} items: {summary}."]
    for section in dict.fromkeys(one.section for one in answers):
        rows = [_render_row(one) for one in answers if one.section == section]
        head = "| item | what is asked | status | answer |\n|---|---|---|---|"
        parts.append("\n".join([f"## {section}\n", head, *rows]))
    return "\n\n".join(parts) + "\n"


def _render_row(one: Answer) -> str:
    person = f"*A person must answer:* {one.person}" if one.person else ""
    text = " ".join(part for part in (one.text, person) if part)
    cells = (one.number, f"**{one.topic}.** {one.asked}", one.status_text, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
