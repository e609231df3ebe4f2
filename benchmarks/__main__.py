"""`python -m benchmarks`: check, measure, print, and write the page."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, read_load
from benchmarks.measuring import run_step
from benchmarks.page import Reports, render_page

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PERSONS, FULL, SEED, CALLS = 100_000, 850_000, 7, 50


def measure_chain(folder: str, persons: int, seed: int, calls: int) -> Reports:
    """Run all steps: make a region and a model, check, and only then measure the rest."""

    def run(name: str, **arguments: int) -> dict[str, Any]:
        return run_step(name, folder=folder, **arguments)

    return {
        "simulate_region": run("simulate_region", persons=persons, seed=seed),
        "train_model": run("train_model"),
        "draw_citizens": run("draw_citizens", calls=calls),
        "check_equality": run("check_equality", persons=200, reference_persons=50),
        "do_nothing": run("do_nothing"),
        "build_region": run("build_region"),
        "score_region": run("score_region"),
        "score_citizens": run("score_citizens"),
        "compare_counts": run("compare_counts"),
    }


def measure_regions(folder: str, persons: int, seed: int) -> Reports:
    """Check that a region does not depend on how it is made, and then make some, up to a full one."""
    sizes = ((persons // 4, 2), (persons // 2, 1), (persons // 2, 2), (persons, 1), (persons, 2))
    regions = {
        f"{size}-{threads}": run_step("write_region", folder=folder, persons=size, seed=seed, threads=threads)
        for size, threads in sizes
    }
    checked = run_step("check_regions", folder=folder, persons=25_000, seed=seed)
    return {"check_regions": checked, **regions}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--persons", type=int, default=PERSONS, help=f"default {PERSONS:,}; too few cannot train"
    )
    parser.add_argument("--full", type=int, default=FULL, help=f"persons of a full region, default {FULL:,}")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls for one citizen")
    parser.add_argument("--out", type=Path, default=PAGE, help="page to write (docs/benchmarks.md)")
    asked = parser.parse_args()
    load_before = read_load()
    with tempfile.TemporaryDirectory() as folder:
        regions = measure_regions(folder, asked.full, asked.seed)
        reports = measure_chain(folder, asked.persons, asked.seed, asked.calls)
    loads = {"Load (1 min), when it began and ended": f"{load_before}, {read_load()}"}
    options = ("persons", "full", "seed", "calls")
    command = " ".join(["python -m benchmarks", *(f"--{name} {getattr(asked, name)}" for name in options)])
    page = render_page(command, describe_machine() | loads, reports, regions)
    asked.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
