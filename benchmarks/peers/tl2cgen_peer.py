"""TL2cgen 1: scores by C code made of the trees and compiled, in its own environment."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tl2cgen
import treelite
from tl2cgen.exception import TL2cgenError
from treelite import TreeliteError

from benchmarks.peers.predicting import main

# Files of C code, without which the compiler takes minutes.
FILES = 8


def prepare(model: Path, prepared: Path) -> None:
    trees = treelite.frontend.load_lightgbm_model(model)
    tl2cgen.export_lib(trees, toolchain="gcc", libpath=_name(prepared), params={"parallel_comp": FILES})


def load(model: Path, prepared: Path) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG001 - all are called alike
    predictor = tl2cgen.Predictor(_name(prepared))
    return lambda matrix: predictor.predict(tl2cgen.DMatrix(matrix), pred_margin=True)


def _name(prepared: Path) -> Path:
    """A library that is loaded must have this ending."""
    return prepared.with_suffix(".so")


if __name__ == "__main__":
    main(prepare, load, (TL2cgenError, TreeliteError, ValueError))
