"""Runs: what training and evaluation leave in MLflow: numbers, tables, pages, the model; never rows."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.libraries import LIBRARIES, list_libraries
from somv_risk.evaluation.evaluate import EvaluationReport
from somv_risk.model.model import RiskModel, compute_model_hash
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.payload import build_example
from somv_risk.tracking._client import MODEL_NAME, open_store, start_run
from somv_risk.tracking._registry import CHALLENGER
from somv_risk.tracking._served import CODE, FOLDER
from somv_risk.training.steps import hash_tables

if TYPE_CHECKING:
    from mlflow import MlflowClient

AT_ONCE: Final = 100  # parameters that MLflow takes in one call
LONGEST: Final = 500  # characters of a parameter that MLflow takes with any store
LISTED: Final = ("precision", "sensitivity", "lift")


@dataclass(frozen=True, slots=True)
class Tracked:
    """Where a run is found: the store, the run, and the version of the model that it registered."""

    uri: str
    run_id: str
    version: str | None = None


def track_training(
    model: RiskModel, histories: Histories, report: EvaluationReport, *, uri: str | None = None
) -> Tracked:
    """Track a training: its settings and data, how the model did, and the model itself, as challenger.

    Parameters
    ----------
    report
        What `evaluate` found of the model.
    uri
        Where to; by default where MLflow is set to, else `sqlite:///mlflow.db`.

    Raises
    ------
    SourceError
        If the store cannot be opened.
    """
    with open_store(uri) as (mlflow, client), TemporaryDirectory() as folder:
        _write_training(model, histories, Path(folder))
        _write_report(model, report, Path(folder))
        with start_run(mlflow, client) as run:
            _log_parameters(mlflow, _list_settings(model))
            mlflow.set_tags({"data_hash": model.facts["data_hash"], "model_hash": compute_model_hash(model)})
            _log_metrics(mlflow, report)
            mlflow.log_artifacts(folder)
            number = _log_model(mlflow, model)
        _mark_challenger(client, number, model)
        return Tracked(mlflow.get_tracking_uri(), run.info.run_id, number)


def track_evaluation(model: RiskModel, report: EvaluationReport, *, uri: str | None = None) -> Tracked:
    """Track an evaluation: what was judged, all tables, figures, the page, the checklists and the card.

    Raises
    ------
    SourceError
        If the store cannot be opened.
    """
    with open_store(uri) as (mlflow, client), TemporaryDirectory() as folder:
        _write_report(model, report, Path(folder))
        with start_run(mlflow, client) as run:
            judged = ("index_times", "persons", "draws", "seed", "working_capacity")
            _log_parameters(mlflow, {f"evaluation.{name}": report.facts[name] for name in judged})
            mlflow.set_tag("model_hash", report.facts["model_hash"])
            _log_metrics(mlflow, report)
            mlflow.log_artifacts(folder)
        return Tracked(mlflow.get_tracking_uri(), run.info.run_id)


def _list_settings(model: RiskModel) -> dict[str, Any]:
    facts = model.facts
    own = facts["config"]["features"]["own"]
    config = facts["config"] | {"features": facts["config"]["features"] | {"own": list(own)}}
    times = {f"index_times.{part}": moments for part, moments in facts["index_times"].items()}
    return dict(_flatten("config", config)) | times | {"features": len(model.features)}


def _flatten(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(f"{name}.{key}", inner)
    else:
        yield name, value


def _log_parameters(mlflow: Any, settings: Mapping[str, object]) -> None:  # noqa: ANN401 - a module
    told = [(name, _write(value)) for name, value in settings.items()]
    for start in range(0, len(told), AT_ONCE):
        mlflow.log_params(dict(told[start : start + AT_ONCE]))


def _write(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _log_metrics(mlflow: Any, report: EvaluationReport) -> None:  # noqa: ANN401 - a module
    """Log the model's numbers, one step for each index time."""
    for step, moment in enumerate(report.facts["index_times"]):
        numbers = {name: value for at, name, value in _list_metrics(report) if at.isoformat() == moment}
        mlflow.log_metrics(numbers, step=step)


