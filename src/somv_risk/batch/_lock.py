"""The lock: one run at a time writes into a folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from somv_risk.batch._files import explain_trouble
from somv_risk.errors import FolderInUseError
from somv_risk.files.private_files import make_private_folder, open_private

LOCK_FILE: Final = ".lock"


@contextmanager
def hold_folder(folder: Path, *, group_readable: bool = False) -> Iterator[None]:
    """Hold a folder, which is made if need be, for this user or the group too, against other runs.

    The system holds the lock and lets go of it when the process ends, however it ends: one that was
    killed leaves nothing to clear away. The file, which stays, names the process and machine that has it.

    Raises
    ------
    FolderInUseError
        If another run has it.
    SourceError
        If the folder cannot be made, or its file system knows no locks.
    """
    with explain_trouble(folder):
        make_private_folder(folder, group_readable=group_readable)
        lock = folder / LOCK_FILE
        file = open(lock, "a+", encoding="utf-8", opener=open_private)  # noqa: SIM115 - closed below
    with file:
        _lock(file, folder)
        _write_owner(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        try:
            yield
        finally:
            _write_owner(file, "")


def _lock(file: TextIO, folder: Path) -> None:
    import fcntl  # noqa: PLC0415 - Windows has none, and can still import the rest

    with explain_trouble(folder):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(
                f"Another run is writing into {folder} ({_read_owner(file)}). Wait for it, or name another "
                "folder."
            ) from None


def _read_owner(file: TextIO) -> str:
    try:
        file.seek(0)
        owner = json.loads(file.read())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "process unknown"


def _write_owner(file: TextIO, text: str) -> None:
    with explain_trouble(Path(file.name)):
        file.truncate(0)
        file.write(text)
        file.flush()
