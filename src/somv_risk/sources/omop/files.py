"""Files of an OMOP folder, one per table, read as text under the column names of CDM 5.4."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.errors import InputError, SourceError
from somv_risk.registers.headers import clean_name
from somv_risk.sources.csv_file import CsvFile
from somv_risk.sources.folder import check_is_there, list_entries, show_names
from somv_risk.sources.omop.cells import FLOAT_ID, clean_cell, is_key
from somv_risk.sources.omop.dropped import NOTHING_LEFT, REASON, ROWS, SOURCE_TABLE
from somv_risk.sources.parquet_table import ParquetTable

FILE_NAME: Final = re.compile(
    r"(?:\d+[a-z]?[_-])?(?P<table>[a-z_]+)\.(?:csv|csv\.gz|parquet)", flags=re.IGNORECASE
)
REQUIRED_TABLES: Final = ("person", "visit_occurrence")
# Vocabulary downloads are tab-separated and write quotation marks in names as they are.
UNQUOTED: Final = ("\t",)


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


def scan_tables(folder: Path, layouts: Mapping[str, TableLayout], encoding: str) -> dict[str, pl.LazyFrame]:
    """Tables that the folder has, every column as clean text; each file is read once to check it."""
    files = _find_files(folder)
    wanted = {table: file for table, file in files.items() if table in layouts}
    _check_required(folder, wanted)
    return {table: _scan_table(table, file, layouts[table], encoding) for table, file in wanted.items()}


def count_others(folder: Path, layouts: Mapping[str, TableLayout], encoding: str) -> pl.DataFrame:
    """Count the rows of the tables in the folder that are not read: `source_table`, `reason`, `rows`."""
    others = {table: file for table, file in _find_files(folder).items() if table not in layouts}
    rows = [
        {SOURCE_TABLE: table, REASON: reason, ROWS: count}
        for table, file in others.items()
        for reason, count in [_count_other(file, encoding)]
    ]
    return pl.DataFrame(rows, schema=NOTHING_LEFT.schema)


def build_empty(layout: TableLayout) -> pl.LazyFrame:
    """Table without rows, in place of one that the folder does not have."""
    return pl.LazyFrame(schema=dict.fromkeys(layout.columns, pl.String))


def _count_other(file: Path, encoding: str) -> tuple[str, int]:
    try:
        return "table is not read", _open(file, encoding).count()
    except (SourceError, InputError):  # what is not read does no harm
        return "table is not read, and its rows cannot be counted", 0


def _find_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in list_entries(folder):
        table = _name_table(file)
        if table:
            _check_single(table, file, files)
            files[table] = check_is_there(file)
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
            f"Table {missing[0]} is missing in '{folder}', which holds {show_names(list_entries(folder))}. "
            f"Add it as {missing[0]}.csv, {missing[0]}.csv.gz or {missing[0]}.parquet."
        )


def _open(file: Path, encoding: str) -> CsvFile | ParquetTable:
    if file.suffix.lower() == ".parquet":
        return ParquetTable.open(file)
    return CsvFile.open(file, encoding, unquoted=UNQUOTED)


def _scan_table(table: str, file: Path, layout: TableLayout, encoding: str) -> pl.LazyFrame:
    opened = _open(file, encoding)
    names = _read_header(table, list(opened.columns))
    wanted = [_select_column(table, column, names, layout) for column in layout.columns]
    keys = {column: names[column] for column in layout.columns if is_key(column) and column in names}
    _check_keys(table, opened.read(), keys)
    return opened.scan().select(wanted)


def _read_header(table: str, delivered: Sequence[str]) -> dict[str, str]:
    """Delivered names by what they are without capitals and blanks."""
    counts = Counter(clean_name(name) for name in delivered)
    twice = [number for number, name in enumerate(delivered, start=1) if counts[clean_name(name)] > 1]
    if twice:
        raise InputError(
            f"Table {table} has the same name above columns {twice}; capitals and blanks around a name make "
            "no other name of it. Deliver each column once."
        )
    return {clean_name(name): name for name in delivered}


def _select_column(table: str, column: str, names: Mapping[str, str], layout: TableLayout) -> pl.Expr:
    for name in (column, layout.older_names.get(column, column)):
        if name in names:
            return clean_cell(names[name], column)
    if column in layout.required:
        raise InputError(
            f"Table {table} has no column {column}; it has {len(names)} others. "
            "Export the table with the column names of OMOP CDM 5.3 or 5.4."
        )
    return pl.lit(None, pl.String).alias(column)


def _check_keys(table: str, batches: Iterable[pl.DataFrame], keys: Mapping[str, str]) -> None:
    """Check that no id went through a float; all cells are read, so that no later fault is met half way."""
    floats: Counter[str] = Counter()
    for rows in batches:
        floats.update({column: _count_floats(rows[name]) for column, name in keys.items()})
    for column in keys:
        if floats[column]:
            raise InputError(
                f"Table {table}, column {column}: {floats[column]} ids are written as floating-point "
                "numbers, where whole numbers or text were expected; a float cannot hold a 64-bit id. "
                "Export ids as integers or text from the database itself."
            )


def _count_floats(ids: pl.Series) -> int:
    return int(ids.cast(pl.String).str.strip_chars().str.contains(FLOAT_ID).sum() or 0)
