"""The console: what the command line says, and the bars it shows on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from somv_risk.histories import Histories

PIPE_WIDTH: Final = 160


@contextmanager
def show_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar per step on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
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


def print_frame(title: str, frame: pl.DataFrame) -> None:
    """Print a frame as a table."""
    table = Table(*frame.columns, title=title, title_justify="left")
    for row in frame.iter_rows():
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    make_console().print(table)
