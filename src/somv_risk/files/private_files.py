"""Private files: what is written about persons is for whoever writes it, and for their group only if asked.

The mode is given when a file or folder is made, so that there is no moment at which others can read it. What
lies inside a folder follows that folder: open to the group where it is, and never to others.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_OWN_FOLDER, _GROUP_FOLDER = 0o700, 0o750
_OWN_FILE, _GROUP_FILE = 0o600, 0o640
_OTHERS: Final = 0o077


def make_private_folder(folder: Path, *, group_readable: bool = False) -> None:
    """Make a folder that nobody else can look into, or the group if asked; those above it are usual ones.

    A folder that is there already keeps its mode, unless it is to be open to the group and is not.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(_OWN_FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
    if group_readable and not _is_for_group(folder):
        folder.chmod(_GROUP_FOLDER)


def make_inner_folder(folder: Path) -> None:
    """Make a folder in a private one, open to the group if that is."""
    make_private_folder(folder, group_readable=_is_for_group(folder.parent))


def make_private_file(file: Path) -> Path:
    """Make an empty file, or empty the one there, for any writer that takes a path; the group as its folder.

    Something that is no file, such as a device, stays as it is.
    """
    descriptor = open_private(str(file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with suppress(PermissionError):  # of somebody else, or on a file system without modes
                os.fchmod(descriptor, _choose_mode(file))
    finally:
        os.close(descriptor)
    return file


def open_private(name: str, flags: int) -> int:
    """Open a file as `open` asks of its `opener`; one that is made is for its owner, or the group too."""
    return os.open(name, flags, _choose_mode(Path(name)))


def _choose_mode(file: Path) -> int:
    return _GROUP_FILE if _is_for_group(file.parent) else _OWN_FILE


def _is_for_group(folder: Path) -> bool:
    return folder.stat().st_mode & _OTHERS == _GROUP_FOLDER & _OTHERS
