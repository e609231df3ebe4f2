"""Files of a run: each appears under its name when it is whole and on the disk, and not before."""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.files.private_files import make_inner_folder, make_private_file

UNFINISHED: Final = ".unfinished"
_FROM: Final = b"somv_risk.made_from"
_ROWS_PER_GROUP: Final = 10_000  # few enough for a slice of the order to be found without reading all


@contextmanager
def explain_trouble(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that cannot be written into a sentence.

    Raises
    ------
    SourceError
        If the system refuses: a full disk, a missing permission.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            f"{path} cannot be written ({error.strerror}). Free space or mend permissions; the run goes on "
            "where it stopped."
        ) from None


def write_whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place, see it onto the disk, and only then give it its name.

    Raises
    ------
    SourceError
        If it cannot be written; nothing is left behind.
    """
    # On a cluster, two machines may have a process of the same number, and a lost task may go on.
    beside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}{UNFINISHED}")
    with explain_trouble(path):
        make_inner_folder(path.parent)
        try:
            with make_private_file(beside).open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """See the name itself onto the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts as JSON."""
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def write_part(path: Path, frame: pl.DataFrame, made_from: str) -> None:
    """Write a frame as Parquet that says what it was made from; the same frame gives the same bytes."""
    write_frames(path, [frame], made_from)


def write_frames(path: Path, frames: Iterable[pl.DataFrame], made_from: str) -> None:
    """Write frames, of which there must be one, as one Parquet file; each is let go of before the next."""
    write_whole(path, lambda file: _fill(file, frames, made_from))


def _fill(file: BinaryIO, frames: Iterable[pl.DataFrame], made_from: str) -> None:
    # Polars cuts a file as its threads happen to work; pyarrow always in the same way.
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - a quarter of a second to import

    writer = None
    for frame in frames:
        table = frame.rechunk().to_arrow().combine_chunks()
        if writer is None:
            told = {**(table.schema.metadata or {}), _FROM: made_from.encode()}
            writer = ParquetWriter(file, table.schema.with_metadata(told), compression="zstd")
        writer.write_table(table.replace_schema_metadata(writer.schema.metadata), _ROWS_PER_GROUP)
    if writer is not None:
        writer.close()


def read_origin(path: Path) -> str | None:
    """Read what a Parquet file was made from; None if it is not there, not whole, or does not say."""
    from pyarrow import ArrowException  # noqa: PLC0415 - a quarter of a second to import
    from pyarrow.parquet import read_schema  # noqa: PLC0415

    try:
        told = (read_schema(path).metadata or {}).get(_FROM)
    except (OSError, ArrowException):
        return None
    return told.decode() if told else None


def hash_files(paths: Iterable[Path]) -> str:
    """Compute the SHA-256 of the contents of files, in their order; one may be missing."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(_hash_file(path))
    return digest.hexdigest()


def _hash_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"missing"


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed had begun to write."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)
