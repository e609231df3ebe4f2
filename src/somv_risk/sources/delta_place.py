"""Delta places: a folder under a name that Delta Lake takes as it is.

Delta reads a path as an address: a blank, `å`, `%` or `#` in it is quoted when the table is opened and is not
found again when it is read, and a bracket makes it panic. Such a folder is read and written through a folder
of links with a plain name.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from somv_risk.errors import SourceError

LOG: Final = "_delta_log"
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._=-]+")


@contextmanager
def open_for_reading(folder: Path) -> Iterator[Path]:
    """Give a plain name by which the folder of a table can be read."""
    own = folder.resolve()
    if _PLAIN.fullmatch(str(own)):
        yield own
        return
    with TemporaryDirectory(prefix="somv-risk-") as place:
        linked = Path(place, "table")
        _link(own, linked)
        yield linked


@contextmanager
def open_for_writing(folder: Path) -> Iterator[Path]:
    """Give a plain name by which the folder of a table can be written.

    Raises
    ------
    SourceError
        If another run wrote the table meanwhile.
    """
    own = folder.resolve()
    with open_for_reading(folder) as named:
        yield named
        if named != own:
            _bring_home(named, own)


def _link(folder: Path, linked: Path) -> None:
    """Make a folder of links to what a folder holds; its log is a folder of links as well."""
    linked.mkdir()
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name == LOG:
            _link(entry, linked / LOG)
        else:
            (linked / entry.name).symlink_to(entry)


def _bring_home(linked: Path, folder: Path) -> None:
    """Put what was written where it belongs: the log, which makes it part of the table, at last."""
    written = [file for file in linked.rglob("*") if file.is_file() and not file.is_symlink()]
    for file in sorted(written, key=lambda file: (LOG in file.parts, file.name == "_last_checkpoint", file)):
        home = folder / file.relative_to(linked)
        home.parent.mkdir(parents=True, exist_ok=True)
        beside = home.with_name(f".{home.name}.{os.getpid()}.tmp")
        shutil.copyfile(file, beside)
        try:
            _name(beside, home)
        finally:
            beside.unlink(missing_ok=True)


def _name(beside: Path, home: Path) -> None:
    if home.suffix != ".json" or home.parent.name != LOG:
        beside.replace(home)
        return
    try:
        home.hardlink_to(beside)  # fails, unlike renaming, where another run has written that version
    except FileExistsError:
        raise SourceError(
            f"The Delta table {home.parent.parent} was written by another run meanwhile. Write again."
        ) from None
