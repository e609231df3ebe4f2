"""Comparison: the same features by this library and by a peer, equal first and only then timed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.peers.environments import ROOT, run_peer


def compare_with_peer(
    name: str, store: Path, index: str, folder: Path, persons: int | None = None
) -> dict[str, Any]:
    """Build the asked features with both, check that they are the same, and return both reports.

    Raises
    ------
    AssertionError
        If a column differs, in a single bit.
    """
    arguments = {"store": str(store), "index": index, "persons": persons}
    ours, theirs = folder / "somv_risk.parquet", folder / f"{name}.parquet"
    reports = {
        "somv_risk": _run_library(arguments | {"out": str(ours)}),
        name: run_peer(name, "features", **arguments, out=str(theirs)),
    }
    return reports | {"sentence": check_same_features(name, ours, theirs)}


def _run_library(arguments: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.peers.library_features", json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)  # noqa: S603
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def check_same_features(name: str, ours: Path, theirs: Path) -> str:
    """Check that two files hold the same features, whatever types they are counted in."""
    expected = pl.read_parquet(ours)
    found = pl.read_parquet(theirs).cast(expected.schema)
    assert_frame_equal(found, expected, check_exact=True)
    return (
        f"{expected.width - 2} features of {expected.height:,} persons are the same by somv_risk and "
        f"{name}, exactly."
    )
