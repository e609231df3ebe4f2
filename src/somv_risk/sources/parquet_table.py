"""Parquet tables of a delivery: one file, or a folder of parts as Spark writes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from somv_risk.errors import SourceError
from somv_risk.files.file_faults import name_fault
from somv_risk.files.parquet import check_rows, count_rows, read_parquet, scan_parquet
from somv_risk.sources.folder import check_is_there, list_entries
from somv_risk.store import ROWS_PER_BATCH


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """The parts of a table, which have the same columns."""

    parts: tuple[Path, ...]
    columns: pl.Schema

    @classmethod
    def open(cls, path: Path) -> Self:
        """Look for the parts, and at their columns.

        Raises
        ------
        SourceError
            If there is no part, one cannot be read, or they have different columns.
        """
        parts = _list_parts(path) if path.is_dir() else [path]
        columns = [_read_columns(part) for part in parts]
        others = [part.name for part, own in zip(parts, columns, strict=True) if own != columns[0]]
        if others:
            raise SourceError(
                f"Folder {path} has parts with different columns, such as {parts[0].name} and {others[0]}. "
                "Write the table anew."
            )
        return cls(tuple(parts), columns[0])

    def read(self) -> Iterator[pl.DataFrame]:
        """Read part after part, in batches.

        Raises
        ------
        SourceError
            If a part cannot be read, or has other rows than it says.
        """
        for part in self.parts:
            expected, rows = count_rows(part), 0
            with name_fault(part):
                # A panic of Polars ends the batches as if the file had no more.
                for batch in scan_parquet(part).collect_batches(
                    chunk_size=ROWS_PER_BATCH, maintain_order=True
                ):
                    rows += batch.height
                    yield batch
            check_rows(f"File {part}", rows, expected)

    def scan(self) -> pl.LazyFrame:
        """Scan all parts."""
        return scan_parquet(self.parts)

    def count(self) -> int:
        """Count the rows that the parts say they have."""
        return sum(count_rows(part) for part in self.parts)

    def read_whole(self) -> pl.DataFrame:
        """Read all parts."""
        return pl.concat(read_parquet(part) for part in self.parts)


def _list_parts(folder: Path) -> list[Path]:
    """List the parts of a folder; Spark writes files of its own beside them, which are no parts."""
    entries = [entry for entry in list_entries(folder) if not entry.name.startswith(".")]
    if any(entry.name == "_temporary" for entry in entries):
        raise SourceError(f"Folder {folder} is still being written, or was left half. Write it anew.")
    parts = [check_is_there(entry) for entry in entries if not entry.name.startswith("_")]
    if not parts:
        raise SourceError(f"Folder {folder} holds no Parquet file. Write the table anew.")
    if any(part.is_dir() for part in parts):
        raise SourceError(
            f"Folder {folder} is partitioned by the values of a column. Write the table without partitions."
        )
    return parts


def _read_columns(part: Path) -> pl.Schema:
    with name_fault(part):
        columns = scan_parquet(part).collect_schema()
        pl.DataFrame(schema=columns)  # fails on types that Polars can name and not hold
        return columns
