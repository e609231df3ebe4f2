"""Libraries: those on which the bits of a result may depend, and their versions here."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

LIBRARIES: Final = ("somv-risk", "polars", "lightgbm", "scikit-learn", "numpy", "numba", "pyarrow")


def list_libraries() -> dict[str, str]:
    """List the versions of Python and the libraries; one that is not installed is not named."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
