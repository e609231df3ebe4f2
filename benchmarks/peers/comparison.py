"""Comparison: the same features by this library and by a peer, equal before their costs are told."""

from pathlib import Path
from typing import Any

from benchmarks.measuring import run_step, tell_cost
from benchmarks.peers.environments import run_peer


def compare_with_peer(
    name: str, store: Path, index: str, folder: Path, persons: int | None = None, **only_peer: int
) -> dict[str, Any]:
    """Build the asked features with both, check that they are the same, and return both reports.

    `persons` are those of each bucket, all by default. This side stays small, as `run_step` says.
    """
    arguments = {"store": str(store), "index": index, "persons": persons}
    ours, theirs = folder / "somv_risk.parquet", folder / f"{name}.parquet"
    step = "peers.library_features"
    library = run_step(f"{step}.measure_features", folder=str(folder), **arguments, out=str(ours))
    peer = run_peer(name, "features", **arguments, **only_peer, out=str(theirs))
    tell_cost(peer)
    checked = run_step(
        f"{step}.check_same_features", folder=str(folder), name=name, ours=str(ours), theirs=str(theirs)
    )
    return {"somv_risk": library, name: peer, **checked}
