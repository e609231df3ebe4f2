"""Configuration: what a training run needs to be told, read from TOML and checked."""

import json
import math
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from somv_risk.calls.arguments import read_path
from somv_risk.calls.moments import parse_moment
from somv_risk.cohort.asof import Lags
from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.splits import PersonSplit, TimeSplit
from somv_risk.cohort.windows import Horizon
from somv_risk.errors import ConfigError, SomvRiskError, SourceError
from somv_risk.features import (
    Definition,
    Feature,
    describe_definition,
    list_features,
    load_definitions,
    parse_definitions,
)
from somv_risk.model.model import Eligibility
from somv_risk.registers import schema as s
from somv_risk.training.fit import TreeSettings

TREE_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "learning_rate": 0.03,
        "max_depth": 5,
        "num_leaves": 31,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
        "max_bin": 127,
    }
)


CENTURY: Final = 36_525  # days; more is a slip, and dates do not hold much more
MOST: Final = 1_000_000
LARGEST: Final = 10_000_000  # bytes of a TOML file; a device may have no end
_FOLDER: Final = "folder"

Entries = TypeVar("Entries", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TargetSection(_Section):
    """One target; see `outcomes.Target`."""

    counts: Literal["admissions", "unfinished_stays"] = "admissions"
    min_count: int = Field(default=3, le=MOST)
    horizon_days: int = Field(default=365, le=CENTURY)
    sectors: tuple[str, ...] = s.SECTORS
    admission_types: tuple[str, ...] = ("acute",)
    excluded_diagnoses: tuple[str, ...] = ()
    death: Literal["negative", "exclude", "event"] = "negative"


class TimeSection(_Section):
    """Index times; what is not given is derived from the data end."""

    train: tuple[datetime | str, ...] = ()
    calibrate: tuple[datetime | str, ...] = ()
    test: tuple[datetime | str, ...] = ()
    train_moments: int = Field(default=5, ge=1, le=1_000)
    train_spacing_days: int = Field(default=91, ge=1, le=CENTURY)

    @property
    def names_any(self) -> bool:
        """Whether any moment is named."""
        return bool(self.train or self.calibrate or self.test)


class PersonSection(_Section):
    """Share of persons per role."""

    fit: float = 0.5
    stop: float = 0.1
    calibrate: float = 0.2
    test: float = 0.2


class CohortSection(_Section):
    """Who is eligible."""

    minimum_age_years: int = Field(default=18, ge=0, le=150)
    minimum_residence_days: int = Field(default=365, ge=0, le=CENTURY)


class TreeSection(_Section):
    """How trees are grown; `parameters` go to LightGBM, added to the default ones."""

    rounds: int = Field(default=600, ge=1, le=MOST)
    patience: int = Field(default=50, ge=1, le=MOST)
    parameters: dict[str, Any] = Field(default_factory=lambda: dict(TREE_PARAMETERS))

    @field_validator("parameters")
    @classmethod
    def _add_defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        unusable = [name for name, value in given.items() if not _is_parameter(value)]
        if unusable:
            raise ConfigError(
                f"Configuration trees.parameters: {', '.join(unusable)} is no text, truth or finite number "
                "of usual size. Correct that entry."
            )
        return {**TREE_PARAMETERS, **given}


def _is_parameter(value: object) -> bool:
    """Whether LightGBM can be given a value; a number beyond 64 bits comes to it as another one."""
    if isinstance(value, list | tuple):
        return all(_is_parameter(one) for one in value)
    if isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


class FeatureSection(_Section):
    """Which definitions to leave out of the catalogue, and which of one's own to add to it.

    `own` may be given as the path of a TOML file (see `read_definitions`), as what would stand in
    it, or as definitions; written down, it is always the second, so a model needs no file to be read.
    """

    exclude: tuple[str, ...] = ()
    own: tuple[InstanceOf[Definition], ...] = ()

    @field_validator("own", mode="before")
    @classmethod
    def _read_own(cls, given: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - pydantic judges the rest
        if isinstance(given, str | Path):
            return read_definitions((info.context or {}).get(_FOLDER, Path()) / given)
        return parse_definitions(given) if isinstance(given, Mapping) else given

    @field_validator("own", mode="after")
    @classmethod
    def _check_own(cls, own: tuple[Definition, ...]) -> tuple[Definition, ...]:
        list_features((*load_definitions(), *own))
        return own

    @field_serializer("own")
    def _describe_own(self, own: tuple[Definition, ...]) -> dict[str, Any]:
        return {definition.id: describe_definition(definition) for definition in own}


class TrainConfig(_Section):
    """A training run. The defaults are those of `configs/default.toml`.

    `tables` are those to learn from; none stands for all that are there.
    """

    seed: int = Field(default=7, ge=0, lt=2**31)
    validation: Literal["auto", "time", "cross"] = "auto"
    tables: tuple[str, ...] = ()
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
    lags: dict[str, Annotated[float, Field(le=CENTURY)]] = Field(default_factory=dict)

    @field_validator("tables")
    @classmethod
    def _check_tables(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(given) - set(s.TABLES))
        missing = [table for table in s.REQUIRED_TABLES if given and table not in given]
        if unknown or missing:
            fact = f"{', '.join(unknown)} is unknown" if unknown else f"{', '.join(missing)} is missing"
            needed = " and ".join(s.REQUIRED_TABLES)
            raise ConfigError(
                f"Configuration tables: {fact}. Name {needed}, and of the others those to learn from."
            )
        return tuple(table for table in s.TABLES if table in given)

    def choose_tables(self, tables: Collection[str] | None) -> "TrainConfig":
        """Return the configuration with other tables to learn from; as it is where None."""
        if tables is None:
            return self
        given = [tables] if isinstance(tables, str) else list(tables)
        return parse_entries("Configuration", TrainConfig, self.model_dump() | {"tables": given})

    def check(self) -> None:
        """Check all that can be known before any work starts.

        Raises
        ------
        ConfigError
            If a setting breaks a rule.
        """
        self.build_targets()
        self.build_person_split()
        self.build_lags()
        self.build_features()

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
        """Return the features of the catalogue without those left out, and then one's own.

        Where tables are named, a feature that needs any other is left out as well.
        """
        definitions = load_definitions()
        unknown = set(self.features.exclude) - {definition.id for definition in definitions}
        if unknown:
            raise ConfigError(
                f"Configuration excludes unknown features {sorted(unknown)}. Name ids of the catalogue."
            )
        kept = [definition for definition in definitions if definition.id not in self.features.exclude]
        features = list_features((*kept, *self.features.own))
        named = set(self.tables) or set(s.TABLES)
        return tuple(feature for feature in features if set(feature.definition.tables) <= named)

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
        horizon = self._find_horizon()
        with _within_the_calendar():
            test = _moments(self.times.test) or (_find_midnight(data_end) - horizon.length,)
            calibrate = _moments(self.times.calibrate) or (min(test) - horizon.length,)
            train = _moments(self.times.train) or self._train_moments(min(calibrate) - horizon.length)
            return TimeSplit(train, calibrate, test, horizon)

    def build_moments(self, data_end: datetime) -> tuple[datetime, ...]:
        """Return the index times of a cross-validation: those named, or the last ones that have a horizon."""
        named = (*self.times.train, *self.times.calibrate, *self.times.test)
        with _within_the_calendar():
            last = _find_midnight(data_end) - self._find_horizon().length
            return tuple(sorted(set(_moments(named)))) or self._train_moments(last)

    def _find_horizon(self) -> Horizon:
        return max((target.horizon for target in self.build_targets()), key=lambda horizon: horizon.days)

    def _train_moments(self, last: datetime) -> tuple[datetime, ...]:
        spacing = timedelta(days=self.times.train_spacing_days)
        return tuple(last - step * spacing for step in reversed(range(self.times.train_moments)))


def read_config(path: str | Path) -> TrainConfig:
    """Read a training configuration; what it does not say is as in `TrainConfig`.

    Paths in it start from its own folder.

    Raises
    ------
    SourceError
        If the file, or one that it names, is missing or unreadable.
    ConfigError
        If it is not TOML, a key is unknown or a value breaks a rule.
    """
    file = read_path("config", path)
    return parse_config(read_toml("Configuration", file), folder=file.parent)


def write_config(config: TrainConfig, path: str | Path) -> None:
    """Write a training configuration as TOML, every setting of it, so that `read_config` gives it back.

    Raises
    ------
    SourceError
        If the file cannot be written.
    """
    data = config.model_dump(mode="json", exclude_none=True)
    try:
        read_path("path", path).write_text("\n".join(_list_lines(data)) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"Configuration {path} cannot be written ({error.strerror}). Give another path."
        ) from None


def _list_lines(table: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """List the lines of a TOML table: its values first, and then the tables in it."""
    if place:
        yield f"\n[{place}]"
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _list_lines(value, f"{place}.{json.dumps(key)}".lstrip("."))


def read_definitions(path: str | Path) -> tuple[Definition, ...]:
    """Read features of one's own: a TOML file with the keys of the catalogue, one table per feature.

    They go to a model through its configuration (`[features] own`), or through `list_features` to
    `build_features`. `docs/features.md` says what they may ask for.

    Raises
    ------
    SourceError
        If the file is missing or unreadable.
    ConfigError
        If it is not TOML, or a feature breaks a rule; names the file and the feature.
    """
    file = read_path("path", path)
    rows = read_toml("Features", file)
    try:
        definitions = parse_definitions(rows)
        list_features((*load_definitions(), *definitions))
    except ConfigError as error:
        raise ConfigError(f"Features {file}: {error}") from None
    return definitions


def read_toml(what: str, file: Path) -> dict[str, Any]:
    """Read a TOML file; errors call it by what it is."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError):
        raise SourceError(f"{what} {file} cannot be read. Give the path of a TOML file.") from None
    if len(content) > LARGEST:
        raise SourceError(f"{what} {file} is longer than {LARGEST:,} bytes. Give the path of a TOML file.")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what} {file} is not TOML ({error}). Correct the line.") from None


def parse_config(data: dict[str, Any], *, folder: Path = Path()) -> TrainConfig:
    """Parse a training configuration from plain data; paths in it start from the folder."""
    return parse_entries("Configuration", TrainConfig, data, {_FOLDER: folder})


def parse_entries(
    what: str, kind: type[Entries], data: Mapping[str, Any], context: Mapping[str, Any] | None = None
) -> Entries:
    """Parse plain data; errors call it by what it is, and name the first entry that is wrong.

    Raises
    ------
    ConfigError
        If an entry is unknown, or its value breaks a rule.
    """
    try:
        return kind.model_validate(data, context=context)
    except ValidationError as error:
        first = error.errors()[0]
        ours = first.get("ctx", {}).get("error")
        if isinstance(ours, SomvRiskError):
            raise ours from None
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{what} {place}: {first['msg']}. Correct that entry.") from None


@contextmanager
def _within_the_calendar() -> Iterator[None]:
    """Turn moments beyond the first or the last year there is into an error of the configuration."""
    try:
        yield
    except OverflowError:
        raise ConfigError(
            "Configuration times: some index times lie outside the calendar. "
            "Take shorter horizons or spacings."
        ) from None


def _find_midnight(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day)


def _moments(values: tuple[datetime | str, ...]) -> tuple[datetime, ...]:
    return tuple(sorted(parse_moment(value) for value in values))
