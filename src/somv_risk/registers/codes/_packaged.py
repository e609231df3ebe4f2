"""Packaged list: one TOML file that is delivered with the library."""

import tomllib
from importlib import resources
from typing import Any


def load_packaged(name: str) -> dict[str, Any]:
    """Content of a TOML file of this package."""
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
