"""The features of a region by the kernel, compiled before by a run on a small store."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernel import (
    CACHE,
    FEATURE_NAMES,
    build_matrix,
    fill_matrix,
    list_eligible,
    load_buckets,
)
from benchmarks.matrices import write_matrix
from benchmarks.measuring import measure

Report = dict[str, Any]


def compile_kernel(folder: Path, small_store: str, index_time: str) -> Report:
    """Compile all afresh; what the first run takes longer than the second is the compiling."""
    for file in Path(CACHE).rglob("*.nb?"):
        file.unlink()
    moments = [datetime.fromisoformat(index_time)]
    _, first = measure(lambda: build_matrix(folder / small_store, moments))
    _, second = measure(lambda: build_matrix(folder / small_store, moments))
    return first | {"compile_seconds": first["seconds"] - second["seconds"]}


def build_at_once(
    folder: Path, store: str, small_store: str, index_times: list[str], write_as: str = ""
) -> Report:
    moments = [datetime.fromisoformat(text) for text in index_times]
    build_matrix(folder / small_store, moments[:1])
    built, cost = measure(lambda: build_matrix(folder / store, moments))
    if write_as:
        write_matrix(folder, write_as, *built[0])
    return cost | {"rows": sum(ids.len() for ids, _ in built), "features": len(FEATURE_NAMES)}


def build_and_drop(folder: Path, store: str, small_store: str, index_times: list[str]) -> Report:
    """Build a matrix per bucket and index time, and forget each before the next."""
    moments = [datetime.fromisoformat(text) for text in index_times]
    build_matrix(folder / small_store, moments[:1])
    rows, cost = measure(lambda: _count_rows(folder / store, moments))
    return cost | {"rows": rows}


def _count_rows(store: Path, moments: list[datetime]) -> int:
    rows = 0
    for arrays in load_buckets(store, moments):
        for moment in moments:
            eligible = list_eligible(arrays, moment)
            matrix = np.empty((eligible.size, len(FEATURE_NAMES)), np.float32)
            fill_matrix(arrays, moment, eligible, matrix)
            rows += eligible.size
    return rows
