"""The page of figures, as Markdown that reads well in a terminal too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Reports = Mapping[str, Mapping[str, Any]]

_WRITTEN_BY = (
    "Written by `{command}` (`make bench` runs it); changes by hand are lost. The region is made up: the "
    "figures say what the chain costs on this machine, and nothing about real registers."
)
_REGION = (
    "`somv-risk simulate`: six years, all eight tables, drawn in blocks of 10,000 persons and written to a "
    "store of 8 buckets. Memory hardly grows with the number of persons."
)
_CHAIN = (
    "Wall and processor time of each step (on a busy machine the former says little), and the peak memory "
    "(resident, 1 MB = 2^20 bytes) of the process of its own in which it ran. Everything but the simulation "
    "reads the region from a store on disk."
)


def render_page(command: str, machine: Mapping[str, str], reports: Reports, regions: Reports) -> str:
    """Render all figures and what they were measured on."""
    parts = [
        "# Benchmarks",
        _WRITTEN_BY.format(command=command),
        "## Checked first",
        "\n".join(
            f"- {sentence}"
            for report in (regions["check_regions"], reports["check_equality"])
            for sentence in report["sentences"]
        ),
        "## A made-up region",
        _REGION,
        _render_table(
            ("persons", "threads", "rows", "store MB", "wall s", "processor s", "peak MB"),
            _list_regions(regions),
        ),
        "## The chain",
        _CHAIN,
        _render_table(("step", "what", "wall s", "processor s", "peak MB"), _list_steps(reports)),
        "## One citizen",
        _tell_calls(reports["score_citizens"]),
        _render_table(("call", "p50 ms", "p95 ms"), _list_calls(reports["score_citizens"])),
        "## One pass, or one `group_by` per feature",
        _tell_comparison(reports["compare_counts"]),
        _render_table(("way", "seconds"), _list_comparison(reports["compare_counts"])),
        "## Machine",
        _render_table(("what", "value"), machine.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _render_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list_regions(regions: Reports) -> list[tuple[str, ...]]:
    made = [report for name, report in regions.items() if name != "check_regions"]
    return [
        (
            f"{report['persons']:,}",
            str(report["threads"]),
            f"{report['rows']:,}",
            f"{report['store_mb']:,.0f}",
            *_step("", "", report)[2:],
        )
        for report in made
    ]


def _list_steps(reports: Reports) -> list[tuple[str, ...]]:
    simulated, built = reports["simulate_region"], reports["build_region"]
    trained, scored = reports["train_model"], reports["score_region"]
    return [
        (
            "none",
            "interpreter and imported libraries, for comparison",
            "",
            "",
            _peak(reports["do_nothing"]),
        ),
        _step(
            "simulate",
            f"{simulated['persons']:,} persons over six years, {simulated['rows']:,} rows",
            simulated,
        ),
        _step(
            "build_features",
            f"{built['features']} features of {built['persons']:,} eligible persons at one index moment",
            built,
        ),
        _step(
            "train",
            f"{trained['targets']} targets, {trained['index_times']} index moments, references and metrics",
            trained,
        ),
        _step("score", f"{scored['persons']:,} persons, reasons for the first {scored['explained']}", scored),
    ]


def _step(name: str, what: str, report: Mapping[str, Any]) -> tuple[str, ...]:
    return name, what, f"{report['seconds']:.1f}", f"{report['cpu_seconds']:.1f}", _peak(report)


def _peak(report: Mapping[str, Any]) -> str:
    return f"{report['peak_mb']:,.0f}"


def _tell_calls(report: Mapping[str, Any]) -> str:
    return (
        f"{report['calls']} citizens, half of them from the top of the list, one call each with reasons, "
        f"from frames in memory and with the model loaded. Peak memory of the process: {_peak(report)} MB."
    )


def _list_calls(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    calls = {"score": "`score` of checked histories", "check_then_score": "`from_frames`, then `score`"}
    return [
        (what, f"{report[name]['p50']:.0f}", f"{report[name]['p95']:.0f}") for name, what in calls.items()
    ]


def _tell_comparison(report: Mapping[str, Any]) -> str:
    ratio = report["one_by_one"] / report["one_pass"]
    return (
        f"The {report['features']} features that count admissions, both ways with the same result, best of "
        f"{report['repeats']}. Both build the same admissions first, which the first line gives alone. "
        f"Counting one by one takes {ratio:.2f} times as long as the one pass."
    )


def _list_comparison(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    ways = {
        "prepare": "building the admissions alone",
        "one_pass": "`build_features`, one pass",
        "one_by_one": "one filtered `group_by` per feature, joined",
    }
    return [(what, f"{report[name]:.3f}") for name, what in ways.items()]
