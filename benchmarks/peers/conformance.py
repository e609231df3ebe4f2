"""Conformance: the window cases written for a peer, and what its answers are worth."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from somv_risk.testing import Case, check_windows, load_window_cases


def write_cases(folder: Path, file: str) -> dict[str, Any]:
    """Write all cases, without their answers."""
    cases = [_describe(case) for case in load_window_cases()]
    (folder / file).write_text(json.dumps(cases, default=_tell_moment))
    return {"cases": len(cases)}


def judge_answers(folder: Path, file: str) -> dict[str, Any]:
    """Judge a peer's answers to all cases."""
    return summarise(judge(json.loads((folder / file).read_text())))


def summarise(found: pl.DataFrame) -> dict[str, Any]:
    """Count the verdicts, and list what went wrong."""
    failed = found.filter(pl.col("verdict").is_in(["wrong", "error"]))
    return {
        "verdicts": dict(found["verdict"].value_counts().sort("verdict").iter_rows()),
        "failed": failed.to_dicts(),
    }


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
