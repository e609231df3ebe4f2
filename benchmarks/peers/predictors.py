"""Predictors: peers that score or explain the rows of a model, asked without holding anything large here."""

import subprocess
from pathlib import Path
from typing import Any

from benchmarks.measuring import run_step, tell_cost
from benchmarks.peers.environments import make_environment, run_peer

Report = dict[str, Any]

SCORERS = ("lleaves", "onnxruntime", "tl2cgen")
EXPLAINER = "woodelf_explainer"
# All rows, stored by column and by row, and some from all over them.
ROWS, BY_ROW, SAMPLE = "rows.npy", "by-row.npy", "sample.npy"


def compare_predictor(name: str, folder: Path, model: str, what: str) -> Report:
    """Make a peer ready for a model, and tell how far its numbers for the sample are from LightGBM's.

    What cannot be made ready is told of as a refusal.
    """
    try:
        make_environment(name)
    except subprocess.CalledProcessError as error:
        return {"refusal": f"its environment cannot be made (pip ended with {error.returncode})"}
    prepared = _ask(name, "prepare", folder, model)
    if "refusal" in prepared:
        return prepared
    found = f"{model}-{name}.npy"
    _ask(name, "write", folder, model, file=str(folder / SAMPLE), out=str(folder / found))
    compared = run_step(
        "reasons_check.compare_with_lightgbm", folder=str(folder), model=model, what=what, found=found
    )
    return compared | {"preparing_seconds": prepared["seconds"]}


def measure_predictor(name: str, folder: Path, model: str, file: str, part: int, as_rows: int) -> Report:
    """Let a peer take one part of so many of the rows, as if there were `as_rows` of them."""
    report = _ask(name, "measure", folder, model, file=str(folder / file), part=part, as_rows=as_rows)
    tell_cost(report)
    return report


def _ask(name: str, mode: str, folder: Path, model: str, **arguments: object) -> Report:
    prepared = folder / f"{model}-{name}"
    return run_peer(name, mode, model=str(folder / f"{model}.txt"), prepared=str(prepared), **arguments)
