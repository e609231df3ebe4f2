"""Limits: from where on a difference is worth an alarm, read from TOML and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from somv_risk.files.packaged import find_config
from somv_risk.metrics import read_capacities
from somv_risk.metrics.week_volumes import WeekLimits
from somv_risk.toml import parse_entries, read_toml


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FeatureLimits(_Section):
    """How far a feature, or the risk, may move; beyond chance it must be in any case."""

    psi: float = Field(default=0.25, gt=0)
    confidence: float = Field(default=0.999, gt=0, lt=1)
    null_share: float = Field(default=0.1, gt=0, le=1)
    deviations: float = Field(default=4.0, gt=0)


class TableLimits(_Section):
    """How far tables may differ from those of the training."""

    persons: float = Field(default=0.15, gt=0)
    rows_least: float = Field(default=0.67, gt=0, lt=1)
    rows_most: float = Field(default=1.5, gt=1)
    null_share: float = Field(default=0.1, gt=0, le=1)
    set_aside: float = Field(default=0.02, gt=0, le=1)
    stale_days: float = Field(default=14, ge=0)


class VolumeLimits(_Section):
    """Which weeks are looked at, and which of them are out of the ordinary; see `volumes.WeekLimits`."""

    weeks: int = Field(default=104, ge=1)
    alarm_weeks: int = Field(default=13, ge=1)
    deviations: float = Field(default=5.0, gt=0)
    low: float = Field(default=0.7, ge=0, lt=1)
    high: float = Field(default=1.4, gt=1)
    stopped: float = Field(default=0.1, ge=0, lt=1)

    def build_week_limits(self) -> WeekLimits:
        """Return the limits of one week."""
        return WeekLimits(self.deviations, self.low, self.high, self.stopped)


class DelayLimits(_Section):
    """How far the time until a row is known may move: its median over the last weeks."""

    weeks: int = Field(default=4, ge=1)
    days: float = Field(default=7.0, gt=0)
    deviations: float = Field(default=5.0, gt=0)


class ScoreLimits(_Section):
    """How far the share of persons above the threshold may move, times that of the reference."""

    share_least: float = Field(default=0.67, gt=0, lt=1)
    share_most: float = Field(default=1.5, gt=1)


class OutcomeLimits(_Section):
    """How risks must hold once outcomes have arrived; for an alarm the whole interval lies beyond a limit."""

    capacity: str = "1 %"
    draws: int = Field(default=200, ge=1)
    seed: int = 0
    ratio_least: float = Field(default=0.8, gt=0, lt=1)
    ratio_most: float = Field(default=1.25, gt=1)
    auroc_loss: float = Field(default=0.03, gt=0)
    precision_loss: float = Field(default=0.25, gt=0, lt=1)

    @field_validator("capacity")
    @classmethod
    def _check_capacity(cls, given: str) -> str:
        read_capacities([given])
        return given


class TurnoverLimits(_Section):
    """How much of an earlier list must still be listed, for moments so close together."""

    within_days: float = Field(default=35, gt=0)
    kept_least: float = Field(default=0.5, ge=0, le=1)


class Limits(_Section):
    """The limits of a monitoring run. The defaults are those of `configs/monitoring.toml`."""

    features: FeatureLimits = FeatureLimits()
    tables: TableLimits = TableLimits()
    volumes: VolumeLimits = VolumeLimits()
    delays: DelayLimits = DelayLimits()
    scores: ScoreLimits = ScoreLimits()
    outcomes: OutcomeLimits = OutcomeLimits()
    turnover: TurnoverLimits = TurnoverLimits()


def read_limits(given: Limits | Mapping[str, Any] | str | Path | None) -> Limits:
    """Read limits from the path of a TOML file, its content, or nothing, which stands for the defaults.

    "monitoring" or "default" is the packaged file, where no file of that name is in the working folder.

    Raises
    ------
    SourceError
        If the file is missing or unreadable.
    ConfigError
        If it is not TOML, a key is unknown or a value breaks a rule.
    """
    if isinstance(given, Limits):
        return given
    if given is None or isinstance(given, Mapping):
        return parse_entries("Limits", Limits, given or {})
    return parse_entries(
        "Limits", Limits, read_toml("Limits", find_config("limits", given, "monitoring.toml"))
    )
