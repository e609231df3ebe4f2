"""`python -m benchmarks.deliveries`: time and peak memory of ingesting, adding to and checking stores.

Each step runs in a process of its own, for 20,000 and for 80,000 made-up persons, 2,500 in a bucket.
"""

import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from somv_risk.simulate.region import simulate_store
from somv_risk.sources import read_histories, scan_folder
from somv_risk.store import append, ingest, scan_store, verify_store, write_store

SIZES = (20_000, 80_000)
PERSONS_PER_BUCKET = 2_500
END, DELIVERED = datetime(2026, 1, 1), datetime(2026, 1, 2)
STEPS = ("simulate", "at_once", "ingest", "append", "verify")


def run_step(step: str, folder: Path, persons: int) -> None:
    """Run one step: at_once and ingest make a store of the same files, append puts them into one again."""
    buckets, delivery = persons // PERSONS_PER_BUCKET, folder / "delivery"
    match step:
        case "simulate":
            simulate_store(folder / "region", persons=persons, buckets=buckets)
            delivery.mkdir()
            for table, frame in scan_store(folder / "region").tables.items():
                frame.sink_parquet(delivery / f"{table}.parquet")
        case "at_once":
            write_store(read_histories(delivery, data_end=END), folder / "at_once", buckets=buckets)
        case "ingest":
            ingest(scan_folder(delivery, data_end=END), folder / "store", buckets=buckets)
        case "append":
            # The region's own store knows nothing of deliveries, so that every row is compared.
            append(scan_folder(delivery, data_end=END), folder / "region", delivered_at=DELIVERED)
        case "verify":
            verify_store(folder / "store")


def measure(step: str, folder: Path, persons: int) -> str:
    command = [sys.executable, "-m", "benchmarks.deliveries", step, str(folder), str(persons)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def main() -> None:
    if len(sys.argv) > 1:
        step, folder, persons = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
        started = time.perf_counter()
        run_step(step, folder, persons)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{step:10} {persons:>8,} persons {time.perf_counter() - started:8.1f} s {peak:>7,} MB")
        return
    for persons in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                print(measure(step, Path(folder), persons), flush=True)


if __name__ == "__main__":
    main()
