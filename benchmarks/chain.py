"""The steps of the chain: a region is made, features are built, a model is trained, and all are scored."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.equality import (
    check_against_reference,
    check_features_built_alone,
    check_region_made_in_other_ways,
    check_scores_of_one,
)
from benchmarks.measuring import MEGABYTE, measure, read_peak_mb, time_calls
from benchmarks.samples import read_citizens, write_citizens
from somv_risk import (
    build_features,
    from_frames,
    load_model,
    make_cohort,
    read_histories,
    score,
    simulate,
    train,
)
from somv_risk.registers.histories import Histories
from somv_risk.simulate import simulate_store
from somv_risk.store import read_manifest, write_store

INDEX_TIME = "2026-01-01"
CAPACITY = 100
Report = dict[str, Any]


def do_nothing(folder: Path) -> Report:  # noqa: ARG001 - all steps are called alike
    """Tell what every other step holds as well: the interpreter and the imported libraries."""
    return {"peak_mb": read_peak_mb()}


def simulate_region(folder: Path, persons: int, seed: int) -> Report:
    region, cost = measure(lambda: simulate(persons=persons, seed=seed))
    write_store(region, folder / "store")
    rows = sum(frame.select(pl.len()).collect().item() for frame in region.tables.values())
    return cost | {"persons": persons, "rows": rows}


def check_regions(folder: Path, persons: int, seed: int) -> Report:
    """Check that a region does not depend on how it is made."""
    return {"sentences": [check_region_made_in_other_ways(folder, persons, seed)]}


def write_region(folder: Path, persons: int, seed: int, threads: int, keep_as: str = "") -> Report:
    store = folder / (keep_as or f"region-{persons}-{threads}")
    _, cost = measure(lambda: simulate_store(store, persons, seed, threads=threads))
    rows = sum(read_manifest(store)["rows"].values())
    megabytes = sum(file.stat().st_size for file in store.rglob("*.parquet")) / MEGABYTE
    if not keep_as:
        shutil.rmtree(store)
    return cost | {"persons": persons, "threads": threads, "rows": rows, "store_mb": megabytes}


def build_region(folder: Path) -> Report:
    histories = read_histories(folder / "store")
    frame, cost = measure(lambda: build_features(histories, _make_cohort(histories)).collect())
    return cost | {"persons": frame.height, "features": frame.width - 2}


def train_model(folder: Path) -> Report:
    histories = read_histories(folder / "store")
    model, cost = measure(lambda: train(histories))
    model.save(folder / "model")
    index_times = sum(len(moments) for moments in model.facts["index_times"].values())
    return cost | {"index_times": index_times, "targets": len(model.heads)}


def score_region(folder: Path) -> Report:
    histories, model = read_histories(folder / "store"), load_model(folder / "model")
    scores, cost = measure(lambda: score(model, histories, index_time=INDEX_TIME, capacity=CAPACITY))
    return cost | {"persons": scores.height, "explained": CAPACITY}


def draw_citizens(folder: Path, calls: int) -> Report:
    """Draw the persons to be scored alone, so that later steps need not hold the region."""
    histories, model = read_histories(folder / "store"), load_model(folder / "model")
    scores = score(model, histories, index_time=INDEX_TIME, capacity=CAPACITY)
    write_citizens(histories, scores, folder, calls)
    return {"calls": calls}


def score_citizens(folder: Path) -> Report:
    """Score citizens one at a time, with reasons."""
    model = load_model(folder / "model")
    tables = list(read_citizens(folder))
    citizens = [Histories({name: frame.lazy() for name, frame in own.items()}) for own in tables]

    def score_checked(own: Histories) -> object:
        return score(model, own, index_time=INDEX_TIME, explain="all")

    def check_then_score(frames: Mapping[str, pl.DataFrame]) -> object:
        return score_checked(from_frames(**frames))

    return {
        "calls": len(citizens),
        "score": time_calls(score_checked, citizens),
        "check_then_score": time_calls(check_then_score, tables),
        "peak_mb": read_peak_mb(),
    }


def check_equality(folder: Path, persons: int, reference_persons: int) -> Report:
    """Check everything that the figures rest on; the first difference is an error."""
    histories, model = read_histories(folder / "store"), load_model(folder / "model")
    region = build_features(histories, _make_cohort(histories)).collect()
    return {
        "sentences": [
            check_features_built_alone(histories, region, persons),
            check_scores_of_one(model, histories.data_end, folder),
            check_against_reference(histories, region, reference_persons),
        ]
    }


def _make_cohort(histories: Histories) -> pl.DataFrame:
    return make_cohort(histories, [INDEX_TIME]).rows.collect()
