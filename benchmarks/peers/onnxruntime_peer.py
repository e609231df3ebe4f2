"""ONNX Runtime 1: scores by a graph that onnxmltools makes of the trees, in its own environment."""

from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from benchmarks.peers.predicting import main

INPUT = "rows"
OBJECTIVES = {
    "objective=binary sigmoid:1": "objective=regression",
    "[objective: binary]": "[objective: regression]",
}


def prepare(model: Path, prepared: Path) -> None:
    """Convert the model as if it were a regression, whose output is the raw score."""
    text = model.read_text()
    for binary, regression in OBJECTIVES.items():
        text = text.replace(binary, regression)
    booster = lgb.Booster(model_str=text)
    inputs = [(INPUT, FloatTensorType([None, booster.num_feature()]))]
    prepared.write_bytes(convert_lightgbm(booster, initial_types=inputs).SerializeToString())


def load(model: Path, prepared: Path) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG001 - all are called alike
    session = onnxruntime.InferenceSession(prepared, providers=["CPUExecutionProvider"])
    return lambda matrix: session.run(None, {INPUT: matrix})[0]


if __name__ == "__main__":
    main(prepare, load, (RuntimeError, NotImplementedError, TypeError))
