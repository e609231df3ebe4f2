"""The plan: which steps are run, in which order, and with what. It imports nothing of the library."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.measuring import measure_in_turn, run_step, tell_cost
from benchmarks.peers.asked import IN_REACH, WHOLE
from benchmarks.peers.asking import ask_library, ask_peer
from benchmarks.peers.comparison import compare_with_peer
from benchmarks.peers.environments import PEERS, run_peer

Report = dict[str, Any]
Reports = dict[str, Report]

INDEX_TIME, YEAR_BEFORE = "2026-01-01", "2025-01-01"
# Every quarter, the latest first.
QUARTERS = tuple(f"{year}-{month:02}-01" for year in (2026, 2025, 2024, 2023) for month in (10, 7, 4, 1))[3:]
INDEX_TIMES = (1, 2, 4, 12)
SMALL, FULL, SECOND, REGION = "small", "full", "second", "store"
SMALL_PERSONS, CHECKED_PERSONS = 2_000, 25_000


@dataclass(frozen=True)
class Plan:
    """What was asked for on the command line, and where to work."""

    folder: Path
    persons: int
    full: int
    seed: int
    calls: int
    repeats: int
    featuretools: int

    def run(self, name: str, /, **arguments: object) -> Report:
        return run_step(name, folder=str(self.folder), **arguments)


def measure_regions(plan: Plan) -> Reports:
    """Check that a region does not depend on how it is made, and then make some, up to a full one to keep."""
    full = plan.full
    sizes = ((full // 4, 2, ""), (full // 2, 1, ""), (full // 2, 2, ""), (full, 1, ""), (full, 2, FULL))
    regions = {
        f"{size}-{threads}": plan.run(
            "chain.write_region", persons=size, seed=plan.seed, threads=threads, keep_as=keep_as
        )
        for size, threads, keep_as in sizes
    }
    checked = plan.run("chain.check_regions", persons=CHECKED_PERSONS, seed=plan.seed)
    return {"check_regions": checked, **regions}


def measure_chain(plan: Plan) -> Reports:
    """Run all steps: make a region and a model, check, and only then measure the rest."""
    return {
        "simulate_region": plan.run("chain.simulate_region", persons=plan.persons, seed=plan.seed),
        "train_model": plan.run("chain.train_model"),
        "draw_citizens": plan.run("chain.draw_citizens", calls=plan.calls),
        "check_equality": plan.run("chain.check_equality", persons=200, reference_persons=50),
        "do_nothing": plan.run("chain.do_nothing"),
        "build_region": plan.run("chain.build_region"),
        "score_region": plan.run("chain.score_region"),
        "score_citizens": plan.run("chain.score_citizens"),
        "build_citizens": plan.run(
            "features.build_citizens", index_time=INDEX_TIME, rounds=max(1, 400 // plan.calls)
        ),
    }


def measure_features(plan: Plan, *, with_duckdb: bool) -> Reports:
    """Build the features of the full region by each way: once to compare, then in turn to measure."""
    plan.run("chain.write_region", persons=SMALL_PERSONS, seed=plan.seed, threads=1, keep_as=SMALL)
    compiled = plan.run("by_kernel.compile_kernel", small_store=SMALL, index_time=INDEX_TIME)
    ways = _list_ways(plan) if with_duckdb else dict(islice(_list_ways(plan).items(), 2))
    for name, build in ways.items():
        build(write_as=name)
    sentences = [
        plan.run("matrices.check_same_matrix", found=name, expected="somv_risk", is_exact=name == "kernel")[
            "sentence"
        ]
        for name in ways
        if name != "somv_risk"
    ]
    for file in plan.folder.glob("*.npy"):
        file.unlink()
    scan = partial(plan.run, "features.scan_tables", store=FULL)
    measured = measure_in_turn({"scan": scan} | ways, plan.repeats)
    return measured | {"compiled": compiled, "checked": {"sentences": sentences}}


def _list_ways(plan: Plan) -> Mapping[str, Callable[..., Report]]:
    asked = {"store": FULL, "index_times": [INDEX_TIME]}
    return {
        "kernel": partial(plan.run, "by_kernel.build_at_once", small_store=SMALL, **asked),
        "somv_risk": partial(plan.run, "features.build_at_once", **asked),
        "duckdb": partial(_run_duckdb, plan),
    }


def _run_duckdb(plan: Plan, write_as: str = "") -> Report:
    report = run_peer(
        "duckdb",
        "features",
        store=str(plan.folder / FULL),
        index_time=INDEX_TIME,
        threads=os.cpu_count(),
        write_as=str(plan.folder / write_as) if write_as else "",
    )
    tell_cost(report)
    return report


def measure_growth(plan: Plan) -> Reports:
    """Measure what it costs to have twice as much of each thing, and more index times."""
    events = plan.run("growth.write_stores", store=REGION)
    build = partial(plan.run, "features.build_at_once", index_times=[INDEX_TIME])
    ways = {
        "windowed": partial(build, store="whole", choice="windowed"),
        "more_windows": partial(build, store="whole", choice="more_windows"),
        "half_features": partial(build, store="whole", choice="half"),
        "all": partial(build, store="whole"),
        "copied": partial(build, store="whole", choice="copied"),
        "busy": partial(build, store="busy"),
        "half_persons": partial(build, store="half"),
    }
    times = {
        f"times_{count}": partial(
            plan.run, "features.build_and_drop", store="whole", index_times=QUARTERS[:count]
        )
        for count in INDEX_TIMES
    }
    return measure_in_turn(ways | times, plan.repeats) | {"events": events}


def measure_index_times(plan: Plan) -> Reports:
    """Measure twelve index times of a full region against one, and against twelve runs with one each."""
    library = partial(plan.run, store=FULL)
    kernel = partial(plan.run, "by_kernel.build_and_drop", store=FULL, small_store=SMALL)
    ways = {
        "library_1": partial(library, "features.build_and_drop", index_times=QUARTERS[:1]),
        "library_12": partial(library, "features.build_and_drop", index_times=QUARTERS[:12]),
        "loop_12": partial(library, "features.build_in_a_loop", index_times=QUARTERS[:12]),
        "kernel_1": partial(kernel, index_times=QUARTERS[:1]),
        "kernel_12": partial(kernel, index_times=QUARTERS[:12]),
    }
    return measure_in_turn(ways, plan.repeats)


def measure_peers(plan: Plan) -> Reports:
    """Ask the peers what they can be asked, and compare the cost of what all can express."""
    verdicts = {"somv_risk": ask_library(plan.folder)} | {
        f"{name}, {'with care' if careful else 'as documented'}": ask_peer(name, plan.folder, careful=careful)
        for name in PEERS
        for careful in (False, True)
    }
    full, part = (
        partial(
            compare_with_peer,
            store=plan.folder / store,
            index=INDEX_TIME,
            folder=plan.folder,
            repeats=plan.repeats,
        )
        for store in (FULL, REGION)
    )
    return {
        "verdicts": verdicts,
        "full": full("timeseriesflattener", given=(IN_REACH, WHOLE)),
        "part": part("timeseriesflattener"),
        "featuretools": part("featuretools", persons=plan.featuretools),
    }
