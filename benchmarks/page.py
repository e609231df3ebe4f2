"""The page of figures, as Markdown that reads well in a terminal too."""

from collections.abc import Mapping
from typing import Protocol

from benchmarks.page_features import render_citizens, render_features, render_growth, render_peers
from benchmarks.page_reasons import render_reasons
from benchmarks.tables import Report, Reports, render_table, tell_peak


class Sizes(Protocol):
    """What the page tells of how much was measured."""

    persons: int
    full: int
    repeats: int


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


def render_page(
    command: str, machine: Mapping[str, str], measured: Mapping[str, Reports], sizes: Sizes
) -> str:
    """Render all figures and what they were measured on; what was skipped is left out."""
    regions, chain = measured["regions"], measured["chain"]
    parts = [
        "# Benchmarks",
        _WRITTEN_BY.format(command=command),
        "## Checked first",
        "\n".join(f"- {sentence}" for sentence in list_sentences(measured)),
        *render_features(measured["features"], sizes.full, sizes.repeats),
        *(render_peers(measured["peers"], sizes.repeats) if "peers" in measured else ()),
        *render_growth(
            measured["growth"], measured["index_times"], (sizes.persons, sizes.full), sizes.repeats
        ),
        *render_citizens(chain["build_citizens"], chain["score_citizens"]),
        *render_reasons(measured["reasons"], sizes.repeats),
        "## A made-up region",
        _REGION,
        render_table(
            ("persons", "threads", "rows", "store MB", "wall s", "processor s", "peak MB"),
            _list_regions(regions),
        ),
        "## The chain",
        _CHAIN,
        render_table(("step", "what", "wall s", "processor s", "peak MB"), _list_steps(chain)),
        "## Machine",
        render_table(("what", "value"), machine.items()),
    ]
    return "\n\n".join(parts) + "\n"


def list_sentences(measured: Mapping[str, Reports]) -> list[str]:
    """List what was found equal."""
    checks = [
        measured["regions"]["check_regions"],
        measured["chain"]["check_equality"],
        measured["features"]["checked"],
        measured["reasons"]["checked"],
        *(peer["checked"] for peer in measured.get("peers", {}).values() if "checked" in peer),
    ]
    return [sentence for check in checks for sentence in check["sentences"]]


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
            tell_peak(reports["do_nothing"]),
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


def _step(name: str, what: str, report: Report) -> tuple[str, ...]:
    return name, what, f"{report['seconds']:.1f}", f"{report['cpu_seconds']:.1f}", tell_peak(report)
