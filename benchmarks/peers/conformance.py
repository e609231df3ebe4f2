"""Conformance: the window cases written for a peer, and what its answers are worth."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.peers.environments import run_peer
from somv_risk.testing import Case, check_windows, load_window_cases


def ask_peer(name: str, folder: Path, *, careful: bool) -> pl.DataFrame:
    """Ask a peer every case, as its documentation shows it or as a careful user would, and judge it."""
    cases = folder / "cases.json"
    write_cases(cases)
    return judge(run_peer(name, "conform", cases=str(cases), careful=careful))


def write_cases(path: Path) -> None:
    """Write all cases, without their answers."""
    path.write_text(json.dumps([_describe(case) for case in load_window_cases()], default=_tell_moment))


def _describe(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "needs": sorted(case.needs),
        "question": asdict(case.question),
        "events": case.events.to_dicts(),
        "cohort": case.cohort.to_dicts(),
    }


def _tell_moment(moment: datetime) -> str:
    return moment.isoformat()


def judge(report: Mapping[str, Any]) -> pl.DataFrame:
    """Judge a peer's report: one row per case, as `check_windows` tells it."""
    return pl.concat(
        check_windows(partial(_replay, report["answers"], case), report["offers"], cases=[case])
        for case in load_window_cases()
    )


def _replay(answers: Mapping[str, Any], case: Case, *_: object) -> list[Any]:
    given = answers[case.name]
    if "error" in given:
        raise RuntimeError(given["error"])
    replayed: list[Any] = given["answers"]
    return replayed
