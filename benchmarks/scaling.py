"""Scaling: what a bucket costs, here and by Spark, and from it on paper what whole countries would need.

`python -m benchmarks.scaling --store S --model M --folder scaling > docs/scaling.md`, with a store of 100,000
persons (`somv-risk simulate`). Linux only. What is compared is first checked to be equal.
"""

import argparse
from math import ceil
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import describe_machine, read_load
from benchmarks.measuring import run_step
from benchmarks.tables import render_table

Report = dict[str, Any]
Reports = dict[tuple[int, int], Report]

REGIONS: Final = [(12_500, 1), (25_000, 2), (50_000, 4), (100_000, 8)]
LARGE: Final = (100_000, 1)  # one bucket as large as those of a country
COUNTRIES: Final = [("Denmark", 6_000_000), ("the Nordics", 28_000_000)]
CORES: Final = (16, 64)
PERSONS_PER_BUCKET: Final = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("scaling"))
    parser.add_argument("--index-time", default="2026-01-01")
    asked = parser.parse_args()
    folder, model = asked.folder.resolve(), str(asked.model.resolve())
    regions = [*REGIONS, LARGE]
    run_step("scaling_steps.cut_regions", folder=str(folder), store=str(asked.store), regions=regions)
    ways: dict[str, Reports] = {"one process": {}, "two processes": {}, "Spark, local[2]": {}}
    for region in regions:
        store = str(folder / f"store-{region[0]}-in-{region[1]}")
        given = {"model": model, "store": store, "index_time": asked.index_time}
        out = str(folder / "out")
        here, spark = "scaling_steps.run_here", "scaling_steps.run_spark"
        ways["one process"][region] = run_step(here, folder=out, **given)
        if region[1] > 1:
            ways["two processes"][region] = run_step(here, folder=out, workers=2, **given)
        ways["Spark, local[2]"][region] = run_step(spark, folder=out, **given)
        run_step("scaling_steps.check_rows", folder=out, **given)
        if len({reports[region]["hash"] for reports in ways.values() if region in reports}) > 1:
            raise SystemExit(f"The ways left different bytes of {region}.")
    disk = run_step("scaling_steps.measure_disk", folder=str(folder / "store-100000-in-8"))
    print(render(ways, disk["mb"]))


def render(ways: dict[str, Reports], store_mb: float) -> str:
    """Render the page."""
    here, spark = ways["one process"], ways["Spark, local[2]"]
    rates = find_rates(here, spark, store_mb)
    measured = _MEASURED.format(
        start=_span(spark, "start"),
        first=_span(spark, "first"),
        java_mb=max(report["java_mb"] for report in spark.values()),
        load=read_load(),
    )
    parts = [
        _HEAD,
        measured,
        _render_runs(ways),
        _tell_growth(here),
        "Of one process and the region of 8 buckets, by phase:",
        render_table(("phase", "where", "wall s", "processor s"), _list_phases(here[REGIONS[-1]])),
        _ON_PAPER.format_map(rates),
        render_table(_PAPER, [_plan(name, persons, rates) for name, persons in COUNTRIES]),
        _HONEST,
        "## Machine",
        render_table(("what", "value"), {**describe_machine(), "Load": read_load()}.items()),
    ]
    return "\n\n".join(parts)


def find_rates(here: Reports, spark: Reports, store_mb: float) -> Report:
    """Find what a million persons take, from the largest region of small buckets."""
    run, millions = here[REGIONS[-1]], REGIONS[-1][0] / 1e6
    driver = run["checks"]["seconds"] + run["writing"]["seconds"]
    return {
        "core": (run["risk"]["cpu_seconds"] + run["reasons"]["cpu_seconds"]) / millions,
        "driver": driver / millions,
        "worker_mb": max(here[LARGE]["peak_mb"], spark[LARGE]["peak_mb"]),
        "store_mb": store_mb / millions,
        "out_mb": run["out_mb"] / millions,
        "share": run["scored"] / REGIONS[-1][0],
    }


_PAPER: Final = (
    *("citizens", "buckets", "core minutes"),
    *(f"minutes on {cores} cores" for cores in CORES),
    *("of which the driver", f"memory of {CORES[0]} workers", "store", "results"),
)

