"""woodelf-explainer 0.4: contributions by masks shared among rows, in its own environment."""

from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from woodelf import WoodelfExplainer

from benchmarks.peers.predicting import main


def prepare(model: Path, prepared: Path) -> None:
    """Explain one row: nothing is kept, but models that cannot be explained are found out."""
    load(model, prepared)(np.zeros((1, lgb.Booster(model_file=model).num_feature()), np.float32))


def load(model: Path, prepared: Path) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG001 - all are called alike
    explainer = WoodelfExplainer(lgb.Booster(model_file=model), feature_perturbation="tree_path_dependent")
    return lambda matrix: explainer.shap_values(pd.DataFrame(matrix, copy=False), verbose=False)


if __name__ == "__main__":
    main(prepare, load, (ValueError,))
