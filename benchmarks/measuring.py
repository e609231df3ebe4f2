"""Measuring: each step in a process of its own, so that its peak memory is its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import quantiles
from typing import Any, TypeVar

Result = TypeVar("Result")
Report = dict[str, Any]

MEGABYTE = 2**20
# Linux counts ru_maxrss in KiB, macOS in bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def run_step(name: str, /, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - anything JSON can carry
    """Run one step, such as `chain.train_model`, in a new interpreter and return what it reports.

    The caller should stay small: on Linux a new process starts with the peak memory of the one that made
    it, which is why this side imports nothing of the library.
    """
    command = [sys.executable, "-m", "benchmarks.steps", name, json.dumps(arguments)]
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - this interpreter
    if done.returncode:
        sys.exit(f"The step {name} failed; its own message stands above.")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    tell_cost(report)
    return report


def tell_cost(report: Mapping[str, Any]) -> None:
    """Tell whoever waits what a step has cost."""
    if "seconds" in report:
        print(
            "    {seconds:.2f} s, {cpu_seconds:.2f} s of processor, {peak_mb:,.0f} MB".format_map(report),
            file=sys.stderr,
            flush=True,
        )


def measure_in_turn(ways: Mapping[str, Callable[[], Report]], repeats: int) -> dict[str, Report]:
    """Run all ways in turn, several times, so that a busy minute hits all; keep the fastest run of each."""
    rounds = [{name: run() for name, run in ways.items()} for _ in range(repeats)]
    return {name: _keep_fastest([reports[name] for reports in rounds]) for name in ways}


def _keep_fastest(reports: list[Report]) -> Report:
    seconds = [report["seconds"] for report in reports]
    return min(reports, key=lambda report: report["seconds"]) | {"slowest_seconds": max(seconds)}


def measure(work: Callable[[], Result]) -> tuple[Result, dict[str, float]]:
    """Do the work once; return its result, its wall and processor time, and the peak memory so far."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    return result, {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": read_peak_mb()}


def time_calls(call: Callable[[Any], object], arguments: Sequence[Any]) -> dict[str, float]:
    """Call with each argument, once more to warm up; return percentiles of the second in milliseconds."""
    for given in arguments:
        call(given)
    milliseconds = sorted(
        measure(lambda given=given: call(given))[1]["seconds"] * 1000 for given in arguments
    )
    centiles = quantiles(milliseconds, n=100, method="inclusive")
    return {"calls": len(milliseconds), **{f"p{place}": centiles[place - 1] for place in (50, 95, 99)}}


def read_peak_mb() -> float:
    """Read the largest resident memory this process has had, in MB of 2^20 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / MEGABYTE
