"""Finds the citizens whom the health system keeps losing, and says in plain words why.

>>> import somv_risk as sr
>>> histories = sr.simulate(persons=1_000, seed=7)
>>> cohort = sr.make_cohort(histories, index_times=["2025-01-01"])
>>> sr.build_features(histories, cohort).select("acute_admissions_365d").max().collect().item() > 0
True
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from somv_risk.calls.copies import allow_copies
from somv_risk.calls.forks import watch_forks
from somv_risk.calls.former_names import FormerNames
from somv_risk.cohort.cohort import make_cohort
from somv_risk.cohort.outcomes import label_outcomes
from somv_risk.features import build_features
from somv_risk.model.origins import add_origin
from somv_risk.registers.histories import Histories
from somv_risk.simulate import simulate
from somv_risk.sources import (
    from_delta,
    from_frames,
    from_omop,
    from_postgres,
    read_histories,
    read_key,
    write_delta,
)

if TYPE_CHECKING:
    from somv_risk.batch import run_batch
    from somv_risk.batch.spark import score_spark
    from somv_risk.evaluation.evaluate import EvaluationReport, evaluate
    from somv_risk.evaluation.explanations import measure_explanations
    from somv_risk.evaluation.refits import Refits
    from somv_risk.model.model import RiskModel, load_model
    from somv_risk.monitoring import MonitoringReport, monitor
    from somv_risk.scoring.change import explain_change
    from somv_risk.scoring.explain_person import explain_person, explain_region, list_reason_evidence
    from somv_risk.scoring.score import score
    from somv_risk.training.config import read_definitions
    from somv_risk.training.train import train
    from somv_risk.training.tuning import tune
    from somv_risk.trees.contributions import explain_trees

# LightGBM brings pandas along; whoever only builds features need not wait for it.
_LATE = {
    "EvaluationReport": "somv_risk.evaluation.evaluate",
    "MonitoringReport": "somv_risk.monitoring",
    "Refits": "somv_risk.evaluation.refits",
    "RiskModel": "somv_risk.model.model",
    "evaluate": "somv_risk.evaluation.evaluate",
    "explain_change": "somv_risk.scoring.change",
    "explain_person": "somv_risk.scoring.explain_person",
    "explain_region": "somv_risk.scoring.explain_person",
    "explain_trees": "somv_risk.trees.contributions",
    "list_reason_evidence": "somv_risk.scoring.explain_person",
    "load_model": "somv_risk.model.model",
    "measure_explanations": "somv_risk.evaluation.explanations",
    "monitor": "somv_risk.monitoring",
    "read_definitions": "somv_risk.training.config",
    "run_batch": "somv_risk.batch",
    "score": "somv_risk.scoring.score",
    "score_spark": "somv_risk.batch.spark",
    "train": "somv_risk.training.train",
    "tune": "somv_risk.training.tuning",
}

__all__ = [
    "EvaluationReport",
    "Histories",
    "MonitoringReport",
    "Refits",
    "RiskModel",
    "build_features",
    "evaluate",
    "explain_change",
    "explain_person",
    "explain_region",
    "explain_trees",
    "from_delta",
    "from_frames",
    "from_omop",
    "from_postgres",
    "label_outcomes",
    "list_reason_evidence",
    "load_model",
    "make_cohort",
    "measure_explanations",
    "monitor",
    "read_definitions",
    "read_histories",
    "read_key",
    "run_batch",
    "score",
    "score_spark",
    "simulate",
    "train",
    "tune",
    "write_delta",
]


allow_copies()
# MLflow is slow to import, so the registry is opened when a model is asked of it.
add_origin("models:/", lambda name: import_module("somv_risk.tracking").fetch_model(name))
watch_forks()
sys.meta_path.insert(0, FormerNames())  # an upgrade may leave empty folders of former names behind


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module of that name holds
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("somv-risk")
    raise AttributeError(f"module 'somv_risk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
