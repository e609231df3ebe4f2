"""Delta Lake: one Delta table per table of the schema, read as it is or as it was, and written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import polars as pl

from somv_risk import schema as s
from somv_risk.errors import ConfigError, SourceError
from somv_risk.histories import Histories
from somv_risk.sources.frames import check_delivery, plan_delivery
from somv_risk.sources.keys import Key
from somv_risk.store import Batches, Delivery, deliver_frames
from somv_risk.timezones import TIMEZONE

if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG = "_delta_log"
Version = int | datetime | None


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
    tables = _scan(Path(path), version, timezone)
    frames = {}
    for table, frame in tables.items():
        with _name_table(table, Path(path)):
            frames[table] = frame.collect().lazy()
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
    folder = Path(path)
    tables = {
        table: _batch(table, frame, folder) for table, frame in _scan(folder, version, timezone).items()
    }
    return plan_delivery(tables, data_end=data_end, pseudonymise_key=pseudonymise_key, timezone=timezone)


def write_delta(histories: Histories, path: str | Path) -> None:
    """Write histories as a folder of Delta tables, one for each table there is.

    A table is written at once and whole, the next one after it; one that is there becomes a new version.

    Raises
    ------
    SourceError
        If a table cannot be written.
    ConfigError
        If the extra `delta` is not installed.
    """
    for table, frame in histories.tables.items():
        write_delta_table(frame, Path(path) / table, mode="overwrite")


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
    texts = [name for name, dtype in frame.lazy().collect_schema().items() if isinstance(dtype, pl.Enum)]
    try:
        # Delta knows no closed sets of values.
        frame.lazy().with_columns(pl.col(texts).cast(pl.String)).sink_delta(path, mode=mode)
    except Exception as error:  # noqa: BLE001 - Delta has errors of its own, and they may quote values
        if mode == "error" and (Path(path) / LOG).is_dir():
            raise SourceError(f"{path} exists already. Name a new folder, or add to it.") from None
        raise SourceError(
            f"The Delta table {path} cannot be written ({type(error).__name__}). "
            "Free space, or write the columns that it has."
        ) from None


def _scan(folder: Path, version: Version | Mapping[str, Version], timezone: str) -> dict[str, pl.LazyFrame]:
    _check_installed()
    names = [table for table in s.SCHEMAS if (folder / table / LOG).is_dir()]
    if not names:
        raise SourceError(
            f"Folder {folder} holds none of the Delta tables {list(s.SCHEMAS)}. "
            "Name the tables' folders after them."
        )
    wanted = dict(version) if isinstance(version, Mapping) else dict.fromkeys(names, version)
    frames = {}
    for table in names:
        with _name_table(table, folder):
            frames[table] = pl.scan_delta(_open(folder / table, wanted.get(table), timezone))
    return frames


def _open(path: Path, version: Version, timezone: str) -> "DeltaTable":
    """Open a table in a version all of whose files are there."""
    from deltalake import DeltaTable  # noqa: PLC0415 - an extra

    opened = DeltaTable(path, version=_find_version(path, version, timezone))
    files = pl.DataFrame(opened.get_add_actions(flatten=True)).select("path", "size_bytes")
    # Polars panics over a file that is shorter than the log says.
    for name, size in files.iter_rows():
        file = path / unquote(name)
        if "://" not in name and (not file.is_file() or file.stat().st_size != size):
            raise SourceError(
                f"The Delta table {path} cannot be read: file {name} is missing or damaged. Mend it."
            )
    return opened


def _find_version(path: Path, version: Version, timezone: str) -> int | None:
    """Find the version that was the newest at a moment; before the first there is none."""
    from deltalake import DeltaTable  # noqa: PLC0415 - an extra

    if not isinstance(version, datetime):
        return version
    moment = version if version.tzinfo else version.replace(tzinfo=ZoneInfo(timezone))
    latest = moment.timestamp() * 1_000
    numbers: list[int] = [
        entry["version"] for entry in DeltaTable(path).history() if entry["timestamp"] <= latest
    ]
    if not numbers:
        raise SourceError(f"The Delta table {path} had no version yet at {version}. Name a later moment.")
    return max(numbers)


def _batch(table: str, frame: pl.LazyFrame, folder: Path) -> Batches:
    batches = deliver_frames({table: frame})[table]

    def read() -> Iterator[pl.DataFrame]:
        with _name_table(table, folder):
            yield from batches.read()

    return Batches(batches.columns, read)


@contextmanager
def _name_table(table: str, folder: Path) -> Iterator[None]:
    """Make one sentence of whatever is wrong with a Delta table."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - Delta has errors of its own
        raise SourceError(
            f"The Delta table {folder / table} cannot be read in this version ({type(error).__name__}). "
            "Name another version, or mend the table."
        ) from None


def _check_installed() -> None:
    try:
        import deltalake  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "Delta tables need the package deltalake. Install it with: pip install 'somv-risk[delta]'."
        ) from None
