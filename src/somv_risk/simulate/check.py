"""Check: a made-up region held against published figures, bucket by bucket."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.simulate.measures import Measurements, combine, compute_figures, measure
from somv_risk.simulate.targets import Target, compare
from somv_risk.store import read_manifest, scan_store


@dataclass(frozen=True, slots=True)
class Check:
    """How a region compares: one row per target, and what the figures were computed from."""

    comparison: pl.DataFrame
    measurements: Measurements


def check_store(
    store: str | Path,
    targets: Sequence[Target],
    *,
    start: date,
    difficulty: pl.DataFrame | None = None,
    progress: Progress = ignore_progress,
) -> Check:
    """Measure a store, one bucket at a time, and compare it with the targets.

    Parameters
    ----------
    store
        Where `simulate_store` wrote the region.
    start
        First day of its period.
    difficulty
        What `measure_difficulty` returned; without it those targets are not measured.
    progress
        Called with the step, how many buckets are done, and their total.

    Raises
    ------
    SourceError
        If the store cannot be read.
    """
    folder = Path(store)
    buckets = read_manifest(folder)["buckets"]
    first_moment = datetime(start.year, start.month, start.day)
    parts = []
    for bucket in range(buckets):
        progress("measuring", bucket, buckets)
        part = scan_store(folder, bucket)
        # Few persons may leave a bucket empty.
        if not part.persons.select(pl.len()).collect().item():
            continue
        parts.append(measure(part, data_start=first_moment))
    progress("measuring", buckets, buckets)
    measurements = combine(parts)
    figures = [compute_figures(measurements), *([] if difficulty is None else [difficulty])]
    return Check(compare(targets, pl.concat(figures, how="vertical")), measurements)
