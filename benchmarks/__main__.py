"""`python -m benchmarks`: check, measure, print, and write the page."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, read_load
from benchmarks.measuring import run_step
from benchmarks.page import Reports, render_page

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PERSONS, SEED, CALLS = 100_000, 7, 50


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--persons", type=int, default=PERSONS, help=f"default {PERSONS:,}; too few cannot train"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls for one citizen")
    parser.add_argument("--out", type=Path, default=PAGE, help="page to write (docs/benchmarks.md)")
    asked = parser.parse_args()
    load_before = read_load()
    with tempfile.TemporaryDirectory() as folder:
        reports = measure_chain(folder, asked.persons, asked.seed, asked.calls)
    loads = {"Load (1 min), when it began and ended": f"{load_before}, {read_load()}"}
    command = f"python -m benchmarks --persons {asked.persons} --seed {asked.seed} --calls {asked.calls}"
    page = render_page(command, describe_machine() | loads, reports)
    asked.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
