"""Files of an OMOP folder, one per table, read as text under the column names of CDM 5.4."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.errors import InputError, SourceError
from somv_risk.sources.omop.cells import FLOAT_ID, clean_cell, is_key

FILE_NAME: Final = re.compile(
    r"(?:\d+[a-z]?[_-])?(?P<table>[a-z_]+)\.(?:csv|csv\.gz|parquet)", flags=re.IGNORECASE
)
REQUIRED_TABLES: Final = ("person", "visit_occurrence")


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Columns wanted from one OMOP table, and what CDM 5.3 calls those that were renamed since."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    older_names: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """All wanted columns."""
        return (*self.required, *self.optional)


def scan_tables(folder: Path, layouts: Mapping[str, TableLayout]) -> dict[str, pl.LazyFrame]:
    """Tables that the folder has, every column as clean text; each file is read once to check it."""
    files = _find_files(folder, layouts)
    return {table: _scan_table(table, file, layouts[table]) for table, file in files.items()}


def build_empty(layout: TableLayout) -> pl.LazyFrame:
    """Table without rows, in place of one that the folder does not have."""
    return pl.LazyFrame(schema=dict.fromkeys(layout.columns, pl.String))


def _find_files(folder: Path, layouts: Mapping[str, TableLayout]) -> dict[str, Path]:
    if not folder.is_dir():
        raise SourceError(f"There is no folder '{folder}'. Give the folder that holds the OMOP tables.")
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        table = _name_table(file)
        if table in layouts:
            _check_single(table, file, files)
            files[table] = file
    _check_required(folder, files)
    return files


def _name_table(file: Path) -> str:
    match = FILE_NAME.fullmatch(file.name)
    return match["table"].lower() if match else ""


def _check_single(table: str, file: Path, files: Mapping[str, Path]) -> None:
    if table in files:
        raise InputError(
            f"Both '{files[table].name}' and '{file.name}' claim to be table {table}. Keep one of them."
        )


def _check_required(folder: Path, files: Mapping[str, Path]) -> None:
    missing = [table for table in REQUIRED_TABLES if table not in files]
    if missing:
        raise InputError(
            f"Table {missing[0]} is missing in '{folder}'. "
            f"Add it as {missing[0]}.csv, {missing[0]}.csv.gz or {missing[0]}.parquet."
        )


def _scan_table(table: str, file: Path, layout: TableLayout) -> pl.LazyFrame:
    frame = _scan_file(table, file)
    given = frame.collect_schema().names()
    wanted = frame.select(_select_column(table, column, given, layout) for column in layout.columns)
    _check_cells(table, frame, [column for column in layout.columns if is_key(column) and column in given])
    return wanted


def _select_column(table: str, column: str, given: Sequence[str], layout: TableLayout) -> pl.Expr:
    for name in (column, layout.older_names.get(column, column)):
        if name in given:
            return clean_cell(name, column)
    if column in layout.required:
        raise InputError(
            f"Table {table} has no column {column}; it has {len(given)} others. "
            "Export the table with the column names of OMOP CDM 5.3 or 5.4."
        )
    return pl.lit(None, pl.String).alias(column)


def _scan_file(table: str, file: Path) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(file) if file.suffix.lower() == ".parquet" else _scan_csv(file)
        named = frame.rename(lambda name: name.strip().lower())
        named.collect_schema()
    except (pl.exceptions.PolarsError, OSError):
        raise SourceError(
            f"File '{file.name}' of table {table} cannot be read. "
            "Export it anew as UTF-8 CSV with a header line, or as Parquet."
        ) from None
    return named


def _scan_csv(file: Path) -> pl.LazyFrame:
    header = "".join(pl.scan_csv(file, infer_schema=False).collect_schema().names())
    separator = next((mark for mark in "\t;|" if mark in header), ",")
    # Vocabulary downloads are tab-separated and write quotation marks in names as they are.
    quote = None if separator == "\t" else '"'
    return pl.scan_csv(file, infer_schema=False, separator=separator, quote_char=quote)


def _check_cells(table: str, frame: pl.LazyFrame, keys: Sequence[str]) -> None:
    floats = _count_cells(table, frame, keys)
    for column in keys:
        if rows := floats[column]:
            raise InputError(
                f"Table {table}, column {column}: {rows} ids are written as floating-point numbers, "
                "where whole numbers or text were expected; a float cannot hold a 64-bit id. "
                "Export ids as integers or text from the database itself."
            )


def _count_cells(table: str, frame: pl.LazyFrame, keys: Sequence[str]) -> dict[str, int]:
    """Float-like cells per key; all cells are read, as Polars overlooks faults in columns not asked for."""
    floats = pl.col(keys).cast(pl.String).str.strip_chars().str.contains(FLOAT_ID).sum()
    try:
        return frame.select(floats, pl.all().null_count().name.prefix("nulls_")).collect().row(0, named=True)
    except (pl.exceptions.ComputeError, OSError):
        # The cause is left out because Polars quotes the offending cell.
        raise SourceError(
            f"A line of table {table} is malformed, such as by a separator or quotation mark in a text. "
            "Export it anew, as UTF-8 CSV with quoted texts or as Parquet."
        ) from None
