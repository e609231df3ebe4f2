"""Registry: models by name, version and alias, and what was said of each when it was moved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from somv_risk.errors import ConfigError, ModelError
from somv_risk.model.model import RiskModel, load_model
from somv_risk.tracking._client import MODEL_NAME, open_store
from somv_risk.tracking._served import FOLDER

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
# Tag of the registered model: the versions that were champion, the present one last.
CHAMPIONS: Final = "champions"
ABSENT: Final = "RESOURCE_DOES_NOT_EXIST"


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
    model = _find_model(client)
    return None if model is None or alias not in model.aliases else str(model.aliases[alias])


def _find_model(client: "MlflowClient") -> "RegisteredModel | None":
    """Find the registered model; only its absence is none, for a store that fails must not look like that."""
    from mlflow import MlflowException  # noqa: PLC0415 - slow to import

    try:
        return client.get_registered_model(MODEL_NAME)
    except MlflowException as error:
        if error.error_code == ABSENT:
            return None
        raise


def resolve_version(client: "MlflowClient", name: str) -> str:
    """Resolve a version from its number or an alias.

    Raises
    ------
    ModelError
        If there is none.
    """
    known = [] if _find_model(client) is None else client.search_model_versions(f"name='{MODEL_NAME}'")
    version = name if name in {str(one.version) for one in known} else find_version(client, name)
    if version is None:
        raise ModelError(
            f"The registry has no {name!r} of {MODEL_NAME}. Give a version, or train one with --track."
        )
    return version


def list_champions(client: "MlflowClient") -> list[str]:
    """List the versions that were champion, the present one last, even if it was made so by hand."""
    model, present = _find_model(client), find_version(client, CHAMPION)
    text = "" if model is None else model.tags.get(CHAMPIONS, "")
    champions = [version for version in text.split(",") if version]
    return champions if present is None or champions[-1:] == [present] else [*champions, present]


def crown(client: "MlflowClient", version: str) -> None:
    """Make a version the champion, and remember who was before."""
    _set_champions(client, [*list_champions(client), version])


def find_way_back(client: "MlflowClient") -> tuple[str, str]:
    """Find the champion, and the one before it.

    Raises
    ------
    ConfigError
        If there was none before it.
    """
    champions = list_champions(client)
    if len(champions) < 2:
        raise ConfigError(
            "There was no champion before the present one, so there is none to go back to. Promote another."
        )
    *_, before, now = champions
    return now, before


def step_back(client: "MlflowClient") -> None:
    """Make the champion before the present one the champion again."""
    _set_champions(client, list_champions(client)[:-1])


def _set_champions(client: "MlflowClient", versions: list[str]) -> None:
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, versions[-1])
    client.set_registered_model_tag(MODEL_NAME, CHAMPIONS, ",".join(versions))