def _list_metrics(report: EvaluationReport) -> Iterator[tuple[Any, str, float]]:
    told = {"metrics": ("population",), "capacity": ("population", "capacity"), "calibration": ("ranking",)}
    is_own = pl.col("ranking") == "model"
    for table, keys in told.items():
        rows = report.tables.get(table, pl.DataFrame(schema={"value": pl.Float64})).drop_nulls("value")
        if rows.is_empty():
            continue
        kept = {"capacity": pl.col("metric").is_in(LISTED), "calibration": pl.col("grouping") == "all"}
        for row in rows.filter(is_own, kept.get(table, True)).iter_rows(named=True):
            name = ".".join([table, *(row[key] for key in keys if row[key] != "model"), row["metric"]])
            yield row[s.INDEX_TIME], re.sub(r"[^\w./ -]", "percent", name), row["value"]


def _write_training(model: RiskModel, histories: Histories, folder: Path) -> None:
    facts = model.facts
    told = ("tables", "rows", "data_end", "data_hash", "quarantine", "dropped", "libraries", "index_times")
    data = {name: facts[name] for name in told}
    data |= {"table_hashes": hash_tables(histories), "periods": _list_periods(histories)}
    (folder / "data.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(facts["config"], indent=1), encoding="utf-8")
    pl.DataFrame(facts["attrition"]).write_csv(folder / "training-attrition.csv")
    pl.DataFrame(facts["metrics"]).write_csv(folder / "training-metrics.csv")


def _list_periods(histories: Histories) -> dict[str, list[str | None]]:
    """List the first and the last month in which each table has an event; a day might be one person's."""
    moment = pl.col(s.STARTED_AT)
    ends = [moment.min().dt.strftime("%Y-%m").alias("first"), moment.max().dt.strftime("%Y-%m").alias("last")]
    return {
        name: list(frame.select(ends).collect().row(0))
        for name, frame in histories.tables.items()
        if name in s.EVENT_TABLES
    }


def _write_report(model: RiskModel, report: EvaluationReport, folder: Path) -> None:
    from somv_risk.report.evaluation_figures import FIGURES, render_figure  # noqa: PLC0415 - matplotlib is slow
    from somv_risk.report.findings import Findings  # noqa: PLC0415
    from somv_risk.report.wording import load_wording  # noqa: PLC0415

    page, figures = folder / "evaluation", folder / "figures"
    page.mkdir()
    figures.mkdir()
    report.to_html(page / "evaluation.html")
    report.write_card(model, folder / "CARD.md")
    findings, words = Findings(report.facts, report.tables), load_wording("en")
    for name in FIGURES:
        if svg := render_figure(name, findings, words):
            alone = svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
            (figures / f"{name}.svg").write_text(alone, encoding="utf-8")


def _log_model(mlflow: Any, model: RiskModel) -> str:  # noqa: ANN401 - a module
    """Log the model as text and JSON with code of a few lines, and register it; return its version."""
    # What MLflow says here is advice, such as to let it check questions, which `_served` answers.
    with TemporaryDirectory() as made, redirect_stderr(StringIO()):
        code, folder = Path(made) / "served_model.py", Path(made) / FOLDER
        code.write_text(CODE, encoding="utf-8")
        model.save(folder)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            artifacts={FOLDER: str(folder)},
            input_example=build_example(),
            registered_model_name=MODEL_NAME,
            # Named, so that nothing is looked up or installed to find them out.
            pip_requirements=_list_requirements(),
        )
    return str(logged.registered_model_version)


def _list_requirements() -> list[str]:
    versions = {name: number for name, number in list_libraries().items() if name in LIBRARIES}
    return [f"{name}=={number}" for name, number in (versions | {"mlflow": version("mlflow")}).items()]


def _mark_challenger(client: "MlflowClient", number: str, model: RiskModel) -> None:
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, number)
    for tag, value in {
        "data_hash": model.facts["data_hash"],
        "data_end": model.facts["data_end"],
        "model_hash": compute_model_hash(model),
    }.items():
        client.set_model_version_tag(MODEL_NAME, number, tag, str(value))
