"""Monitoring in MLflow: the numbers of a run to follow over time, its tables and its pages."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from somv_risk.monitoring import MonitoringReport
from somv_risk.tracking._client import open_store, start_run
from somv_risk.tracking._runs import Tracked

RUN: Final = "monitoring"
PAGE: Final = "monitoring.html"


def track_monitoring(report: MonitoringReport, *, uri: str | None = None) -> Tracked:
    """Track a monitoring run: its numbers, all tables and the page; counts and shares, and no person's rows.

    Parameters
    ----------
    uri
        Where to; by default where MLflow is set to, else `sqlite:///mlflow.db`.

    Raises
    ------
    SourceError
        If the store cannot be opened.
    """
    with open_store(uri) as (mlflow, client), TemporaryDirectory() as folder:
        report.to_html(Path(folder) / PAGE)
        with start_run(mlflow, client, RUN) as run:
            told = ("index_time", "earlier", "persons")
            mlflow.log_params({f"{RUN}.{name}": str(report.facts[name]) for name in told})
            mlflow.set_tag("model_hash", report.facts["model_hash"])
            mlflow.log_metrics({f"{RUN}.{name}": value for name, value in report.metrics.items()})
            mlflow.log_artifacts(folder)
        return Tracked(mlflow.get_tracking_uri(), run.info.run_id)
