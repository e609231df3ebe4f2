"""The catalogue: what the region, its people and their troubles are like, read from TOML files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import inf
from typing import Any, Final

import numpy as np

from somv_risk.simulate.draws import Floats
from somv_risk.toml import load_packaged

PSYCHIATRY: Final = "psychiatry"


@dataclass(frozen=True, slots=True)
class Municipality:
    """Where people live; `people` in thousands."""

    code: str
    name: str
    people: float
    on_benefits: float
    hospital: str


@dataclass(frozen=True, slots=True)
class Trait:
    """A latent trouble or illness."""

    name: str
    share: float
    age_peak: float
    age_width: float
    from_age: float
    loadings: Mapping[str, float]
    began_years_ago: float = inf


@dataclass(frozen=True, slots=True)
class Cause:
    """Why somebody comes to hospital."""

    name: str
    driver: str
    curve: str
    acute: float
    planned: float
    visit: float
    department: str
    codes: Sequence[str]
    days: float
    spread: float
    leaves: float
    secondary: Sequence[str] = field(default_factory=tuple)
    days_apart: float = 0.0
    recurs: bool = True


@dataclass(frozen=True, slots=True)
class Crisis:
    """A kind of episode in which everything happens at once."""

    name: str
    driver: str
    curve: str
    per_year: float
    days: float
    days_spread: float
    stays: float
    stays_spread: float
    planned: float
    visits: float
    emergencies: float
    causes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SecondaryCode:
    """A code noted beside the primary one when the person has the trait."""

    driver: str
    chance: float
    code: str


@cache
def read_table(name: str) -> dict[str, Any]:
    """One packaged TOML file."""
    return load_packaged("somv_risk.simulate", f"{name}.toml")


@cache
def read_municipalities() -> tuple[Municipality, ...]:
    """The municipalities of the region."""
    return tuple(Municipality(**row) for row in read_table("region")["municipality"])


@cache
def read_traits() -> tuple[Trait, ...]:
    """The latent traits, each after those it depends on."""
    return tuple(Trait(**row) for row in read_table("traits")["trait"])


@cache
def read_causes() -> tuple[Cause, ...]:
    """The causes of hospital contacts."""
    return tuple(Cause(**row) for row in read_table("causes")["cause"])


@cache
def read_crises() -> tuple[Crisis, ...]:
    """The kinds of crises."""
    return tuple(Crisis(**row) for row in read_table("crises")["crisis"])


@cache
def read_secondary_codes() -> tuple[SecondaryCode, ...]:
    """The codes of accompanying conditions."""
    return tuple(SecondaryCode(**row) for row in read_table("causes")["secondary"])


def read_hospitals() -> tuple[str, ...]:
    """The somatic hospitals, in the order of the municipalities that use them."""
    return tuple(dict.fromkeys(place.hospital for place in read_municipalities()))


def apply_curve(name: str, ages: Floats) -> Floats:
    """The multiplier that a named age curve gives to each age; the first holds before birth."""
    curves = read_table("causes")["curves"]
    return np.asarray(np.interp(ages, curves["knots"], curves[name]))


def list_cause_values(name: str) -> Floats:
    """One numeric field of all causes, in catalogue order."""
    return np.array([getattr(cause, name) for cause in read_causes()], dtype=np.float64)
