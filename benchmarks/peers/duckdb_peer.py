"""The peer in SQL: the whole feature catalogue by the files of `benchmarks/sql/`, run by DuckDB over a store.

It is run by a Python of its own, which has what `peers/duckdb.txt` names, and imports nothing of the library:

    python -m benchmarks.peers.duckdb_peer features '{"store": "store/", "index_time": "2026-01-01"}'

Time and memory are those from opening the store to the float32 matrix in memory. All tables must be there.
"""

import json
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

STATEMENTS = tuple(sorted((Path(__file__).parent.parent / "sql").glob("*.sql")))
MEGABYTE = 2**20
# Linux counts ru_maxrss in KiB, macOS in bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
CATEGORIES = ("sex", "municipality")

Matrix = npt.NDArray[np.float32]


def main() -> None:
    print(json.dumps(measure_features(**json.loads(sys.argv[2]))))


def measure_features(
    store: str, index_time: str, threads: int = 2, memory_limit: str = "16GB", write_as: str = ""
) -> dict[str, Any]:
    """Build the matrix and tell the cost; `write_as` names files for it, without their suffix."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    person_ids, matrix = build_matrix(store, index_time, threads, memory_limit)
    report = {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu_begin,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / MEGABYTE,
        "rows": matrix.shape[0],
        "features": matrix.shape[1],
    }
    if write_as:
        np.save(f"{write_as}.npy", matrix)
        pq.write_table(pa.table({"person_id": person_ids}), f"{write_as}.parquet")
    return report


def build_matrix(
    store: str, index_time: str, threads: int, memory_limit: str
) -> tuple[pa.ChunkedArray, Matrix]:
    """Run the files in order of their numbers; the last one defines the view `features`.

    One row per eligible person, in no particular order; the features stand in catalogue order.
    """
    # Nothing asks for the order of rows; keeping it would cost time.
    settings = {"threads": threads, "memory_limit": memory_limit, "preserve_insertion_order": False}
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET VARIABLE store = $1", [store])
        connection.execute("SET VARIABLE index_time = $1::TIMESTAMP", [index_time])
        for file in STATEMENTS:
            connection.execute(file.read_text(encoding="utf-8"))
        for name in CATEGORIES:
            connection.execute(
                f"SET VARIABLE {name} = (SELECT list_sort(list(DISTINCT {name}::VARCHAR)) "  # noqa: S608 - our own names
                "FROM read_parquet(file('persons'), hive_partitioning = false))"
            )
        names = connection.table("features").columns[1:]
        numbers = ", ".join(f"coalesce({_express(name)}, 'nan'::FLOAT) AS {name}" for name in names)
        built = connection.sql(f"SELECT person_id, {numbers} FROM features").to_arrow_table()  # noqa: S608
        return built["person_id"], _fill(built.num_rows, [built[name] for name in names])


def _express(name: str) -> str:
    """A feature as a number; that of a category is its place."""
    if name in CATEGORIES:
        return f"(list_position(getvariable('{name}'), {name}::VARCHAR) - 1)::FLOAT"
    return f"{name}::FLOAT"


def _fill(rows: int, columns: Iterable[pa.ChunkedArray]) -> Matrix:
    chosen = list(columns)
    matrix = np.empty((rows, len(chosen)), np.float32, order="F")
    for place, column in enumerate(chosen):
        begin = 0
        for chunk in column.chunks:
            matrix[begin : begin + len(chunk), place] = chunk.to_numpy(zero_copy_only=True)
            begin += len(chunk)
    return matrix


if __name__ == "__main__":
    main()
