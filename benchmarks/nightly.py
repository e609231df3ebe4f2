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
SINCE = "since the night before"
ALL = "all explained"
PARTS = ("", "risk_", "reasons_")
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
    "before; once with reasons of the flagged, once of everybody (`--explain all`). The delta takes over "
    "whoever has no row that any feature can see, on either day, and computes all others. Whoever draws a "
    "benefit, or has seen a doctor within a window, has features that count days and change every night. "
    "Seconds of a pass are without its first bucket, which also loads the model; a ratio is to the run of "
    "everybody in one process with the same reasons."
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
    run, everybody = "nightly_steps.run_night", {"explain": "all"}
    run_step(run, folder=str(own / "before"), index_time=before, **given)
    run_step(run, folder=str(own / "before-all"), index_time=before, **given, **everybody)
    since, since_all = ({"since": str(own / name)} for name in ("before", "before-all"))
    nights = {
        "everybody": run_step(run, folder=str(own / "full"), **night),
        "everybody, two workers": run_step(run, folder=str(own / "two"), workers=2, **night),
        SINCE: run_step(run, folder=str(own / "since"), **since, **night),
        "everybody, all explained": run_step(run, folder=str(own / "all"), **night, **everybody),
        f"{SINCE}, all explained": run_step(
            run, folder=str(own / "since-all"), **since_all, **night, **everybody
        ),
    }
    whole = run_step("nightly_steps.check_rows", folder=str(own / "full"), **night)
    for asked_for in (False, True):
        alike = {night["hash"] for name, night in nights.items() if name.endswith(ALL) == asked_for}
        if len(alike) > 1:
            raise SystemExit("Runs of the same night left different bytes.")
    unchanged = run_step(
        "nightly_steps.count_unchanged",
        folder=given["model"],
        store=given["store"],
        index_time=asked.index_time,
    )
    return render(registers, nights, whole, unchanged)


def render(registers: str, nights: dict[str, Report], whole: Report, unchanged: Report) -> str:
    """Render what was measured with some of the registers."""
    rows = [
        (
            name,
            f"{night['persons']:,}",
            f"{night['risk_kept']:,}",
            f"{night['reasons_kept']:,}",
            *(tell_beside(night, _find_full(nights, name), f"{part}seconds") for part in PARTS),
            f"{night['cpu_seconds']:.1f}",
            tell_peak(night),
            f"{night['workers_peak_mb']:,}",
        )
        for name, night in nights.items()
    ]
    shares = [(name, f"{share:.1%}") for name, share in unchanged["shares"].items()]
    parts = [
        f"## {REGISTERS[registers]}",
        "Runs with the same reasons left the same bytes, and the rows of `score`.",
        render_table(
            (
                *("run", "scored", "risks taken over", "reasons taken over"),
                *("wall s (ratio)", "risks s (ratio)", "reasons s (ratio)"),
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


def _find_full(nights: dict[str, Report], name: str) -> Report:
    """Find the run of everybody in one process with the same reasons."""
    return nights["everybody, all explained" if name.endswith(ALL) else "everybody"]


def tell_beside(night: Report, full: Report, what: str) -> str:
    """Tell seconds, and how many times those of the full run they are."""
    return f"{night[what]:.1f} ({night[what] / full[what]:.2f})"


def _tell_looking(looking: Report, scoring: Report) -> str:
    ratio = looking["seconds"] / scoring["seconds"]
    return (
        f"To look who rests takes {ratio:.2f} of the time to score them all ({looking['seconds']:.2f} s and "
        f"{scoring['seconds']:.2f} s)."
    )


if __name__ == "__main__":
    main()
