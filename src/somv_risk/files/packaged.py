"""Packaged files: models and configurations that come with the library, known by their names.

A wheel holds them; an editable install takes them from the project's folder.
"""

from pathlib import Path
from typing import Final

from somv_risk.calls.arguments import read_path

MODELS: Final = ("simulated", "hospital_only")
_MODULE: Final = Path(__file__).resolve()
_IN_A_WHEEL: Final = _MODULE.parents[1] / "packaged"
_IN_THE_PROJECT: Final = _MODULE.parents[3]
_USUAL: Final = "default"


def list_packaged_models() -> dict[str, Path]:
    """List the folders of the packaged models by name.

    Examples
    --------
    >>> list(list_packaged_models())
    ['simulated', 'hospital_only']
    """
    return {name: _find_root() / "models" / name for name in MODELS}


def find_model_folder(name: str | Path) -> Path:
    """Find the folder that a name stands for: the one that is there, else the packaged model of that name.

    What stands in the working folder comes first, so that no other model is loaded in place of one's own.

    Examples
    --------
    >>> find_model_folder("hospital_only").is_dir()
    True
    """
    folder = Path(name)
    return folder if folder.exists() else list_packaged_models().get(str(name), folder)


def find_packaged_config(file: str) -> Path:
    """Find a packaged configuration by its place among them, such as `simulation/region_sjaelland.toml`.

    Examples
    --------
    >>> find_packaged_config("gates.toml").name
    'gates.toml'
    """
    return _find_root() / "configs" / file


def find_config(argument: str, given: object, packaged: str) -> Path:
    """Find the file of a configuration: the one that is given, or the packaged one by its name or `default`.

    A file of that name in the working folder comes first, as with models.

    Raises
    ------
    ConfigError
        If what is given is no path.

    Examples
    --------
    >>> find_config("config", "default", "monitoring.toml").name
    'monitoring.toml'
    """
    path = read_path(argument, given)
    is_named = str(path) in (_USUAL, Path(packaged).stem)
    return find_packaged_config(packaged) if is_named and not path.exists() else path


def _find_root() -> Path:
    return _IN_A_WHEEL if _IN_A_WHEEL.is_dir() else _IN_THE_PROJECT
