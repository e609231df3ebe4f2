"""Forks: a warning when a process forks after Polars has started its threads, which the child then lacks."""

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Final

from somv_risk.errors import ForkWarning

_THREADS: Final = Path("/proc/self/task")  # Linux alone has it; elsewhere processes are spawned by default
_OF_POLARS: Final = re.compile(r"polars-\d+")


def watch_forks() -> None:
    """Warn from now on of each fork of this process that comes after the first query."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_warn_of_fork)


def _warn_of_fork() -> None:
    # A program that is started runs no code of ours, whatever it was forked from.
    is_program = sys._getframe(1).f_globals.get("__name__") == "subprocess"  # noqa: SLF001 - the one way to see it
    if not is_program and has_threads():
        warnings.warn(
            "A process forks after Polars has started threads, so that the child may wait forever for them. "
            "Start processes by 'spawn' or 'forkserver', or fork before the first query.",
            ForkWarning,
            stacklevel=3,
        )


def has_threads() -> bool:
    """Find whether Polars has started the threads that do its work, as its first query does."""
    return any(_OF_POLARS.fullmatch(_read_name(thread)) for thread in _THREADS.glob("*"))


def _read_name(thread: Path) -> str:
    """Read the name of a thread; one that has ended meanwhile has none."""
    try:
        return (thread / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
