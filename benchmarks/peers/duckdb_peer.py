"""The peer in SQL: the whole feature catalogue by the files of `sql/`, run by DuckDB over a store.

It is run by a Python of its own, which has what `peers/duckdb.txt` names, and imports nothing of the library:

    python benchmarks/duckdb_peer.py --store store/ --index-time 2026-01-01 --out features.parquet

Time and memory are those from opening the store to the finished table in memory. All tables must be there.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

STATEMENTS = tuple(sorted((Path(__file__).parent / "sql").glob("*.sql")))
MEGABYTE = 2**20
# Linux counts ru_maxrss in KiB, macOS in bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    given = read_arguments()
    begin, cpu_begin = time.perf_counter(), time.process_time()
    features = build_features(given.store, given.index_time, given.threads, given.memory_limit)
    report = {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu_begin,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / MEGABYTE,
        "rows": features.num_rows,
        "duckdb": duckdb.__version__,
    }
    if given.out:
        begin = time.perf_counter()
        pq.write_table(features, given.out)
        report["write_seconds"] = time.perf_counter() - begin
    print(json.dumps(report))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the features of a store with DuckDB.")
    parser.add_argument("--store", required=True, help="folder of the store")
    parser.add_argument("--index-time", required=True, help="such as 2026-01-01")
    parser.add_argument("--out", help="Parquet file for the features; without it they are not written")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="16GB")
    return parser.parse_args()


def build_features(store: str, index_time: str, threads: int, memory_limit: str) -> pa.Table:
    """Run the files in order of their numbers; the last one defines the view `features`.

    One row per eligible person, in no particular order: `person_id` and the features in catalogue order.
    """
    # Nothing asks for the order of rows; keeping it would cost time.
    settings = {"threads": threads, "memory_limit": memory_limit, "preserve_insertion_order": False}
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET VARIABLE store = $1", [store])
        connection.execute("SET VARIABLE index_time = $1::TIMESTAMP", [index_time])
        for file in STATEMENTS:
            connection.execute(file.read_text(encoding="utf-8"))
        return connection.table("features").to_arrow_table()


if __name__ == "__main__":
    main()
