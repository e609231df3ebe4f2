"""Key files: the secret of which pseudonyms are made, read in one way by Python and the command line."""

import os
import stat
import warnings
from pathlib import Path
from typing import Final

from somv_risk.calls.arguments import read_path
from somv_risk.errors import IdentityWarning, SourceError
from somv_risk.registers.keys import prepare_key

Key = str | bytes | Path
_MOST_BYTES: Final = 65_536
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_key(path: str | Path) -> bytes:
    """Read a pseudonymisation key from a file; white space around it is no part of it.

    The command line reads `--pseudonymise-key-file` in the same way, so that one file gives the same
    pseudonyms everywhere.

    Raises
    ------
    SourceError
        If the file cannot be read, or is too long for a key.
    ConfigError
        If the key is shorter than 16 bytes or can be guessed.

    Warns
    -----
    IdentityWarning
        If other users of the machine can read the file.
    """
    try:
        with read_path("key file", path).open("rb") as file:
            key, status = file.read(_MOST_BYTES + 1), os.fstat(file.fileno())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise SourceError(f"Key file {path} cannot be read ({reason}). Give its path.") from None
    if len(key) > _MOST_BYTES:
        raise SourceError(f"Key file {path} has more than {_MOST_BYTES} bytes. Give a file with a key only.")
    secret = prepare_key(key)
    _warn_of_readers(path, status.st_mode)
    return secret


def load_key(key: Key | None) -> bytes | None:
    """Make the bytes of a key that was given as text, bytes, or the path of its file.

    Raises
    ------
    SourceError, ConfigError
        As `read_key`.
    """
    if key is None:
        return None
    return read_key(key) if isinstance(key, Path) else prepare_key(key)


def _warn_of_readers(path: str | Path, mode: int) -> None:
    if stat.S_ISREG(mode) and mode & _OTHERS:
        warnings.warn(
            f"Key file {path} is open to other users (mode {stat.S_IMODE(mode):04o}). "
            f"Close it: chmod 600 {path}",
            IdentityWarning,
            stacklevel=3,
        )
