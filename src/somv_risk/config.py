"""Configuration: what a training run needs to be told, read from TOML and checked."""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from somv_risk import schema as s
from somv_risk.asof import Lags
from somv_risk.cohort import parse_moment
from somv_risk.errors import ConfigError, SourceError
from somv_risk.features import Feature, load_catalogue, load_definitions
from somv_risk.model import Eligibility
from somv_risk.outcomes import Target
from somv_risk.splits import PersonSplit, TimeSplit
from somv_risk.training import TreeSettings
from somv_risk.windows import Horizon

TREE_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "learning_rate": 0.05,
        "max_depth": 6,
        "num_leaves": 31,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
        "max_bin": 127,
    }
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TargetSection(_Section):
    """One target; see `outcomes.Target`."""

    counts: Literal["admissions", "unfinished_stays"] = "admissions"
    min_count: int = 3
    horizon_days: int = 365
    sectors: tuple[str, ...] = s.SECTORS
    admission_types: tuple[str, ...] = ("acute",)
    excluded_diagnoses: tuple[str, ...] = ()
    death: Literal["negative", "exclude", "event"] = "negative"


class TimeSection(_Section):
    """Index times; what is not given is derived from the data end."""

    train: tuple[datetime | str, ...] = ()
    calibrate: tuple[datetime | str, ...] = ()
    test: tuple[datetime | str, ...] = ()
    train_moments: int = Field(default=5, ge=1)
    train_spacing_days: int = Field(default=91, ge=1)


class PersonSection(_Section):
    """Share of persons per role."""

    fit: float = 0.5
    stop: float = 0.1
    calibrate: float = 0.2
    test: float = 0.2


class CohortSection(_Section):
    """Who is eligible."""

    minimum_age_years: int = Field(default=18, ge=0)
    minimum_residence_days: int = Field(default=365, ge=0)


class TreeSection(_Section):
    """How trees are grown; `parameters` go to LightGBM, added to the default ones."""

    rounds: int = Field(default=600, ge=1)
    patience: int = Field(default=50, ge=1)
    parameters: dict[str, Any] = Field(default_factory=lambda: dict(TREE_PARAMETERS))

    @field_validator("parameters")
    @classmethod
    def _add_defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {**TREE_PARAMETERS, **given}


class FeatureSection(_Section):
    """Which of the catalogue's definitions to leave out."""

    exclude: tuple[str, ...] = ()


class TrainConfig(_Section):
    """A training run. The defaults are those of `configs/default.toml`."""

    seed: int = 7
    flag_share: float = Field(default=0.01, gt=0, lt=1)
    targets: dict[str, TargetSection] = Field(
        min_length=1,
        default_factory=lambda: {
            "frequent_admission": TargetSection(),
            "unfinished_treatment": TargetSection(
                counts="unfinished_stays", min_count=1, admission_types=s.ADMISSION_TYPES
            ),
        },
    )
    times: TimeSection = TimeSection()
    persons: PersonSection = PersonSection()
    cohort: CohortSection = CohortSection()
    trees: TreeSection = TreeSection()
    features: FeatureSection = FeatureSection()
    lags: dict[str, float] = Field(default_factory=dict)

    def build_targets(self) -> tuple[Target, ...]:
        """Return the targets; the first is the one persons are ranked by."""
        return tuple(
            Target(
                name=name,
                horizon=Horizon(section.horizon_days),
                **section.model_dump(exclude={"horizon_days"}),
            )
            for name, section in self.targets.items()
        )

    def build_features(self) -> tuple[Feature, ...]:
        """Return the catalogue without the definitions left out."""
        unknown = set(self.features.exclude) - {definition.id for definition in load_definitions()}
        if unknown:
            raise ConfigError(
                f"Configuration excludes unknown features {sorted(unknown)}. Name ids of the catalogue."
            )
        return tuple(f for f in load_catalogue() if f.definition.id not in self.features.exclude)

    def build_person_split(self) -> PersonSplit:
        """Return the split of persons."""
        return PersonSplit(self.persons.model_dump(), salt=f"somv_risk:{self.seed}")

    def build_lags(self) -> Lags:
        """Return the lag per table."""
        return Lags(dict(self.lags))

    def build_eligibility(self) -> Eligibility:
        """Return who may be scored."""
        return Eligibility(**self.cohort.model_dump())

    def build_tree_settings(self) -> TreeSettings:
        """Return how trees are grown."""
        return TreeSettings(
            rounds=self.trees.rounds,
            patience=self.trees.patience,
            seed=self.seed,
            flag_share=self.flag_share,
            parameters=self.trees.parameters,
        )

    def build_time_split(self, data_end: datetime) -> TimeSplit:
        """Return the index times; missing parts are placed one horizon apart, back from the data end."""
        horizon = max((target.horizon for target in self.build_targets()), key=lambda h: h.days)
        midnight = datetime(data_end.year, data_end.month, data_end.day)
        test = _moments(self.times.test) or (midnight - horizon.length,)
        calibrate = _moments(self.times.calibrate) or (min(test) - horizon.length,)
        train = _moments(self.times.train) or self._train_moments(min(calibrate) - horizon.length)
        return TimeSplit(train, calibrate, test, horizon)

    def _train_moments(self, last: datetime) -> tuple[datetime, ...]:
        spacing = timedelta(days=self.times.train_spacing_days)
        return tuple(last - step * spacing for step in reversed(range(self.times.train_moments)))


def read_config(path: str | Path) -> TrainConfig:
    """Read a training configuration; what it does not say is as in `TrainConfig`.

    Raises
    ------
    SourceError
        If the file is missing or unreadable.
    ConfigError
        If it is not TOML, a key is unknown or a value breaks a rule.
    """
    return parse_config(read_toml("Configuration", Path(path)))


def read_toml(what: str, file: Path) -> dict[str, Any]:
    """Read a TOML file; errors call it by what it is."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise SourceError(f"{what} {file} cannot be read. Give the path of a TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} {file} is not TOML ({error}). Correct the line.") from None


def parse_config(data: dict[str, Any]) -> TrainConfig:
    """Parse a training configuration from plain data."""
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"Configuration {place}: {first['msg']}. Correct that entry.") from None


def _moments(values: tuple[datetime | str, ...]) -> tuple[datetime, ...]:
    return tuple(sorted(parse_moment(value) for value in values))
