"""The night: what a run of the whole region costs, and what is saved by an earlier run of the day before.

`python -m benchmarks.nightly --folder night` makes up a region and a model there unless it has them, of some
tables only if `--tables` names them; a store and a model of your own are named by `--store` and `--model`.
What is compared is first checked to be equal.
"""

import argparse
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, read_load
from benchmarks.measuring import run_step
from benchmarks.tables import render_table, tell_peak

Report = dict[str, Any]

DAY = timedelta(days=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("night"))
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--index-time", default="2025-11-02")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    if asked.store is None or asked.model is None:
        run_step("nightly_steps.make_region", folder=str(folder), persons=asked.persons, tables=asked.tables)
    store, model = (
        str((given or folder / name).resolve())
        for given, name in ((asked.store, "store"), (asked.model, "model"))
    )
    before = (datetime.fromisoformat(asked.index_time) - DAY).isoformat()
    given = {"model": model, "store": store}
    night = {**given, "index_time": asked.index_time}
    run = "nightly_steps.run_night"
    run_step(run, folder=str(folder / "before"), index_time=before, **given)
    nights = {
        "everybody": run_step(run, folder=str(folder / "full"), **night),
        "everybody, two workers": run_step(run, folder=str(folder / "two"), workers=2, **night),
        "since the night before": run_step(
            run, folder=str(folder / "since"), since=str(folder / "before"), **night
        ),
    }
    whole = run_step("nightly_steps.check_rows", folder=str(folder / "full"), **night)
    hashes = {report["hash"] for report in nights.values()}
    if len(hashes) > 1:
        raise SystemExit("The runs left different bytes.")
    unchanged = run_step(
        "nightly_steps.count_unchanged", folder=model, store=store, index_time=asked.index_time
    )
    print(render(nights, whole, unchanged))


def render(nights: dict[str, Report], whole: Report, unchanged: Report) -> str:
    """Render what was measured."""
    full = nights["everybody"]
    rows = [
        (
            name,
            f"{report['persons']:,}",
            f"{report['kept']:,}",
            f"{report['seconds']:.1f}",
            f"{report['seconds'] / full['seconds']:.2f}",
            f"{report['risk_seconds']:.2f}",
            f"{report['risk_seconds'] / full['risk_seconds']:.2f}",
            f"{report['cpu_seconds']:.1f}",
            tell_peak(report),
            f"{report['workers_peak_mb']:,}",
        )
        for name, report in nights.items()
    ]
    shares = [(name, f"{share:.1%}") for name, share in unchanged["shares"].items()]
    parts = [
        "All three left the same bytes, and the rows of `score`.",
        render_table(
            (
                "run",
                "scored",
                "taken over",
                "wall s",
                "ratio",
                "risks s",
                "ratio",
                "processor s",
                "peak MB",
                "a worker's MB",
            ),
            rows,
        ),
        f"`score` of the whole region at once: {whole['seconds']:.1f} s, {tell_peak(whole)} MB.",
        f"Of {unchanged['persons']:,} persons, since the day before:",
        render_table(("of whom", "share"), shares),
        _tell_looking(unchanged["looking"], unchanged["scoring"]),
        render_table(("what", "value"), {**describe_machine(), "Load": read_load()}.items()),
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
