"""The catalogue: every feature the library ships, read from data."""

import tomllib
from functools import cache
from importlib import resources

from somv_risk.features._spec import Definition, Feature, read_definition


@cache
def load_definitions() -> tuple[Definition, ...]:
    """Load the catalogue's rows in file order."""
    text = resources.files("somv_risk.features").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return tuple(read_definition(identity, row) for identity, row in tomllib.loads(text).items())


@cache
def load_catalogue() -> tuple[Feature, ...]:
    """Load every feature: each definition at each of its windows.

    Examples
    --------
    >>> load_catalogue()[0].name
    'acute_admissions_30d'
    """
    return tuple(feature for definition in load_definitions() for feature in definition.features())
