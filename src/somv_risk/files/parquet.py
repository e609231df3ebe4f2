"""Parquet files: read by their own names, and never fewer rows than they say they have."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.files.file_faults import name_fault

# What reading a damaged file may come to; Polars panics on some.
DAMAGE: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def scan_parquet(files: Path | Sequence[Path], **options: Any) -> pl.LazyFrame:  # noqa: ANN401 - Polars' own
    """Scan files that stand under exactly these names: no character of a name is a pattern or an address.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "part[1]*.parquet")
    ...     write_parquet(pl.DataFrame({"person_id": ["a"]}), file)
    ...     scan_parquet(file).collect().item()
    'a'
    """
    named = [files] if isinstance(files, Path) else list(files)
    # A name that is not absolute may look like an address, such as "file:x".
    return pl.scan_parquet(
        [file.absolute() for file in named], glob=False, hive_partitioning=False, **options
    )


def read_parquet(file: Path, columns: Collection[str] | None = None) -> pl.DataFrame:
    """Read a file, or some of its columns.

    Raises
    ------
    SourceError
        If it cannot be read, or has other rows than it says.
    """
    scanned = scan_parquet(file)
    with name_fault(file):
        rows = (scanned if columns is None else scanned.select(columns)).collect()
    check_rows(f"File {file}", rows.height, count_rows(file))
    return rows


def write_parquet(rows: pl.DataFrame, file: Path) -> None:
    """Write a file under exactly this name."""
    rows.write_parquet(file.absolute())


def count_rows(file: Path) -> int:
    """Count the rows that a file says it has, from what stands at its end.

    Raises
    ------
    SourceError
        If what the file says does not agree with itself, or cannot be read.
    """
    # Polars shows either what a file says of all its rows or what its groups give, never both.
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - slow to import

    with name_fault(file), file.open("rb") as opened, ParquetFile(opened) as parquet:
        says = parquet.metadata
    groups = sum(says.row_group(number).num_rows for number in range(says.num_row_groups))
    check_rows(f"File {file}", groups, says.num_rows)
    return int(says.num_rows)


def check_rows(what: str, rows: int, expected: int) -> None:
    """Check that as many rows were read as there are.

    Raises
    ------
    SourceError
        If some are missing, or there are too many.
    """
    if rows != expected:
        raise SourceError(
            f"{what} says that it has {expected:,} rows, and {rows:,} can be read. It is damaged, or was not "
            "read to its end: deliver it, or read it, again."
        )
