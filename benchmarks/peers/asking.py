"""Asking: the window cases put to a peer, without holding anything large on this side."""

import json
from pathlib import Path
from typing import Any

from benchmarks.measuring import run_step
from benchmarks.peers.environments import run_peer

CASES, ANSWERS = "cases.json", "answers.json"


def ask_peer(name: str, folder: Path, *, careful: bool) -> dict[str, Any]:
    """Ask a peer every case, as its documentation shows it or as a careful user would, and judge it."""
    run_step("peers.conformance.write_cases", folder=str(folder), file=CASES)
    answers = run_peer(name, "conform", cases=str(folder / CASES), careful=careful)
    (folder / ANSWERS).write_text(json.dumps(answers))
    return run_step("peers.conformance.judge_answers", folder=str(folder), file=ANSWERS)


def ask_library(folder: Path) -> dict[str, Any]:
    return run_step("peers.library_conformance.answer_cases", folder=str(folder))
