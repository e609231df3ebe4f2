"""The study: Optuna's record of what was tried, in a file that outlives the process."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from somv_risk.errors import ConfigError, SourceError
from somv_risk.registers.histories import Histories
from somv_risk.training.config import TrainConfig
from somv_risk.training.steps import fingerprint
from somv_risk.training.tuning._space import Dimension
from somv_risk.training.tuning._task import Task

if TYPE_CHECKING:
    import optuna

STUDY: Final = "somv_risk"
TREES: Final = "trees"
_MADE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {"data": "other data", "config": "another configuration", "space": "another search space"}
)


@contextmanager
def keep_quiet() -> Iterator[None]:
    """Keep Optuna from logging every trial; the progress tells of them."""
    import optuna  # noqa: PLC0415 - an optional tool

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def translate_storage_errors(storage: str | Path) -> Iterator[None]:
    import optuna  # noqa: PLC0415 - an optional tool
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - Optuna brings it

    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
        raise SourceError(
            f"Study {storage} cannot be read or written. Give the path of a study, or of a new file."
        ) from None


def state_origin(
    histories: Histories, settings: TrainConfig, dimensions: Mapping[str, Dimension]
) -> dict[str, str]:
    """State what a study is made of, so that no other is gone on with."""
    return {
        "data": fingerprint(histories),
        "config": hashlib.sha256(settings.model_dump_json().encode()).hexdigest(),
        "space": json.dumps({name: dimension.model_dump() for name, dimension in dimensions.items()}),
    }


def open_study(storage: str | Path, origin: Mapping[str, str]) -> "optuna.Study":
    """Open the study, or begin one; what a killed process was trying is let go of."""
    import optuna  # noqa: PLC0415 - an optional tool
    from optuna.trial import TrialState  # noqa: PLC0415 - an optional tool

    study = optuna.create_study(
        storage=f"sqlite:///{storage}", study_name=STUDY, direction="minimize", load_if_exists=True
    )
    is_new = not list_finished(study)
    for name, value in origin.items():
        if is_new:
            study.set_user_attr(name, value)
        elif study.user_attrs.get(name) != value:
            raise ConfigError(
                f"Study {storage} was made with {_MADE_OF[name]}. Give what it was made with, or a new file."
            )
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
    while study.get_trials(states=[TrialState.WAITING]):
        study.tell(study.ask(), state=TrialState.FAIL)
    return study


def try_next(
    study: "optuna.Study", task: Task, dimensions: Mapping[str, Dimension], start: dict[str, Any]
) -> None:
    import optuna  # noqa: PLC0415 - an optional tool

    done = len(list_finished(study))
    # A sampler's own state would die with its process: each trial has a sampler, seeded by its place.
    study.sampler = optuna.samplers.TPESampler(seed=(task.settings.seed * 1_000_003 + done) % 2**32)
    if done == 0:
        study.enqueue_trial(start)
    trial = study.ask({name: _to_distribution(dimension) for name, dimension in dimensions.items()})
    try:
        loss, trees = task.judge(trial.params)
    except BaseException:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    trial.set_user_attr(TREES, trees)
    study.tell(trial, loss)


def _to_distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions as kinds  # noqa: PLC0415 - an optional tool

    if dimension.low is None or dimension.high is None:
        return kinds.CategoricalDistribution(dimension.choices)
    if dimension.is_whole:
        return kinds.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return kinds.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def list_finished(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    from optuna.trial import TrialState  # noqa: PLC0415 - an optional tool

    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
