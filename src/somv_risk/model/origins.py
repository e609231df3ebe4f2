"""Origins: how a model that is not named by a folder is fetched to one.

Lower floors load models from folders; which other names there are is added by the upper floors.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from somv_risk.files.packaged import find_model_folder

Fetch = Callable[[str], AbstractContextManager[Path]]

_ORIGINS: Final[dict[str, Fetch]] = {}


def add_origin(prefix: str, fetch: Fetch) -> None:
    """Let every name that starts with the prefix be fetched to a folder, for as long as it is read."""
    _ORIGINS[prefix] = fetch


def open_folder(name: str | Path) -> AbstractContextManager[Path]:
    """Open the folder that a name stands for: what the origin of its prefix fetches, else a folder.

    A folder that is there comes first, then the packaged model of that name.

    Examples
    --------
    >>> with open_folder("models/simulated") as folder:
    ...     print(folder.as_posix())
    models/simulated
    """
    for prefix, fetch in _ORIGINS.items():
        if str(name).startswith(prefix):
            return fetch(str(name))
    return nullcontext(find_model_folder(name))
