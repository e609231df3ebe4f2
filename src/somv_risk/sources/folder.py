"""Folders of a delivery: which of their files are the tables, and what stands there instead."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from somv_risk.calls.arguments import read_path
from somv_risk.errors import InputError, SourceError
from somv_risk.files.file_faults import describe_fault
from somv_risk.registers import schema as s

SUFFIXES: Final = (".parquet", ".csv", ".csv.gz")
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_NAMES_SHOWN: Final = 10


def open_folder(path: str | Path, holds: str) -> Path:
    """Open a folder of this machine, of which `holds` says what it should hold.

    Raises
    ------
    SourceError
        If there is no such folder, or the path is the address of something elsewhere.
    """
    folder = read_path("path", path)
    if folder.is_dir():
        return folder
    if _ADDRESS.match(str(path)):
        raise SourceError(
            f"{path} is an address, and only folders of this machine are read. Copy or mount what is there, "
            "and give its path."
        )
    raise SourceError(f"There is no folder {path}. Give {holds}.")


def list_entries(folder: Path) -> list[Path]:
    """List what a folder holds, by name.

    Raises
    ------
    SourceError
        If it may not be looked into.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(f"Folder {folder} {describe_fault(folder, error)}.") from None


def find_tables(folder: Path) -> dict[str, Path]:
    """Find the file of each table, in any case; Parquet may be a folder of parts.

    Raises
    ------
    SourceError
        If there is none, or two files of one table, or a file that is not read in place of one.
    """
    entries = list_entries(folder)
    found = {table: _find_table(folder, entries, table) for table in s.TABLES}
    files = {table: file for table, file in found.items() if file is not None}
    if not files:
        raise SourceError(
            f"Folder {folder} holds none of the tables {list(s.TABLES)}, only {show_names(entries)}. "
            "Name the files after the tables, such as persons.csv or persons.parquet."
        )
    return files


def check_required(folder: Path, files: Sequence[str]) -> None:
    """Check that the tables are there that must be.

    Raises
    ------
    InputError
        If one is missing.
    """
    missing = [table for table in s.REQUIRED_TABLES if table not in files]
    if missing:
        raise InputError(
            f"Table {missing} is missing in folder {folder}, which holds {show_names(list_entries(folder))}. "
            f"Deliver at least {list(s.REQUIRED_TABLES)}."
        )


def check_is_there(file: Path) -> Path:
    """Check that a link leads to something.

    Raises
    ------
    SourceError
        If it does not.
    """
    if file.is_symlink() and not file.exists():
        raise SourceError(f"{file} is a link to nothing. Mend the link, or remove it.")
    return file


def show_names(entries: Sequence[Path]) -> str:
    """Show the names of some files.

    Examples
    --------
    >>> show_names([Path("in/Persons.xlsx"), Path("in/readme.txt")])
    'Persons.xlsx, readme.txt'
    """
    names = ", ".join(entry.name for entry in entries[:_NAMES_SHOWN])
    more = len(entries) - _NAMES_SHOWN
    return (f"{names} and {more} more" if more > 0 else names) or "nothing"


def _find_table(folder: Path, entries: Sequence[Path], table: str) -> Path | None:
    files = [entry for entry in entries if entry.name.lower() in {f"{table}{suffix}" for suffix in SUFFIXES}]
    if len(files) > 1:
        raise SourceError(
            f"Table {table} is there twice: {[file.name for file in files]}. Keep one of the files."
        )
    if files:
        return check_is_there(files[0])
    others = [entry for entry in entries if entry.name.lower().partition(".")[0] == table]
    if others:
        raise SourceError(
            f"Folder {folder} holds {show_names(others)}, which is not read as table {table}. "
            f"{_advise(others)}"
        )
    return None


def _advise(others: Sequence[Path]) -> str:
    if any((other / "_delta_log").is_dir() for other in others):
        return "Read Delta tables with from_delta (--source delta)."
    return "Deliver the table as CSV, gzipped CSV or Parquet, with the names .csv, .csv.gz or .parquet."
