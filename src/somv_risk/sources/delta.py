"""Delta Lake: one Delta table per table of the schema, read as it is or as it was, and written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import polars as pl

from somv_risk.calls.arguments import read_path
from somv_risk.calls.notices import one_call
from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import ConfigError, SourceError
from somv_risk.files.parquet import check_rows
from somv_risk.files.private_files import make_private_folder
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories, check_histories
from somv_risk.sources.delta_place import LOG, open_for_reading, open_for_writing
from somv_risk.sources.folder import list_entries, open_folder, show_names
from somv_risk.sources.frames import check_delivery, plan_delivery
from somv_risk.sources.keys import Key
from somv_risk.store import Batches, Delivery, deliver_frames

if TYPE_CHECKING:
    from deltalake import DeltaTable

Version = int | datetime | None

_FAULTS: Final[Mapping[str, str]] = {
    "CommitFailedError": "cannot be written: another run wrote it meanwhile. Write again",
    "DeltaProtocolError": "cannot be read: it uses features of Delta Lake that are not read, such as column "
    "mapping. Write it anew without them",
    "SchemaMismatchError": "cannot be written: it has other columns or types. Write the columns that it has",
    "PermissionError": "may not be read or written. Grant it to the user who runs this",
    "MemoryError": "needs more memory than there is. Free some, or use ingest, which reads in parts",
}


@one_call()
def from_delta(
    path: str | Path,
    *,
    version: Version | Mapping[str, Version] = None,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Histories:
    """Make checked histories of a folder of Delta tables: `persons/`, `admissions/`, ...

    Parameters
    ----------
    version
        Which version of the tables: a number, or the moment (local time) whose version is wanted; a mapping
        gives one by table. None for the newest.
    data_end, pseudonymise_key, timezone
        As in `from_frames`.

    Raises
    ------
    SourceError
        If the folder holds no Delta table, or one has no such version or cannot be read.
    ConfigError
        If the extra `delta` is not installed.
    InputError, IdentityError
        As in `from_frames`.
    """
    tables = _open_all(path, version, timezone)
    frames = {name: pl.concat(table.read()).lazy() for name, table in tables.items()}
    return check_delivery(frames, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def scan_delta(
    path: str | Path,
    *,
    version: Version | Mapping[str, Version] = None,
    data_end: datetime | None = None,
    pseudonymise_key: Key | None = None,
    timezone: str = TIMEZONE,
) -> Delivery:
    """Scan a folder as `from_delta` reads it, for `ingest`: nothing is checked or in memory yet."""
    tables = {
        name: Batches(table.columns, table.read) for name, table in _open_all(path, version, timezone).items()
    }
    return plan_delivery(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def write_delta(histories: Histories, path: str | Path) -> None:
    """Write histories as a folder of Delta tables, one for each table there is.

    A table is written at once and whole, the next one after it; one that is there becomes a new version.
    A folder that is made is for this user only.

    Raises
    ------
    SourceError
        If a table cannot be written.
    ConfigError
        If the extra `delta` is not installed.
    """
    check_histories(histories)
    make_private_folder(read_path("path", path))
    for table, frame in histories.tables.items():
        write_delta_table(frame, read_path("path", path) / table, mode="overwrite")


def write_delta_table(
    frame: pl.DataFrame | pl.LazyFrame,
    path: str | Path,
    *,
    mode: Literal["error", "append", "overwrite"] = "error",
) -> None:
    """Write a frame, such as scores, as a Delta table or as the next version of one.

    Parameters
    ----------
    mode
        What to do where the table is there: refuse, add the rows, or let them replace the others.

    Raises
    ------
    SourceError
        If the table is there and `mode` is "error", or if it cannot be written.
    ConfigError
        If the extra `delta` is not installed.
    """
    _check_installed()
    folder = read_path("path", path)
    texts = [name for name, dtype in frame.lazy().collect_schema().items() if isinstance(dtype, pl.Enum)]
    try:
        with open_for_writing(folder) as named:
            # Delta knows no closed sets of values.
            frame.lazy().with_columns(pl.col(texts).cast(pl.String)).sink_delta(named, mode=mode)
    except SourceError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - errors of Delta's own
        if mode == "error" and (folder / LOG).is_dir():
            raise SourceError(f"{path} exists already. Name a new folder, or add to it.") from None
        said = _describe(error, "cannot be written. Free space, or write the columns that it has")
        raise SourceError(f"The Delta table {path} {said}.") from None


@dataclass(frozen=True, slots=True)
class _Table:
    """A Delta table in one version, its columns, and how many rows it says that it has."""

    folder: Path
    version: int
    columns: pl.Schema
    rows: int | None

    def read(self) -> Iterator[pl.DataFrame]:
        with _name_table(self.folder), open_for_reading(self.folder) as named:
            frame = pl.scan_delta(_load(named, self.version))
            rows = 0
            for batch in deliver_frames({self.folder.name: frame})[self.folder.name].read():
                rows += batch.height
                yield batch
        if self.rows is not None:
            check_rows(f"The Delta table {self.folder}", rows, self.rows)


def _open_all(path: str | Path, version: Version | Mapping[str, Version], timezone: str) -> dict[str, _Table]:
    _check_installed()
    folder = open_folder(path, "a folder of Delta tables")
    names = [table for table in s.TABLES if (folder / table / LOG).is_dir()]
    if not names:
        raise SourceError(
            f"Folder {folder} holds none of the Delta tables {list(s.TABLES)}, only "
            f"{show_names(list_entries(folder))}. Name the tables' folders after them."
        )
    wanted = dict(version) if isinstance(version, Mapping) else dict.fromkeys(names, version)
    return {name: _open(folder / name, wanted.get(name), timezone) for name in names}


def _open(folder: Path, version: Version, timezone: str) -> _Table:
    """Open a table in a version all of whose files are there."""
    with _name_table(folder), open_for_reading(folder) as named:
        opened = _load(named, _find_version(named, folder, version, timezone))
        files = pl.DataFrame(opened.get_add_actions(flatten=True))
        _check_files(folder, files)
        columns = pl.scan_delta(opened).collect_schema()
        return _Table(folder, opened.version(), columns, _count_rows(opened, files))


def _load(named: Path, version: int | None) -> "DeltaTable":
    from deltalake import DeltaTable  # noqa: PLC0415 - an extra

    return DeltaTable(named, version=version)


def _check_files(folder: Path, files: pl.DataFrame) -> None:
    # Polars panics over a file that is shorter than the log says.
    for name, size in files.select("path", "size_bytes").iter_rows():
        file = folder / unquote(name)
        if "://" not in name and (not file.is_file() or file.stat().st_size != size):
            raise SourceError(
                f"The Delta table {folder} cannot be read: file {name} is missing or damaged. Mend it."
            )


def _count_rows(opened: "DeltaTable", files: pl.DataFrame) -> int | None:
    """Count the rows that the log says a table has, without those it has deleted; None if it does not say."""
    rows = files["num_records"] if "num_records" in files.columns else pl.Series([None] * files.height)
    if rows.null_count():
        return None
    kept = pl.DataFrame(opened.deletion_vectors())["selection_vector"]
    return int(rows.sum()) - int((~kept.explode()).sum())


def _find_version(named: Path, folder: Path, version: Version, timezone: str) -> int | None:
    """Find the version that was the newest at a moment; before the first there is none."""
    if not isinstance(version, datetime):
        return version
    moment = version if version.tzinfo else version.replace(tzinfo=ZoneInfo(timezone))
    latest = moment.timestamp() * 1_000
    numbers: list[int] = [
        entry["version"] for entry in _load(named, None).history() if entry["timestamp"] <= latest
    ]
    if not numbers:
        raise SourceError(f"The Delta table {folder} had no version yet at {version}. Name a later moment.")
    return max(numbers)


@contextmanager
def _name_table(folder: Path) -> Iterator[None]:
    """Make one sentence of whatever is wrong with a Delta table."""
    try:
        yield
    except SourceError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - errors of Delta's own
        said = _describe(error, "cannot be read in this version. Name another version, or mend the table")
        raise SourceError(f"The Delta table {folder} {said}.") from None


def _describe(error: BaseException, otherwise: str) -> str:
    """Say what Delta says, without its words, which may quote values."""
    return _FAULTS.get(type(error).__name__, otherwise)


def _check_installed() -> None:
    try:
        import deltalake  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "Delta tables need the package deltalake. Install it with: pip install 'somv-risk[delta]'."
        ) from None
