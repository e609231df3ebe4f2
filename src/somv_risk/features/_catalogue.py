"""The catalogue: every feature the library ships, read from data."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from somv_risk.features._definition import Definition, Feature, list_features, read_definition


@cache
def load_definitions() -> tuple[Definition, ...]:
    """Load the catalogue's rows in file order."""
    text = resources.files("somv_risk.features").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return parse_definitions(tomllib.loads(text))


@cache
def load_catalogue() -> tuple[Feature, ...]:
    """Load every feature: each definition at each of its windows.

    Examples
    --------
    >>> load_catalogue()[0].name
    'acute_admissions_30d'
    """
    return list_features(load_definitions())


def parse_definitions(rows: Mapping[str, Any]) -> tuple[Definition, ...]:
    """Parse rows by id, as TOML or JSON gives them: those of the catalogue, or of your own.

    Raises
    ------
    ConfigError
        If a row breaks a rule.
    """
    return tuple(read_definition(identity, row) for identity, row in rows.items())
