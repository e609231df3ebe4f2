"""Client: MLflow, imported when it is needed, quiet and telling nobody, and the store it talks to."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from somv_risk.calls.extras import check_installed
from somv_risk.errors import SourceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI: Final = "sqlite:///mlflow.db"
EXPERIMENT: Final = "somv-risk"
MODEL_NAME: Final = "somv-risk"
ARTIFACTS: Final = "mlartifacts"
SQLITE: Final = "sqlite:///"
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
# A hospital's machines tell nobody outside what they do; and who waits for a server wants to know soon.
SILENCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    }
)


def import_mlflow() -> Any:  # noqa: ANN401 - a module
    """Import MLflow with its telemetry off.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    check_installed("mlflow", "runs and registered models")
    for name, value in SILENCE.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: PLC0415 - slow to import

    return mlflow


@contextmanager
def open_store(uri: str | None = None) -> Iterator[tuple[Any, "MlflowClient"]]:
    """Open a store for as long as it is used: MLflow and its client; afterwards MLflow's own is as before.

    Parameters
    ----------
    uri
        Where MLflow tracks. By default where it is set to (MLFLOW_TRACKING_URI), else `sqlite:///mlflow.db`.

    Raises
    ------
    SourceError
        If the store cannot be opened, or fails while it is used.
    """
    mlflow, before = import_mlflow(), os.environ.get(TRACKING_URI)
    chosen = uri or (mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else DEFAULT_URI)
    _check_folder(chosen)
    try:
        mlflow.set_tracking_uri(chosen)
        yield mlflow, _connect(mlflow, chosen)
    except mlflow.MlflowException as error:
        raise SourceError(
            f"MLflow at {chosen} failed ({error.error_code}). Look at its store, and do it again."
        ) from error
    finally:
        # MLflow keeps what it is set to in the environment too, and reads it from there.
        mlflow.set_tracking_uri(None)
        os.environ.update({TRACKING_URI: before} if before else {})


def check_store(uri: str | None = None) -> None:
    """Check that a store can be opened, before long work whose result it is to keep.

    Raises
    ------
    SourceError
        If it cannot.
    """
    with open_store(uri):
        pass


def _connect(mlflow: Any, uri: str) -> "MlflowClient":  # noqa: ANN401 - a module
    try:
        client: MlflowClient = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    except (mlflow.MlflowException, OSError) as error:
        raise SourceError(
            f"The MLflow store {uri} cannot be opened ({type(error).__name__}). Give --tracking-uri."
        ) from None
    return client


def _check_folder(uri: str) -> None:
    folder = Path(uri.removeprefix(SQLITE)).parent
    if uri.startswith(SQLITE) and not folder.is_dir():
        raise SourceError(f"There is no folder {folder} for the MLflow store. Make it, or give another URI.")


def start_run(mlflow: Any, client: "MlflowClient", name: str | None = None) -> Any:  # noqa: ANN401 - MLflow's
    """Start a run, below the one that a notebook may have open; `mlflow run` has made it already."""
    experiment = _choose_experiment(mlflow, client)
    return mlflow.start_run(experiment_id=experiment, run_name=name, nested=True)


def _choose_experiment(mlflow: Any, client: "MlflowClient") -> str:  # noqa: ANN401 - a module
    """Choose the experiment runs belong to: that of `mlflow run` inside one, else our own, made at need.

    Artifacts of a local database lie beside it.
    """
    inside = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if inside:
        return inside
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    uri = str(mlflow.get_tracking_uri())
    beside = Path(uri.removeprefix(SQLITE)).absolute().parent / ARTIFACTS
    location = beside.as_uri() if uri.startswith(SQLITE) else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))
