"""lleaves 1: scores by machine code that LLVM makes of the trees, in its own environment."""

from collections.abc import Callable
from pathlib import Path

import lleaves
import numpy as np

from benchmarks.peers.predicting import main


def prepare(model: Path, prepared: Path) -> None:
    _compile(model, prepared)


def load(model: Path, prepared: Path) -> Callable[[np.ndarray], np.ndarray]:
    return _compile(model, prepared).predict


def _compile(model: Path, prepared: Path) -> lleaves.Model:
    """Compile, or load what was compiled before."""
    compiled = lleaves.Model(model_file=str(model))
    compiled.compile(cache=str(prepared), raw_score=True)
    return compiled


if __name__ == "__main__":
    main(prepare, load, (ValueError, NotImplementedError))
