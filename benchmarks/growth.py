"""Growth: stores with fewer persons or more events, to see what each costs."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import polars as pl

from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.store import scan_store, write_store

BUCKETS = 2
EARLIER = timedelta(days=100)
MOMENTS = (s.STARTED_AT, s.ENDED_AT, s.KNOWN_AT)
IDS = (s.CONTACT_ID, s.EPISODE_ID)


def write_stores(folder: Path, store: str) -> Mapping[str, int]:
    """Write the region once more: as it is, with half of its persons, and with twice their events."""
    whole = scan_store(folder / store)
    persons = whole.persons.select(pl.col(s.PERSON_ID).sort())
    half = whole.keep_persons(persons.filter(pl.int_range(pl.len()) % 2 == 0))
    made = {"whole": whole, "half": half, "busy": _double_events(whole)}
    for name, histories in made.items():
        write_store(histories, folder / name, buckets=BUCKETS)
    return {name: _count_events(histories) for name, histories in made.items()}


def _double_events(histories: Histories) -> Histories:
    """Let everything have happened once more, 100 days earlier and under other ids."""
    tables = {
        name: frame if name == s.PERSONS else pl.concat([frame, _happen_earlier(frame)])
        for name, frame in histories.tables.items()
    }
    return Histories(tables, data_end=histories.data_end)


def _happen_earlier(frame: pl.LazyFrame) -> pl.LazyFrame:
    columns = frame.collect_schema().names()
    return frame.with_columns(
        *(pl.col(name) - EARLIER for name in MOMENTS if name in columns),
        *(pl.col(name) + "-again" for name in IDS if name in columns),
    )


def _count_events(histories: Histories) -> int:
    return sum(histories.table(name).select(pl.len()).collect().item() for name in s.EVENT_TABLES)