_HEAD: Final = """# Scaling: from a bucket to a country

Written by `python -m benchmarks.scaling` (which tells how); changes by hand are lost. The persons are
made up: 286 features, six years, eight tables. How it works: [decision 0025](decisions/0025-spark.md)."""
_MEASURED: Final = """## Measured

Each row is a whole run of the batch: checks, risks, ranks, reasons of the flagged, lists and pages.
Regions of 12,500 persons a bucket, and one bucket of 100,000. For each region all ways left the same
bytes, and the rows of `score`. Spark's tasks, and two processes, have one thread of Polars each; one
process uses both cores by its threads.

Of Spark the second run in a session is told. Starting the session took {start} s and its first run
{first} s, in which executors import and load everything. MB is the memory of the largest worker; Java
had {java_mb:,.0f} MB beside. One run each; load {load} at the end."""
_ON_PAPER: Final = """## On paper

Nothing in this part was measured but the rates, which are those of one process and 8 buckets:

- {core:,.0f} s of a core per million persons for what executors do (risks, ranks, reasons);
- {driver:,.0f} s per million for what the driver does alone (checks, lists and pages);
- {worker_mb:,.0f} MB a worker, for a bucket of 100,000 persons;
- {store_mb:,.0f} MB of store and {out_mb:,.0f} MB of results per million; {share:.0%} of all persons
  are eligible.

Buckets of 100,000 persons are shared out among the cores; the last turn is counted whole, and the
driver's time added."""
_HONEST: Final = """**What it says.** At these rates one machine of some cores scores a country; the
driver's part does not shrink with cores and is soon nearly all of the time. It is told too high, as
what is paid once (the page) is counted by the person. A cluster pays where the store lies with it, or
reasons are wanted of everybody: add about 0.3 ms of a core a person, which the cores share. The
driver's memory grows by 8 bytes a person (ranks); nothing else needs more than a bucket at a time.

**Processes.** Importing the library starts no threads; the first query does. A process forked after that
can wait forever for threads it does not have, and a `ForkWarning` says so. Start processes by `spawn` or
`forkserver` (`multiprocessing.get_context("spawn")`), as the batch does. A server that forks its workers
after loading the application (`gunicorn --preload`) may import the library before it forks, but must ask
its first question in the workers.

**Not measured:** a network, a shared disk that many executors read at once, a scheduler, a real cluster,
cores that are faster or slower than these, real registers."""


def _plan(name: str, persons: int, rates: Report) -> tuple[str, ...]:
    buckets, millions = ceil(persons / PERSONS_PER_BUCKET), persons / 1e6
    passes, driver = rates["core"] * millions, rates["driver"] * millions
    turns = {cores: ceil(buckets / cores) for cores in CORES}
    walls = [turns[cores] * passes / buckets + driver for cores in CORES]
    return (
        f"{persons / 1e6:.0f} million ({name})",
        f"{buckets:,}",
        f"{passes / 60:.1f}",
        *(f"{wall / 60:.1f}" for wall in walls),
        f"{driver / 60:.1f}",
        f"{rates['worker_mb'] * CORES[0] / 1024:.0f} GB",
        f"{rates['store_mb'] * millions / 1024:.0f} GB",
        f"{rates['out_mb'] * millions / 1024:.1f} GB",
    )


def _render_runs(ways: dict[str, Reports]) -> str:
    rows = [
        (
            f"{buckets}",
            f"{persons:,}",
            way,
            f"{report['scored']:,}",
            f"{report['seconds']:.1f}",
            f"{report['cpu_seconds']:.1f}",
            f"{report['scored'] / report['cpu_seconds']:,.0f}",
            f"{report['peak_mb']:,}",
        )
        for persons, buckets in [*REGIONS, LARGE]
        for way, reports in ways.items()
        if (report := reports.get((persons, buckets)))
    ]
    header = ("buckets", "persons", "way", "scored", "wall s", "processor s", "scored per core and s", "MB")
    return render_table(header, rows)


def _tell_growth(here: Reports) -> str:
    first, last = here[REGIONS[0]], here[REGIONS[-1]]
    ratio = last["cpu_seconds"] / first["cpu_seconds"]
    return (
        f"Eight times the buckets cost {ratio:.1f} times the processor time of one, in one process: what is "
        "paid once (loading the model and loops, the page) counts less."
    )


def _list_phases(run: Report) -> list[tuple[str, ...]]:
    places = {
        "checks": "driver",
        "risk": "executors, a bucket each",
        "reasons": "ranks in the driver, then executors",
        "writing": "driver",
    }
    return [
        (phase, place, f"{run[phase]['seconds']:.1f}", f"{run[phase]['cpu_seconds']:.1f}")
        for phase, place in places.items()
    ]


def _span(reports: Reports, part: str) -> str:
    seconds = [report[part]["seconds"] for report in reports.values()]
    return f"{min(seconds):.0f} to {max(seconds):.0f}"


if __name__ == "__main__":
    main()
