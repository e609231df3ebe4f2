"""The search space of tuning: which tree parameters may take which values."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from somv_risk.errors import ConfigError
from somv_risk.files.packaged import find_config
from somv_risk.toml import read_toml

SPACE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "learning_rate": {"low": 0.02, "high": 0.2, "log": True},
        "max_depth": {"low": 3, "high": 8},
        "num_leaves": {"low": 7, "high": 63, "log": True},
        "min_data_in_leaf": {"low": 20, "high": 2_000, "log": True},
        "feature_fraction": {"low": 0.1, "high": 1.0},
        "lambda_l2": {"low": 0.1, "high": 100.0, "log": True},
    }
)


class Dimension(BaseModel):
    """The values of one parameter: from `low` to `high`, evenly or by their logarithm, or some `choices`.

    Whole numbers stay whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[bool | int | float | str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Dimension":
        if self.choices and self.low is None and self.high is None and not self.log:
            return self
        if self.choices or self.low is None or self.high is None or self.low >= self.high:
            raise ValueError("give low and a higher high, or choices")
        if self.log and self.low <= 0:
            raise ValueError("a logarithm needs a low above 0")
        return self

    def holds(self, value: object) -> bool:
        """Tell whether a value is among those of the dimension."""
        if self.choices:
            return value in self.choices
        if not isinstance(value, int | float) or self.low is None or self.high is None:
            return False
        return self.low <= value <= self.high and (not self.is_whole or value == int(value))

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are asked for."""
        return isinstance(self.low, int) and isinstance(self.high, int)


def read_space(space: Mapping[str, Any] | str | Path) -> dict[str, Dimension]:
    """Read a search space: a TOML file, its content, or "tuning" or "default", which is the packaged file.

    Raises
    ------
    SourceError
        If the file is missing or unreadable.
    ConfigError
        If it is not TOML, is empty, or the values of a parameter are unsound.
    """
    rows = space if isinstance(space, Mapping) else _read_rows(space)
    if not rows:
        raise ConfigError("The search space is empty. Name a tree parameter, with low and high or choices.")
    return {name: _parse(name, row) for name, row in rows.items()}


def _read_rows(space: str | Path) -> dict[str, Any]:
    return read_toml("Search space", find_config("space", space, "tuning.toml"))


def _parse(name: str, row: object) -> Dimension:
    try:
        return Dimension.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([name, *(str(part) for part in first["loc"])])
        raise ConfigError(f"Search space {place}: {first['msg']}. Correct that entry.") from None
