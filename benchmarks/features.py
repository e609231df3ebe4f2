"""The features of a region: from a store on disk to float32 matrices in memory, by this library."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.choices import CHOICES
from benchmarks.loops import load_loops
from benchmarks.matrices import write_matrix
from benchmarks.measuring import measure, read_peak_mb, time_calls
from benchmarks.samples import read_citizens
from somv_risk import build_features, make_cohort
from somv_risk.features import Feature, load_catalogue
from somv_risk.model.matrix import Encoding, Rows, build_matrices, build_matrix
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.store import scan_store

Report = dict[str, Any]


def scan_tables(folder: Path, store: str) -> Report:
    """Read every column of every table, one part of the store after the other, and do nothing with them."""
    rows, cost = measure(lambda: sum(map(_read, scan_store(folder / store).parts)))
    return cost | {"rows": rows}


def _read(histories: Histories) -> int:
    return sum(frame.height for frame in pl.collect_all(list(histories.tables.values())))


def build_at_once(
    folder: Path, store: str, index_times: list[str], choice: str = "all", write_as: str = ""
) -> Report:
    """Build one matrix of all rows."""
    features, loading = CHOICES[choice](), load_loops()
    built, cost = measure(lambda: _build(folder / store, _read_moments(index_times), features))
    if write_as:
        write_matrix(folder, write_as, built.cohort[s.PERSON_ID], built.matrix)
    rows, columns = built.matrix.shape
    return cost | {"rows": rows, "features": columns, "loading_seconds": loading}


def build_and_drop(folder: Path, store: str, index_times: list[str]) -> Report:
    """Build the matrices piece by piece, and forget each before the next."""

    def count_rows() -> int:
        histories, cohort, encoding = _open(folder / store, _read_moments(index_times), load_catalogue())
        return sum(len(rows) for rows in build_matrices(histories, cohort, encoding))

    load_loops()
    rows, cost = measure(count_rows)
    return cost | {"rows": rows}


def build_in_a_loop(folder: Path, store: str, index_times: list[str]) -> Report:
    """Build the matrix of each index time on its own, and forget it before the next."""
    moments = _read_moments(index_times)
    load_loops()
    rows, cost = measure(
        lambda: sum(len(_build(folder / store, [moment], load_catalogue())) for moment in moments)
    )
    return cost | {"rows": rows}


def build_citizens(folder: Path, index_time: str, rounds: int) -> Report:
    """Build the features of citizens one at a time, from their checked rows in memory."""
    citizens = [
        Histories({name: frame.lazy() for name, frame in own.items()}) for own in read_citizens(folder)
    ]
    moment = datetime.fromisoformat(index_time)

    def build(own: Histories) -> pl.DataFrame:
        cohort = own.persons.select(s.PERSON_ID, pl.lit(moment).alias(s.INDEX_TIME))
        return build_features(own, cohort).collect()

    return time_calls(build, citizens * rounds) | {"citizens": len(citizens), "peak_mb": read_peak_mb()}


def _read_moments(index_times: Sequence[str]) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in index_times]


def _build(store: Path, moments: Sequence[datetime], features: Sequence[Feature]) -> Rows:
    return build_matrix(*_open(store, moments, features))


def _open(
    store: Path, moments: Sequence[datetime], features: Sequence[Feature]
) -> tuple[Histories, pl.DataFrame, Encoding]:
    """Scan a store, make its cohort, and number the categories."""
    histories = scan_store(store)
    persons = histories.persons.select(pl.col(s.SEX, s.MUNICIPALITY).cast(pl.String)).collect()
    values = {column.name: tuple(column.drop_nulls().unique().sort()) for column in persons}
    return (
        histories,
        make_cohort(histories, moments).rows.collect(),
        Encoding(tuple(features), _name(values, features)),
    )


def _name(values: dict[str, tuple[str, ...]], features: Sequence[Feature]) -> dict[str, tuple[str, ...]]:
    return {feature.name: values[feature.definition.measured] for feature in features if feature.is_category}
