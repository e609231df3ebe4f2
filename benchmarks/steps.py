"""The steps of the chain, each run by `run_step` in a process of its own."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from benchmarks.equality import (
    check_against_plain_counts,
    check_against_reference,
    check_features_built_alone,
    check_region_made_in_other_ways,
    check_scores_of_one,
)
from benchmarks.measuring import MEGABYTE, measure, measure_best, read_peak_mb
from benchmarks.plain import choose_count_features, count_plainly
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
from somv_risk import schema as s
from somv_risk.features import Timeline
from somv_risk.features._views import VIEWS
from somv_risk.histories import Histories
from somv_risk.simulate import simulate_store
from somv_risk.store import read_manifest, write_store

INDEX_TIME = "2026-01-01"
CAPACITY = 100
REPEATS = 5
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


def write_region(folder: Path, persons: int, seed: int, threads: int) -> Report:
    store = folder / f"region-{persons}-{threads}"
    _, cost = measure(lambda: simulate_store(store, persons, seed, threads=threads))
    rows = sum(read_manifest(store)["rows"].values())
    megabytes = sum(file.stat().st_size for file in store.rglob("*.parquet")) / MEGABYTE
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
        "score": _time_calls(score_checked, citizens),
        "check_then_score": _time_calls(check_then_score, tables),
        "peak_mb": read_peak_mb(),
    }


def _time_calls(call: Callable[[Any], object], arguments: list[Any]) -> dict[str, float]:
    call(arguments[0])
    milliseconds = pl.Series([_time(lambda given=given: call(given)) * 1000 for given in arguments])
    return {
        name: float(milliseconds.quantile(share, "linear") or 0)
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def _time(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


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


def compare_counts(folder: Path) -> Report:
    """Count the admissions features in one pass and by one filtered group_by each; equality first."""
    histories = read_histories(folder / "store")
    rows = _make_cohort(histories)
    admissions = VIEWS[s.ADMISSIONS].build(Timeline(histories, rows.lazy()))
    features = choose_count_features()

    def count_in_one_pass() -> pl.DataFrame:
        return build_features(histories, rows, features).collect()

    def count_one_by_one() -> pl.DataFrame:
        return count_plainly(admissions.collect(), rows, features)

    check_against_plain_counts(count_in_one_pass(), count_one_by_one())
    return {
        "features": len(features),
        "repeats": REPEATS,
        "prepare": measure_best(admissions.collect, REPEATS),
        "one_pass": measure_best(count_in_one_pass, REPEATS),
        "one_by_one": measure_best(count_one_by_one, REPEATS),
    }


def _make_cohort(histories: Histories) -> pl.DataFrame:
    return make_cohort(histories, [INDEX_TIME]).rows.collect()


STEPS: Mapping[str, Callable[..., Report]] = MappingProxyType(
    {
        step.__name__: step
        for step in (
            do_nothing,
            simulate_region,
            check_regions,
            write_region,
            build_region,
            train_model,
            draw_citizens,
            check_equality,
            score_region,
            score_citizens,
            compare_counts,
        )
    }
)


def main() -> None:
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    folder = Path(arguments.pop("folder"))
    print(json.dumps(STEPS[name](folder, **arguments)))


if __name__ == "__main__":
    main()
