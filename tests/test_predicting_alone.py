"""Predicting alone: who only wants risks does not load what explains them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[1] / "models" / "simulated"
EXPLAINER = (
    "somv_risk.trees.contributions",
    "somv_risk.trees.shapley",
    "somv_risk.scoring.explain_person",
    "shap",
)
SCRIPT = """
import json, sys, warnings
import numpy as np
import somv_risk as sr
warnings.simplefilter("ignore")
model = sr.load_model(sys.argv[1])
model.main.predict_risk(np.zeros((3, len(model.features)), dtype=np.float32))
predicted = list(sys.modules)
region = sr.simulate(persons=300, seed=7)
asked = {"index_time": "2025-01-01", "capacity": 1, "allow": ["index-time"]}
sr.score(model, region, **asked, explain="none")
scored = list(sys.modules)
sr.score(model, region, **asked, explain="flagged")
print(json.dumps([predicted, scored, list(sys.modules)]))
"""


@pytest.fixture(scope="module")
def loaded():
    command = [sys.executable, "-c", SCRIPT, str(MODEL)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  a fixed text
    return [set(names) for names in json.loads(done.stdout)]


def test_predicting_loads_no_explainer(loaded):
    predicted, _, _ = loaded
    assert "somv_risk.trees.scores" in predicted
    assert predicted.isdisjoint(EXPLAINER)


def test_scoring_without_reasons_loads_no_explainer(loaded):
    _, scored, _ = loaded
    assert "somv_risk.scoring.score" in scored
    assert scored.isdisjoint(EXPLAINER)


def test_reasons_load_it(loaded):
    assert {"somv_risk.trees.contributions", "somv_risk.trees.shapley"} <= loaded[2]
