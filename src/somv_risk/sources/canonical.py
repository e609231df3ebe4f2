"""Canonical folders: one Parquet or CSV file per table, with the schema's own names."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import polars as pl

from somv_risk import schema as s
from somv_risk.errors import ConfigError, SourceError
from somv_risk.histories import Histories
from somv_risk.sources.frames import check_delivery, plan_delivery
from somv_risk.sources.keys import Key
from somv_risk.store import Batches, Delivery, deliver_frames, deliver_histories, is_store, scan_store
from somv_risk.timezones import TIMEZONE

SUFFIXES = (".parquet", ".csv", ".csv.gz")
SEPARATORS = (";", "\t", ",")


def read_histories(
    path: str | Path,
    *,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Histories:
    """Read histories from a store, or from a folder of canonical tables.

    A store (written by `ingest`) was checked when it was written and is scanned lazily. A folder holds
    `persons.parquet`, `admissions.csv`, ... (Parquet, CSV or gzipped CSV; the separator of a CSV is
    read from its header) and is checked row by row.

    Parameters
    ----------
    data_end, pseudonymise_key, timezone
        As in `from_frames`; a store has its own and takes none.

    Raises
    ------
    SourceError
        If the folder or a file is missing or cannot be read.
    ConfigError
        If a store is given a data end or a key.
    InputError, IdentityError
        As in `from_frames`.
    """
    folder = Path(path)
    if _holds_store(folder, has_own=data_end is not None or pseudonymise_key is not None):
        return scan_store(folder)
    tables = {table: _read(file) for table, file in _find_all(folder).items()}
    return check_delivery(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def scan_folder(
    path: str | Path,
    *,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Delivery:
    """Scan a folder as `read_histories` reads it, for `ingest`: nothing is checked or in memory yet.

    Raises
    ------
    SourceError, ConfigError, InputError
        As `read_histories`; of rows, only once they are read.
    """
    folder = Path(path)
    if _holds_store(folder, has_own=data_end is not None or pseudonymise_key is not None):
        return deliver_histories(scan_store(folder))
    tables = {table: _batch(table, file) for table, file in _find_all(folder).items()}
    return plan_delivery(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def _holds_store(folder: Path, *, has_own: bool) -> bool:
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}. Give a store or a folder of Parquet or CSV tables.")
    if is_store(folder) and has_own:
        raise ConfigError(
            f"{folder} is a store with a data end and pseudonyms of its own. Give yours to ingest."
        )
    return is_store(folder)


def _find_all(folder: Path) -> dict[str, Path]:
    files = {table: file for table in s.SCHEMAS if (file := _find(folder, table))}
    if not files:
        raise SourceError(
            f"Folder {folder} holds none of the tables {list(s.SCHEMAS)}. Name the files after the tables."
        )
    return files


def _find(folder: Path, table: str) -> Path | None:
    files = [folder / f"{table}{suffix}" for suffix in SUFFIXES if (folder / f"{table}{suffix}").exists()]
    if len(files) > 1:
        raise SourceError(
            f"Table {table} is there twice: {[file.name for file in files]}. Keep one of the files."
        )
    return files[0] if files else None


def _read(file: Path) -> pl.LazyFrame:
    with _name_file(file):
        if file.suffix == ".parquet":
            return pl.read_parquet(file).lazy()
        return pl.read_csv(file, separator=_sniff_separator(file), infer_schema=False).lazy()


def _batch(table: str, file: Path) -> Batches:
    with _name_file(file):
        frame = (
            pl.scan_parquet(file)
            if file.suffix == ".parquet"
            else pl.scan_csv(file, separator=_sniff_separator(file), infer_schema=False)
        )
        batches = deliver_frames({table: frame})[table]

    def read() -> Iterator[pl.DataFrame]:
        with _name_file(file):
            yield from batches.read()

    return Batches(batches.columns, read)


@contextmanager
def _name_file(file: Path) -> Iterator[None]:
    """Make one sentence of whatever is wrong with a file."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"File {file} cannot be read ({type(error).__name__}). Deliver it again.") from None


def _sniff_separator(file: Path) -> str:
    # The header as one cell: quotes count for nothing there, or a quoted first cell would break the line.
    header = pl.read_csv(
        file, has_header=False, n_rows=1, infer_schema=False, separator="\x1f", quote_char=None
    ).item(0, 0)
    counts = {separator: str(header).count(separator) for separator in SEPARATORS}
    return max(SEPARATORS, key=lambda separator: counts[separator])
