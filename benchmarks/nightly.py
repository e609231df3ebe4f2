"""The night: what a run of the whole region costs, and what is saved by an earlier run of the day before.

`python -m benchmarks.nightly --folder night --out docs/benchmarks-nightly.md` makes up a region there and two
models unless it has them: one of all its registers, one of a hospital's own. What is compared is first
checked to be equal.
"""

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, read_load
from benchmarks.measuring import run_step
from benchmarks.tables import render_table, tell_peak

Report = dict[str, Any]

DAY = timedelta(days=1)
REGISTERS: Mapping[str, str] = {
    "all": "All registers",
    "hospital": "A hospital's own: admissions, diagnoses, psychiatric contacts, treatment of substance use",
}
_WRITTEN_BY = (
    "Written by `{command}`; changes by hand are lost. The region is made up: how many of its persons stay "
    "away from each register follows from the simulator, not from a real one."
)
_GIVEN = (
    "A region of {persons:,} persons is scored at {index_time}, whole and with `--since` the run of the day "
    "before. The delta takes over whoever has no row that any feature can see, on either day, and scores all "
    "others. Whoever draws a benefit, or has seen a doctor within a window, has features that count days and "
    'change every night. "Risks" are seconds of the first pass, which computes features and risks, without '
    "its first bucket; the rest of a run ranks everybody, explains the flagged and writes."
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nightly", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("night"))
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--index-time", default="2025-11-02")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    load = read_load()
    parts = [run_registers(asked.folder.resolve(), name, asked) for name in REGISTERS]
    machine = describe_machine() | {"Load (1 min), when it began and ended": f"{load}, {read_load()}"}
    command = f"python -m benchmarks.nightly --persons {asked.persons} --out docs/benchmarks-nightly.md"
    page = "\n\n".join(
        [
            "# Benchmark of the night",
            _WRITTEN_BY.format(command=command),
            _GIVEN.format(persons=asked.persons, index_time=asked.index_time),
            *parts,
            "## Machine",
            render_table(("what", "value"), machine.items()),
        ]
    )
    if asked.out:
        asked.out.write_text(page + "\n", encoding="utf-8")
    sys.stdout.write(page + "\n")


def run_registers(folder: Path, registers: str, asked: argparse.Namespace) -> str:
    """Run the nights of a region with some of its registers, and tell of them."""
    run_step("nightly_steps.make_region", folder=str(folder), persons=asked.persons, registers=registers)
    own = folder / registers
    given = {"model": str(own / "model"), "store": str(own / "store")}
    before = (datetime.fromisoformat(asked.index_time) - DAY).isoformat()
    night = {**given, "index_time": asked.index_time}
    run = "nightly_steps.run_night"
    run_step(run, folder=str(own / "before"), index_time=before, **given)
    nights = {
        "everybody": run_step(run, folder=str(own / "full"), **night),
        "everybody, two workers": run_step(run, folder=str(own / "two"), workers=2, **night),
        "since the night before": run_step(
            run, folder=str(own / "since"), since=str(own / "before"), **night
        ),
    }
    whole = run_step("nightly_steps.check_rows", folder=str(own / "full"), **night)
    hashes = {report["hash"] for report in nights.values()}
    if len(hashes) > 1:
        raise SystemExit("The runs left different bytes.")
    unchanged = run_step(
        "nightly_steps.count_unchanged",
        folder=given["model"],
        store=given["store"],
        index_time=asked.index_time,
    )
    return render(registers, nights, whole, unchanged)


def render(registers: str, nights: dict[str, Report], whole: Report, unchanged: Report) -> str:
    """Render what was measured with some of the registers."""
    full = nights["everybody"]
    rows = [
        (
            name,
            f"{report['persons']:,}",
            f"{report['kept']:,}",
            f"{report['seconds']:.1f}",
            f"{report['seconds'] / full['seconds']:.2f}",
            f"{report['risk_seconds']:.1f}",
            f"{report['risk_seconds'] / full['risk_seconds']:.2f}",
            f"{report['cpu_seconds']:.1f}",
            tell_peak(report),
            f"{report['workers_peak_mb']:,}",
        )
        for name, report in nights.items()
    ]
    shares = [(name, f"{share:.1%}") for name, share in unchanged["shares"].items()]
    parts = [
        f"## {REGISTERS[registers]}",
        "All three left the same bytes, and the rows of `score`.",
        render_table(
            (
                *("run", "scored", "taken over", "wall s", "ratio", "risks s", "ratio"),
                *("processor s", "peak MB", "a worker's MB"),
            ),
            rows,
        ),
        f"`score` of the whole region at once: {whole['seconds']:.1f} s, {tell_peak(whole)} MB.",
        f"Of {unchanged['persons']:,} persons, since the day before:",
        render_table(("of whom", "share"), shares),
        _tell_looking(unchanged["looking"], unchanged["scoring"]),
    ]
    return "\n\n".join(parts)


def _tell_looking(looking: Report, scoring: Report) -> str:
    ratio = looking["seconds"] / scoring["seconds"]
    return (
        f"To look who rests takes {ratio:.2f} of the time to score them all ({looking['seconds']:.2f} s and "
        f"{scoring['seconds']:.2f} s)."
    )


if __name__ == "__main__":
    main()
