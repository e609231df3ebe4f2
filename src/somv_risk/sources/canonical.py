"""Canonical folders: one Parquet or CSV file per table, with the schema's own names."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from somv_risk.calls.notices import one_call
from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import ConfigError
from somv_risk.registers.histories import Histories
from somv_risk.registers.soundness import warn_of_quarantine
from somv_risk.registers.span import Span, infer_span
from somv_risk.sources.csv_file import CsvFile, check_encoding
from somv_risk.sources.folder import check_required, find_tables, open_folder
from somv_risk.sources.frames import check_delivery, plan_delivery
from somv_risk.sources.keys import Key
from somv_risk.sources.parquet_table import ParquetTable
from somv_risk.store import Batches, Delivery, deliver_histories, is_store, scan_store

_WANTED: Final = "a store or a folder of Parquet or CSV tables"


@one_call()
def read_histories(
    path: str | Path,
    *,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
    encoding: str | None = None,
) -> Histories:
    """Read histories from a store, or from a folder of canonical tables.

    A store (written by `ingest`) was checked when it was written and is scanned lazily. A folder holds
    `persons.parquet`, `admissions.csv`, ... (Parquet, also as a folder of parts; CSV or gzipped CSV, whose
    separator and line ends are read from its header) and is checked row by row. Paths are taken
    literally, and as many rows are read as a file has.

    Parameters
    ----------
    data_end, pseudonymise_key, timezone
        As in `from_frames`; a store has its own and takes none.
    encoding
        In which CSV files are written, such as "cp1252" (Windows, Excel), "latin-1" or "utf-16"; by default
        UTF-8.

    Raises
    ------
    SourceError
        If the folder or a file is missing or cannot be read.
    ConfigError
        If a store is given a data end, a key or an encoding, or the encoding is unknown.
    InputError, IdentityError
        As in `from_frames`.

    Warns
    -----
    QuarantineWarning
        If more than 1 % of a table was set aside.
    """
    folder = open_folder(path, _WANTED)
    if _holds_store(folder, data_end, pseudonymise_key, encoding):
        histories = scan_store(folder)
        warn_of_quarantine(histories)
        return histories
    files = find_tables(folder)
    check_required(folder, list(files))
    tables = {table: _open(file, encoding).read_whole().lazy() for table, file in files.items()}
    histories = check_delivery(
        tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone
    )
    start, end = infer_span(histories.admissions).collect().row(0)
    is_given = histories.data_end is not None
    span = Span(start, histories.data_end or end, is_given=is_given, guards=False)
    return replace(histories, span=span)


def scan_folder(
    path: str | Path,
    *,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
    encoding: str | None = None,
) -> Delivery:
    """Scan a folder as `read_histories` reads it, for `ingest`: nothing is checked or in memory yet.

    Raises
    ------
    SourceError, ConfigError, InputError
        As `read_histories`; of rows, only once they are read.
    """
    folder = open_folder(path, _WANTED)
    if _holds_store(folder, data_end, pseudonymise_key, encoding):
        return deliver_histories(scan_store(folder))
    tables = {table: _batch(_open(file, encoding)) for table, file in find_tables(folder).items()}
    return plan_delivery(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def _holds_store(folder: Path, *own: object) -> bool:
    if is_store(folder) and any(one is not None for one in own):
        raise ConfigError(
            f"{folder} is a store with a data end and pseudonyms of its own. Give yours to ingest."
        )
    return is_store(folder)


def _open(file: Path, encoding: str | None) -> CsvFile | ParquetTable:
    known = check_encoding(encoding)
    return ParquetTable.open(file) if file.suffix.lower() == ".parquet" else CsvFile.open(file, known)


def _batch(table: CsvFile | ParquetTable) -> Batches:
    def read() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=table.columns)
        yield from table.read()

    return Batches(table.columns, read)
