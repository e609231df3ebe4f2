"""Predicting: how scoring or explaining rows is measured, here and in a peer's script. Needs NumPy."""

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import measure, read_peak_mb

Report = dict[str, Any]
Matrix = np.ndarray
Call = Callable[[Matrix], Any]

WARMING_ROWS = 100


def main(
    prepare: Callable[[Path, Path], None],
    load: Callable[[Path, Path], Call],
    refusals: tuple[type[Exception], ...],
) -> None:
    """Do what the command line asks for and print the report as its last line.

    `prepare` makes what is needed of a model, once, and `load` makes of that a function of a matrix.
    `refusals` is what the peer raises where it cannot do with a model.
    """
    mode, arguments = sys.argv[1], json.loads(sys.argv[2])
    model, prepared = Path(arguments.pop("model")), Path(arguments.pop("prepared"))
    with contextlib.redirect_stdout(sys.stderr):
        if mode == "prepare":
            report = _prepare(lambda: prepare(model, prepared), refusals)
        elif mode == "write":
            report = _write(load(model, prepared), **arguments)
        else:
            report = measure_rows(load(model, prepared), **arguments)
    print(json.dumps(report))


def _prepare(work: Callable[[], None], refusals: tuple[type[Exception], ...]) -> Report:
    try:
        _, cost = measure(work)
    except refusals as error:
        return {"refusal": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}
    return cost


def _write(call: Call, file: str, out: str) -> Report:
    """Write what a peer says of all rows of a file."""
    np.save(out, call(read_rows(file)))
    return {}


def read_rows(file: str | Path) -> Matrix:
    return np.asarray(np.load(file, mmap_mode="r"))


def measure_rows(call: Call, file: str, part: int = 1, as_rows: int = 0) -> Report:
    """Measure one part of so many of a file's rows, the first one."""
    matrix = read_rows(file)
    return measure_call(call, matrix[: len(matrix) // part], as_rows)


def measure_call(call: Call, matrix: Matrix, as_rows: int = 0) -> Report:
    """Measure a call with all rows of a matrix, as if there were `as_rows` of them, if asked.

    What one row takes is not taken to grow with the rows. Memory above the matrix is the peak less that of
    before the first call, when all rows were in memory.
    """
    matrix.max()  # reads them
    peak_before = read_peak_mb()
    _, first = measure(lambda: call(matrix[:WARMING_ROWS]))
    _, fixed = measure(lambda: call(matrix[:1]))
    _, cost = measure(lambda: call(matrix))
    times = (as_rows or len(matrix)) / len(matrix)
    scaled = {
        name: fixed[name] + (cost[name] - fixed[name]) * times if times != 1 else cost[name]
        for name in ("seconds", "cpu_seconds")
    }
    above = {"peak_mb": cost["peak_mb"], "above_mb": cost["peak_mb"] - peak_before}
    return scaled | above | {"rows": len(matrix), "first_seconds": first["seconds"]}
