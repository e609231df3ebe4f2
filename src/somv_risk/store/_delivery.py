"""Delivery: tables as they come from a source, in batches of rows that need not fit in memory together."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import InputError
from somv_risk.files.parquet import check_rows
from somv_risk.registers import schema as s
from somv_risk.registers.headers import read_header, warn_of_others
from somv_risk.registers.histories import NOTHING_DROPPED, Histories, Quarantine
from somv_risk.registers.identity import Pseudonyms, describe_pseudonyms

ROWS_PER_BATCH: Final = 100_000


@dataclass(frozen=True, slots=True)
class Batches:
    """One delivered table: its columns, and a way to read it from the beginning, batch by batch."""

    columns: Mapping[str, pl.DataType]
    read: Callable[[], Iterator[pl.DataFrame]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivered tables that are not checked yet, and how they are to be read.

    Attributes
    ----------
    tables
        Batches by canonical table name, with canonical column names.
    latest
        Events that start after this moment are set aside.
    data_end
        Moment at which the delivery ends; None if it does not say.
    timezone, pseudonymise_key
        As in `from_frames`.
    dropped, quarantine
        What the source did not take over or set aside already.
    made_pseudonyms
        How the ids became pseudonyms before, if they did.
    """

    tables: Mapping[str, Batches]
    latest: datetime
    data_end: datetime | None = None
    timezone: str = TIMEZONE
    pseudonymise_key: str | bytes | None = None
    dropped: pl.DataFrame = field(default_factory=lambda: NOTHING_DROPPED)
    quarantine: Quarantine = field(default_factory=Quarantine)
    made_pseudonyms: Pseudonyms | None = None

    def __post_init__(self) -> None:
        unknown = set(self.tables) - set(s.TABLES)
        if unknown:
            raise InputError(f"Unknown table {sorted(unknown)}. Known tables are {list(s.TABLES)}.")
        for table, batches in self.tables.items():
            warn_of_others(table, read_header(table, list(batches.columns)))

    @property
    def pseudonyms(self) -> Pseudonyms | None:
        """How the ids become pseudonyms, or became such before; None if they are as the source has them."""
        return describe_pseudonyms(self.pseudonymise_key) or self.made_pseudonyms


def deliver_frames(tables: Mapping[str, pl.LazyFrame]) -> Mapping[str, Batches]:
    """Make batches of lazy frames, whose rows keep their order."""
    return MappingProxyType({table: _batch(table, frame) for table, frame in tables.items()})


def deliver_histories(histories: Histories) -> Delivery:
    """Make a delivery of histories that are checked already."""
    return Delivery(
        deliver_frames(histories.tables),
        latest=histories.data_end or datetime.max,
        data_end=histories.data_end,
        timezone=histories.timezone,
        dropped=histories.dropped,
        quarantine=histories.quarantine,
        made_pseudonyms=histories.pseudonyms,
    )


def _batch(table: str, frame: pl.LazyFrame) -> Batches:
    columns = frame.collect_schema()

    def read() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=columns)
        rows = 0
        # A panic of Polars ends the batches as if there were no more rows.
        for batch in frame.collect_batches(chunk_size=ROWS_PER_BATCH, maintain_order=True):
            rows += batch.height
            yield batch
        check_rows(f"Table {table}", rows, frame.select(pl.len()).collect().item())

    return Batches(columns, read)
