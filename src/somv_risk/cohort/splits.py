"""Splits: which persons and which index moments serve which purpose."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import polars as pl

from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ConfigError
from somv_risk.registers.identity import hash_person

ROLE = "role"
ROLES = ("fit", "stop", "calibrate", "test")
_HASH_SPACE = 2**32


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Index moments for training, calibration and test, in this order, at least one horizon apart.

    The gap means that no outcome used in one part lies in the look-ahead of the next.
    """

    train: tuple[datetime, ...]
    calibrate: tuple[datetime, ...]
    test: tuple[datetime, ...]
    horizon: Horizon = Horizon(365)

    def __post_init__(self) -> None:
        parts = (self.train, self.calibrate, self.test)
        if not all(parts):
            raise ConfigError(
                "A time split has an empty part. Give index times for train, calibrate and test."
            )
        for earlier, later in pairwise(parts):
            if max(earlier) + self.horizon.length > min(later):
                raise ConfigError(
                    f"Index times {max(earlier)} and {min(later)} of two parts lie less than the horizon of "
                    f"{self.horizon.days} days apart. Move the parts apart."
                )


@dataclass(frozen=True, slots=True)
class PersonSplit:
    """Share of persons per role; a person has one role for ever (a hash of the id and the salt)."""

    shares: Mapping[str, float]
    salt: str = "somv_risk"

    def __post_init__(self) -> None:
        if set(self.shares) != set(ROLES) or any(share <= 0 for share in self.shares.values()):
            raise ConfigError(f"Person shares must be positive and name {list(ROLES)}.")
        if abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ConfigError("Person shares must sum to 1.")


def add_role(rows: pl.LazyFrame, split: PersonSplit) -> pl.LazyFrame:
    """Add the column `role`; the same person always has the same role, whoever else is present."""
    fraction = hash_person(split.salt) / _HASH_SPACE
    return rows.with_columns(fraction.alias(ROLE)).with_columns(_role_of(pl.col(ROLE), split).alias(ROLE))


def _role_of(fraction: pl.Expr, split: PersonSplit) -> pl.Expr:
    upper, role = 1.0, pl.lit(ROLES[-1])
    for name in reversed(ROLES[:-1]):
        upper -= split.shares[ROLES[ROLES.index(name) + 1]]
        role = pl.when(fraction < upper).then(pl.lit(name)).otherwise(role)
    return role.cast(pl.Enum(ROLES))
