"""Registry: models by name, version and alias, and what was said of each when it was moved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from somv_risk.errors import ConfigError, ModelError
from somv_risk.model import RiskModel, load_model
from somv_risk.tracking._client import MODEL_NAME, open_store
from somv_risk.tracking._served import FOLDER

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
# Tag of the registered model: the versions that were champion, the present one last.
CHAMPIONS: Final = "champions"


@contextmanager
def fetch_model(name: str) -> Iterator[Path]:
    """Fetch a model by a name such as "models:/somv-risk@champion" to a folder, as long as it is read.

    Only text and JSON are read; the code that MLflow keeps with a model is not run.

    Raises
    ------
    ModelError
        If the registry has no such model, or it was not made by this library.
    SourceError
        If the store cannot be opened.
    """
    with open_store() as (mlflow, _), TemporaryDirectory() as folder:
        yield _download(mlflow, name, folder)


def load_registered(mlflow: Any, name: str) -> RiskModel:  # noqa: ANN401 - a module
    """Load a model by its name from the store that is open."""
    with TemporaryDirectory() as folder:
        return load_model(_download(mlflow, name, folder))


def _download(mlflow: Any, name: str, folder: str) -> Path:  # noqa: ANN401 - a module
    try:
        downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=name, dst_path=folder))
    except (mlflow.MlflowException, OSError):
        raise ModelError(
            f"The registry at {mlflow.get_tracking_uri()} gives no model {name}. Train one with --track, or "
            "name it like models:/somv-risk@champion or models:/somv-risk/3."
        ) from None
    inside = downloaded / "artifacts" / FOLDER
    if not inside.is_dir():
        raise ModelError(f"{name} was not made by this library. Name a model that train --track registered.")
    return inside


def find_version(client: "MlflowClient", alias: str) -> str | None:
    """Find the version that an alias points to, if there is one."""
    from mlflow import MlflowException  # noqa: PLC0415 - slow to import

    try:
        return str(client.get_model_version_by_alias(MODEL_NAME, alias).version)
    except MlflowException:
        return None


def resolve_version(client: "MlflowClient", name: str) -> str:
    """Resolve a version from its number or an alias.

    Raises
    ------
    ModelError
        If there is none.
    """
    from mlflow import MlflowException  # noqa: PLC0415 - slow to import

    try:
        found = client.get_model_version(MODEL_NAME, name) if name.isdigit() else None
    except MlflowException:
        found = None
    version = str(found.version) if found else find_version(client, name)
    if version is None:
        raise ModelError(
            f"The registry has no {name!r} of {MODEL_NAME}. Give a version, or train one with --track."
        )
    return version


def list_champions(client: "MlflowClient") -> list[str]:
    """List the versions that were champion, the present one last."""
    text = client.get_registered_model(MODEL_NAME).tags.get(CHAMPIONS, "")
    return [version for version in text.split(",") if version]


def crown(client: "MlflowClient", version: str) -> None:
    """Make a version the champion, and remember who was before."""
    _set_champions(client, [*list_champions(client), version])


def step_back(client: "MlflowClient") -> tuple[str, str]:
    """Make the champion before the present one the champion again; return the two, the one that goes first.

    Raises
    ------
    ConfigError
        If there was none before it.
    """
    from mlflow import MlflowException  # noqa: PLC0415 - slow to import

    try:
        champions = list_champions(client)
    except MlflowException:
        champions = []
    if len(champions) < 2:
        raise ConfigError(
            "There was no champion before the present one, so there is none to go back to. Promote another."
        )
    *_, before, now = champions
    _set_champions(client, champions[:-1])
    return now, before


def _set_champions(client: "MlflowClient", versions: list[str]) -> None:
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, versions[-1])
    client.set_registered_model_tag(MODEL_NAME, CHAMPIONS, ",".join(versions))
