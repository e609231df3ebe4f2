"""Extras: optional packages, which are looked for where they are first needed."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Final

from somv_risk.errors import ConfigError

# The extra of pyproject.toml that installs a module.
EXTRA_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "adbc_driver_postgresql": "postgres",
        "deltalake": "delta",
        "hypothesis": "testing",
        "matplotlib": "plots",
        "mlflow": "tracking",
        "optuna": "tune",
        "pyspark": "spark",
        "pytest": "testing",
        "shap": "plots",
    }
)


def check_installed(module: str, purpose: str) -> None:
    """Check that an optional module is installed; `purpose` says what it is needed for.

    Raises
    ------
    ConfigError
        If it is not; the error names the command that installs it.

    Examples
    --------
    >>> check_installed("matplotlib", "pictures")
    """
    if find_spec(module) is None:
        raise ConfigError(
            f"{module} is needed for {purpose} and is not installed. "
            f'Install it: pip install "somv-risk[{EXTRA_OF[module]}]"'
        )
