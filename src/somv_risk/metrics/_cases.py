"""Cases: what was foretold of persons at one index moment, and what happened to them after it."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.errors import ConfigError, InputError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Cases:
    """Persons whose outcome is known, one case each; who they are is not needed here.

    Parameters
    ----------
    outcome
        Whether the outcome occurred, shape (n,).
    rankings
        By name, what persons are ordered by (higher first), each of shape (n,). The first is judged.
    risks
        Names of the rankings that are probabilities.
    rules
        By name, who is chosen by a rule that says yes or no, each of shape (n,).
    is_new
        Who was below the target's count in the year before, shape (n,); everybody by default.
    admissions, bed_days
        Acute admissions, and days of them, in the horizon, shape (n,); none by default.
    is_counted
        Who had the outcome by another way of counting, such as the official one; None if it is not asked.
    groups
        One column of texts for each grouping; null is a group of its own, "unknown".
    doubts
        By name of a ranking, a sentence that goes with every number about it.

    Raises
    ------
    InputError
        If there are no cases, lengths differ, or a score or risk is no number.
    """

    outcome: BoolArray
    rankings: Mapping[str, FloatArray]
    risks: tuple[str, ...] = ()
    rules: Mapping[str, BoolArray] = field(default_factory=dict)
    is_new: BoolArray | None = None
    admissions: FloatArray | None = None
    bed_days: FloatArray | None = None
    is_counted: BoolArray | None = None
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    doubts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.outcome):
            raise InputError("There are no cases. Choose persons and a period whose outcome is known.")
        if not self.rankings:
            raise InputError("There is no ranking to judge. Give the model's scores.")
        for name, values in self._list_columns():
            if len(values) != len(self.outcome):
                raise InputError(
                    f"{name} has {len(values)} values for {len(self.outcome)} cases. Align them."
                )
        for name, score in self.rankings.items():
            if not np.isfinite(score).all():
                raise InputError(f"Ranking {name} has values that are no numbers. Give one for each case.")
        for name in self.risks:
            _check_risk(name, self.rankings.get(name))
        groups = self.groups.select(pl.all().cast(pl.String).fill_null(UNKNOWN))
        object.__setattr__(self, "groups", groups)

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def events(self) -> int:
        """How many had the outcome."""
        return int(self.outcome.sum())

    @property
    def judged(self) -> str:
        """Name of the ranking that is judged."""
        return next(iter(self.rankings))

    @property
    def model(self) -> FloatArray:
        """Scores of the model judged."""
        return self.rankings[self.judged]

    def keep(self, is_kept: BoolArray) -> "Cases":
        """Keep some cases."""
        return self.take(np.flatnonzero(is_kept))

    def take(self, places: IntArray) -> "Cases":
        """Take cases by their places, in that order."""
        return Cases(
            outcome=self.outcome[places],
            rankings={name: score[places] for name, score in self.rankings.items()},
            risks=self.risks,
            rules={name: chosen[places] for name, chosen in self.rules.items()},
            is_new=_take(self.is_new, places),
            admissions=_take(self.admissions, places),
            bed_days=_take(self.bed_days, places),
            is_counted=_take(self.is_counted, places),
            groups=self.groups[places] if self.groups.width else self.groups,
            doubts=self.doubts,
        )

    def _list_columns(self) -> list[tuple[str, Sized]]:
        optional = {
            "is_new": self.is_new,
            "admissions": self.admissions,
            "bed_days": self.bed_days,
            "is_counted": self.is_counted,
        }
        given = [(name, values) for name, values in optional.items() if values is not None]
        return [*self.rankings.items(), *self.rules.items(), *given, *((g.name, g) for g in self.groups)]


def _take(values: npt.NDArray[Number] | None, places: IntArray) -> npt.NDArray[Number] | None:
    return None if values is None else values[places]


def _check_risk(name: str, risk: FloatArray | None) -> None:
    if risk is None:
        raise ConfigError(f"Risk {name} is not among the rankings. Name some of them.")
    if risk.min() < 0 or risk.max() > 1:
        raise InputError(f"Risk {name} leaves the range from 0 to 1. Give probabilities.")
