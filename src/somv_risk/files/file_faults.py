"""File faults: what is wrong with a file that cannot be read, said without a word of what stands in it."""

import errno
import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.errors import SomvRiskError, SourceError

PARQUET_MARK: Final = b"PAR1"
GZIP_MARK: Final = b"\x1f\x8b"

# Polars panics on some damaged files, and a panic is no Exception.
_FAULTS: Final = (
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
    *(OSError, EOFError, MemoryError, RecursionError, zlib.error),
    *(ValueError, LookupError, NotImplementedError),  # Arrow's
)
# What files start with that are taken for tables, and what to do about them.
_DISGUISES: Final[Mapping[bytes, str]] = {
    b"PK\x03\x04": "is a ZIP archive, as a workbook of Excel is. Deliver the table as CSV or Parquet",
    b"\xd0\xcf\x11\xe0": "is an old workbook of Excel. Deliver the table as CSV or Parquet",
    GZIP_MARK: "is compressed with gzip. Name it .csv.gz, or unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Unpack it",
    b"BZh": "is compressed with bzip2. Unpack it",
    b"\xfd7zXZ": "is compressed with xz. Unpack it",
    PARQUET_MARK: "is a Parquet file. Name it .parquet",
    b"ARROW1": "is an Arrow file. Deliver the table as CSV or Parquet",
    b"ORC": "is an ORC file. Deliver the table as CSV or Parquet",
}
_SYSTEM: Final[Mapping[int, str]] = {
    errno.ENOENT: "is not there. Deliver it, or mend the link",
    errno.EACCES: "may not be read. Grant reading to the user who runs this",
    errno.EPERM: "may not be read. Grant reading to the user who runs this",
    errno.EISDIR: "is a folder where a file should be. Deliver one file",
    errno.ENOMEM: "needs more memory than there is. Free some, or use ingest, which reads in parts",
    errno.EMFILE: "cannot be opened beside so many other files. Raise the limit (ulimit -n)",
    errno.EIO: "cannot be read from its disk (input or output error). Copy it anew",
    errno.ESTALE: "lies on a network disk that has lost it. Mount the disk anew",
}
_SEEN_AT_ONCE: Final = 8


@contextmanager
def name_fault(file: Path) -> Iterator[None]:
    """Make one sentence of fact and one of cure of whatever goes wrong while a file is read.

    What others say of a file may quote its cells, so none of their words are passed on.

    Raises
    ------
    SourceError
        If something goes wrong that is not said already.
    """
    try:
        yield
    except SomvRiskError:
        raise
    except _FAULTS as error:
        raise SourceError(f"File {file} {describe_fault(file, error)}.") from None


def describe_fault(file: Path, error: BaseException) -> str:
    """Say what is wrong with a file, and what to do, as the rest of a sentence about it.

    Examples
    --------
    >>> describe_fault(Path("persons.csv"), PermissionError(13, "Permission denied"))
    'may not be read. Grant reading to the user who runs this'
    """
    if isinstance(error, MemoryError):
        return _SYSTEM[errno.ENOMEM]
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return "is a gzip file that is cut off or damaged. Copy it again, whole"
    said = _SYSTEM.get(error.errno or 0) if isinstance(error, OSError) else None
    return said or _describe_content(file)


def find_disguise(start: bytes) -> str:
    """Say what a file is that starts like this, where it is not what its name says; else nothing.

    Examples
    --------
    >>> find_disguise(b"BZh9")
    'is compressed with bzip2. Unpack it'
    """
    return next((said for mark, said in _DISGUISES.items() if start.startswith(mark)), "")


def _describe_content(file: Path) -> str:
    try:
        start, end, size = _look(file)
    except OSError as error:
        return _SYSTEM.get(error.errno or 0, "cannot be opened. Deliver it again")
    if not size:
        return "is empty. Deliver it again"
    if file.suffix.lower() != ".parquet":
        return find_disguise(start) or "is damaged. Deliver it again"
    if not start.startswith(PARQUET_MARK):
        return find_disguise(start) or "is not a Parquet file. Deliver it as what its name says"
    if end != PARQUET_MARK:
        return "is a Parquet file that is cut off. Copy it again, whole"
    return "is a damaged Parquet file, or has columns that cannot be read. Write it again"


def _look(file: Path) -> tuple[bytes, bytes, int]:
    """First and last bytes of a file, and how many there are."""
    with file.open("rb") as opened:
        start = opened.read(_SEEN_AT_ONCE)
        size = opened.seek(0, 2)
        opened.seek(max(0, size - len(PARQUET_MARK)))
        return start, opened.read(), size
