"""Histories from the OMOP common data model."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from somv_risk.calls.notices import one_call
from somv_risk.registers.histories import Histories
from somv_risk.sources.frames import check_delivery, plan_delivery
from somv_risk.sources.keys import Key
from somv_risk.sources.omop.delivery import scan_omop
from somv_risk.store import ROWS_PER_BATCH, Batches, Delivery


@one_call()
def from_omop(
    path: str | Path,
    config: str | Path | None = None,
    *,
    data_end: datetime | None = None,
    encoding: str | None = None,
    pseudonymise_key: Key | None = None,
) -> Histories:
    """Make checked histories of an OMOP CDM 5.3 or 5.4 folder of CSV or Parquet files.

    Parameters
    ----------
    config
        A site's mapping, TOML; it states only what differs from the packaged one.
    data_end
        Moment at which the delivery ends; by default the end of the last observation period.
    encoding
        In which CSV files are written, as in `read_histories`.
    pseudonymise_key
        Secret of at least 16 bytes; person ids are replaced by keyed hashes before anything else.

    Returns
    -------
    Histories whose `dropped` counts what was not taken over and why, and whose `quarantine` holds the
    rows that broke a rule.

    Raises
    ------
    SourceError
        If a file is missing or cannot be read.
    InputError
        If a column is missing or has an unusable type.
    ConfigError
        If the mapping breaks a rule.
    """
    delivery = scan_omop(path, config, encoding=encoding)
    end = data_end or delivery.data_end
    histories = check_delivery(dict(delivery.tables), data_end=end, pseudonymise_key=pseudonymise_key)
    return replace(histories, dropped=delivery.dropped)


def deliver_omop(
    path: str | Path,
    config: str | Path | None = None,
    *,
    data_end: datetime | None = None,
    encoding: str | None = None,
    pseudonymise_key: Key | None = None,
) -> Delivery:
    """Make a delivery of an OMOP folder, for `ingest`; a table is in memory whole while it is read."""
    omop = scan_omop(path, config, encoding=encoding)
    tables = {table: _batch(frame) for table, frame in omop.tables.items()}
    end = data_end or omop.data_end
    return replace(
        plan_delivery(tables, data_end=end, pseudonymise_key=pseudonymise_key), dropped=omop.dropped
    )


def _batch(frame: pl.LazyFrame) -> Batches:
    columns = frame.collect_schema()

    def read() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=columns)
        yield from frame.collect().iter_slices(ROWS_PER_BATCH)

    return Batches(columns, read)
