"""Files of a store: written in large groups, hashed, and in a folder that is whole or not there."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.files.private_files import make_private_file, make_private_folder
from somv_risk.registers import schema as s

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

BUCKET: Final = "bucket"
CHECKSUM: Final = "crc32"
_TIMES: Final = (s.STARTED_AT, s.ENDED_AT, s.KNOWN_AT)
_HASHED_AT_ONCE: Final = 2**20


class GrowingFile:
    """A Parquet file to which rows are added in large groups."""

    def __init__(self, path: Path, rows_per_group: int) -> None:
        self._path = path
        self._rows_per_group = rows_per_group
        self._waiting: list[pl.DataFrame] = []
        self._writer: ParquetWriter | None = None

    def append(self, rows: pl.DataFrame) -> None:
        """Add rows; they are written when enough wait."""
        # An empty file still has columns, which the first rows tell; later empty ones would only pile up.
        if rows.is_empty() and (self._waiting or self._writer):
            return
        self._waiting.append(rows)
        if sum(frame.height for frame in self._waiting) >= self._rows_per_group:
            self.write()

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        try:
            self.write()
        finally:
            if self._writer is not None:
                self._writer.close()

    def write(self) -> None:
        """Write what waits."""
        # Polars writes whole Parquet files only; pyarrow can add to an open one.
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - a quarter of a second to import

        if not self._waiting:
            return
        table = pl.concat(self._waiting, rechunk=True).to_arrow()
        self._waiting = []
        if self._writer is None:
            # Times one after the other differ little: small as differences, and read twice as fast as zstd.
            times = {name: "DELTA_BINARY_PACKED" for name in table.column_names if name in _TIMES}
            others = [name for name in table.column_names if name not in _TIMES]
            path = self._path.absolute()
            self._writer = ParquetWriter(
                make_private_file(path),
                table.schema,
                compression="lz4",
                use_dictionary=others,
                column_encoding=times,
            )
        self._writer.write_table(table)


def name_file(table: str, bucket: int, delivery: int) -> str:
    """Name a table's file in a bucket; files of a later delivery lie beside those they replace."""
    later = "" if delivery == 0 else f".{delivery}"
    return f"{BUCKET}={bucket:02d}/{table}{later}.parquet"


def is_as_written(folder: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file that a manifest names is there, and has the bytes that were written."""
    file = folder / entry["file"]
    try:
        state = file.stat()
        found = state.st_size, state.st_mtime_ns, state.st_ino
        if state.st_size != entry["bytes"]:
            return False
        if CHECKSUM in entry:
            return bool(_compute_once(compute_checksum, file, *found) == entry[CHECKSUM])
        return bool(_compute_once(hash_file, file, *found) == entry["sha256"])  # of an older version
    except OSError:
        return False


@lru_cache(maxsize=4_096)
def _compute_once(compute: Callable[[Path], object], file: Path, *_found: int) -> object:
    """Compute something of a file once, as long as the file is found as it was."""
    return compute(file)


def compute_checksum(file: Path) -> int:
    """Compute a number that other bytes hardly have: it finds damage, four times as fast as a hash."""
    checksum = 0
    with file.open("rb") as opened:
        while block := opened.read(_HASHED_AT_ONCE):
            checksum = crc32(block, checksum)
    return checksum


def hash_file(file: Path) -> str:
    """Hash the bytes of a file, which are on the disk when this returns."""
    digest = sha256()
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        while block := opened.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def check_is_new(folder: Path, what: str) -> None:
    """Check that a folder can be made for what it is to hold, such as a "store".

    Raises
    ------
    SourceError
        If something has that name, or nothing can have it.
    """
    try:
        folder.lstat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(
            f"The {what} {folder} cannot be written ({reason}). Choose another folder."
        ) from None
    raise SourceError(f"{folder} exists already. Name a new folder for the {what}, or remove the old one.")


@contextmanager
def make_folder(folder: Path, what: str, *, group_readable: bool = False) -> Iterator[Path]:
    """Give a folder to fill; it takes its name when it is complete, and goes if it never is.

    Nobody else can look into it, or the group if asked.

    Raises
    ------
    SourceError
        If the folder exists already, cannot be written, or is being written by another run.
    """
    check_is_new(folder, what)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with tell_failing_writes(folder, what):
        make_private_folder(unfinished, group_readable=group_readable)
        with lock_folder(unfinished, what, named=folder):
            try:
                _empty(unfinished)
                yield unfinished
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def lock_folder(folder: Path, what: str, *, named: Path | None = None) -> Iterator[None]:
    """Keep a folder to this run; the lock goes with the process, however it ends.

    Raises
    ------
    SourceError
        If another run has it.
    """
    import fcntl  # noqa: PLC0415 - not on every system

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it before may have given the folder another name meanwhile.
            is_mine = folder.stat().st_ino == os.fstat(descriptor).st_ino
        except (BlockingIOError, FileNotFoundError):
            is_mine = False
        if not is_mine:
            raise SourceError(
                f"The {what} {named or folder} is being written by another run. Wait until that has ended."
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def tell_failing_writes(folder: Path, what: str) -> Iterator[None]:
    """Make one sentence of whatever the system says against writing.

    Raises
    ------
    SourceError
        If something cannot be written.
    """
    try:
        yield
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"The {what} {folder} cannot be written ({error.strerror or error}). "
            "Free space or choose a folder."
        ) from None


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
