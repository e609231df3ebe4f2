"""`python -m benchmarks`: check, measure, print, and write the page."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe_machine, read_load
from benchmarks.page import render_page
from benchmarks.plan import (
    Plan,
    Reports,
    measure_chain,
    measure_features,
    measure_growth,
    measure_index_times,
    measure_peers,
    measure_regions,
)
from benchmarks.reasons_plan import measure_reasons

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SIZES = {
    "persons": (100_000, "persons of the chain, growth and the peers; too few cannot train"),
    "full": (850_000, "persons of a full region"),
    "seed": (7, "what the made-up regions are drawn from"),
    "calls": (50, "citizens taken one at a time"),
    "repeats": (3, "runs of which the fastest counts"),
    "featuretools": (1_250, "persons of each of 8 buckets for featuretools, the slowest"),
}


def measure_all(plan: Plan, *, skip_peers: bool) -> dict[str, Reports]:
    """Run every part; a difference or an error in one of them ends it all."""
    measured = {
        "regions": measure_regions(plan),
        "chain": measure_chain(plan),
        "features": measure_features(plan, with_duckdb=not skip_peers),
        "growth": measure_growth(plan),
        "index_times": measure_index_times(plan),
        "reasons": measure_reasons(plan, skip_peers=skip_peers),
    }
    return measured if skip_peers else measured | {"peers": measure_peers(plan)}


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    for name, (size, what) in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size, help=f"{what} (default {size:,})")
    parser.add_argument(
        "--skip-peers", action="store_true", help="leave out what needs environments of its own"
    )
    parser.add_argument("--out", type=Path, default=PAGE, help="page to write (docs/benchmarks.md)")
    return parser.parse_args()


def main() -> None:
    asked = read_arguments()
    sizes = {name: getattr(asked, name) for name in SIZES}
    load_before = read_load()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(Path(folder), **sizes)
        measured = measure_all(plan, skip_peers=asked.skip_peers)
    loads = {"Load (1 min), when it began and ended": f"{load_before}, {read_load()}"}
    options = [f"--{name} {size}" for name, size in sizes.items()] + ["--skip-peers"] * asked.skip_peers
    command = " ".join(["python -m benchmarks", *options])
    page = render_page(command, describe_machine() | loads, measured, plan)
    asked.out.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
