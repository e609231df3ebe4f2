"""Comparison: the same features by this library and by a peer, equal before their costs are told."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import measure_in_turn, run_step, tell_cost
from benchmarks.peers.asked import IN_REACH
from benchmarks.peers.environments import run_peer

Report = dict[str, Any]
LIBRARY = "somv_risk"
STEP = "peers.library_features"


def compare_with_peer(
    name: str,
    store: Path,
    index: str,
    folder: Path,
    persons: int | None = None,
    given: Sequence[str] = (IN_REACH,),
    repeats: int = 1,
) -> dict[str, Report]:
    """Build the asked features by each way in turn, check that all are the same, and return their costs.

    A peer has one way for each kind of rows it is `given`. `persons` are those of each bucket, all by
    default. This side stays small, as `run_step` says.
    """
    asked = {"store": str(store), "index": index, "persons": persons}
    ways = {f"{name} ({rows})": rows for rows in given}
    files = {way: str(folder / f"{way}.parquet") for way in (LIBRARY, *ways)}
    here = partial(run_step, folder=str(folder))
    library = partial(here, f"{STEP}.measure_features", **asked, out=files[LIBRARY])
    peer = {way: partial(_run_peer, name, **asked, given=rows, out=files[way]) for way, rows in ways.items()}
    measured = measure_in_turn({LIBRARY: library} | peer, repeats)
    check = partial(here, f"{STEP}.check_same_features", ours=files[LIBRARY])
    sentences = [check(name=way, theirs=files[way])["sentence"] for way in ways]
    return measured | {"checked": {"sentences": sentences}}


def _run_peer(name: str, **arguments: object) -> Report:
    report = run_peer(name, "features", **arguments)
    tell_cost(report)
    return report
