"""What is slow to make is made once: a folder for all workers of a run, a region for all who look at it."""

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from somv_risk.registers.histories import Histories


def hold(made_up: Histories) -> Histories:
    """Histories made up once: lazy ones are made up again each time they are collected."""
    return replace(made_up, tables={name: table.collect().lazy() for name, table in made_up.tables.items()})


def make_once(place: Path, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name, made by whoever asks first; the others wait for it."""
    folder, made = place / name, place / f"{name}.made"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder
