"""The console: what the command line says, and the bars it shows on a terminal."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import polars as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from somv_risk.registers.histories import Histories
from somv_risk.registers.schema import TABLES

PIPE_WIDTH: Final = 160
LOOKED_BACK_SECONDS: Final = 3600  # over which the rate is taken: steps may be minutes apart


class RateColumn(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        """Render the rate of a step that has many parts."""
        rate = task.finished_speed or task.speed
        is_shown = rate is not None and (task.total or 0) >= 1_000
        return Text(f"{rate:,.0f}/s" if is_shown else "")


def prepare_output() -> None:
    """Make output that never fails for a letter: one that a terminal cannot show is written as its number.

    Where whoever started the command has closed an output, what would go there goes nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_to_stderr(text: str) -> None:
    """Print a line of rich text for whoever runs the command, beside its result."""
    try:
        Console(stderr=True, soft_wrap=True).print(text, highlight=False)
        sys.stderr.flush()
    except OSError:
        # The terminal is gone, or the log's disk is full: the exit code still stands, at the end as well.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


@contextmanager
def show_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar per step on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        speed_estimate_period=LOOKED_BACK_SECONDS,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show


def make_console() -> Console:
    """Return the output; a pipe has no width, so names are not cut there."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def say(text: str) -> None:
    """Say a line."""
    make_console().print(text, highlight=False, markup=False, soft_wrap=True)


def escape(text: str) -> str:
    """Keep square brackets from being read as markup."""
    return text.replace("[", "\\[")


def print_histories(histories: Histories) -> None:
    """Print how many rows each table holds, and what was set aside or not taken over."""
    table = Table("table", "rows", title="Histories", title_justify="left")
    for name, frame in histories.tables.items():
        table.add_row(name, f"{frame.select(pl.len()).collect().item():,}")
    for name in histories.absent:
        table.add_row(name, "absent")
    make_console().print(table)
    if histories.dropped.height:
        print_frame("Not taken over", histories.dropped)
    say(f"Rows set aside: {histories.quarantine.count():,}")
    if histories.quarantine.count():
        print_frame("Set aside", histories.quarantine.summary())


def print_manifest(manifest: Mapping[str, Any]) -> None:
    """Print what a store says of itself: rows by table, and what was set aside or not taken over."""
    table = Table("table", "rows", title="Histories", title_justify="left")
    for name in TABLES:
        table.add_row(name, f"{manifest['rows'][name]:,}" if name in manifest["rows"] else "absent")
    make_console().print(table)
    for title, rows in (("Not taken over", manifest["dropped"]), ("Set aside", manifest["quarantine"])):
        if rows:
            print_frame(title, pl.DataFrame(rows))


def print_frame(title: str, frame: pl.DataFrame) -> None:
    """Print a frame as a table."""
    table = Table(*frame.columns, title=title, title_justify="left")
    for row in frame.iter_rows():
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    make_console().print(table)
