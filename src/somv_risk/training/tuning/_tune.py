"""A search within a budget, and what it found."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.arguments import read_path
from somv_risk.calls.extras import check_installed
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.errors import ConfigError
from somv_risk.registers.histories import Histories, check_histories
from somv_risk.training.config import TrainConfig
from somv_risk.training.steps import resolve_config
from somv_risk.training.tuning._space import SPACE, Dimension, read_space
from somv_risk.training.tuning._study import (
    TREES,
    keep_quiet,
    list_finished,
    open_study,
    state_origin,
    translate_storage_errors,
    try_next,
)
from somv_risk.training.tuning._task import prepare_task

if TYPE_CHECKING:
    import optuna

LOG_LOSS, TRIAL = "log_loss", "trial"
_STEP: Final = "trying tree parameters"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    `config` has the tree parameters of the least log loss. `trials` has one row per trial in the order
    tried: `trial`, `log_loss`, `trees` and the parameters; the first row is what the search started from.
    """

    config: TrainConfig
    trials: pl.DataFrame


def tune(
    histories: Histories,
    config: TrainConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    storage: str | Path = "tuning.db",
    space: Mapping[str, Any] | str | Path = SPACE,
    progress: Progress = ignore_progress,
) -> Tuned:
    """Search for tree parameters of the first target with Optuna, within a budget.

    Trees are grown on the `fit` persons and stopped by the `stop` persons; trials are judged by log loss
    on the `calibrate` persons, each risk calibrated (by a line) on other persons. Log loss, because every
    person has a say in it, while the order of the first hundred moves by chance. The test persons have
    none, so the metrics of a model trained with the result are still honest.

    A search that was ended, or killed, goes on where it was: what comes next depends on the seed and the
    finished trials only, so the result is that of a search left alone, as long as one process at a time
    works on it and Optuna's version stays.

    Parameters
    ----------
    trials
        How many trials the study is to have in the end, with those it has already.
    minutes
        How long to go on; the trial that is under way is finished. Trials or minutes must be given.
    storage
        SQLite file that holds the study.
    space
        What to try: a TOML file, or its content, with a table per parameter that has `low`, `high` and
        maybe `log`, or `choices`. The first trial is the configuration as given.
    progress
        Called with the step, how much of it is done, and its total.

    Raises
    ------
    ConfigError
        If there is no budget, the study is of other data, another configuration or another space, Optuna
        is not installed, or a parameter cannot be tuned.
    SourceError
        If a file cannot be read or written.
    CohortError
        If too few persons or events are left for a part.
    """
    begin = time.monotonic()
    check_histories(histories)
    storage = read_path("storage", storage)
    _check_budget(trials, minutes)
    check_installed("optuna", "tuning")
    settings, dimensions = resolve_config(config), read_space(space)
    start = _list_start(settings, dimensions)
    with keep_quiet(), translate_storage_errors(storage):
        study = open_study(storage, state_origin(histories, settings, dimensions))
        task = prepare_task(histories, settings, progress)
        while not _is_spent(study, trials, minutes, begin, progress):
            try_next(study, task, dimensions, start)
        return Tuned(_choose_config(settings, study), _list_trials(study))


def _check_budget(trials: int | None, minutes: float | None) -> None:
    given = [budget for budget in (trials, minutes) if budget is not None]
    if not given or not all(_is_budget(budget) for budget in given):
        raise ConfigError("Tuning has no budget. Give a positive number of trials, of minutes, or both.")


def _is_budget(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < inf


def _list_start(settings: TrainConfig, dimensions: Mapping[str, Dimension]) -> dict[str, Any]:
    """List the values to start from, those of the configuration."""
    given = settings.trees.parameters
    for name, dimension in dimensions.items():
        if name not in given or not dimension.holds(given[name]):
            raise ConfigError(
                f"The search space of {name} does not hold the configuration's value, {given.get(name)}. "
                f"Widen it, or set trees.parameters.{name}."
            )
    return {name: given[name] for name in dimensions}


def _is_spent(
    study: "optuna.Study", trials: int | None, minutes: float | None, begin: float, progress: Progress
) -> bool:
    """Tell whether the budget is spent; a study always has its first trial."""
    done, seconds = len(list_finished(study)), time.monotonic() - begin
    if trials is not None:
        progress(_STEP, min(done, trials), trials)
    elif minutes is not None:
        progress(_STEP, min(int(seconds), round(60 * minutes)), round(60 * minutes))
    return (trials is not None and done >= trials) or (
        minutes is not None and done > 0 and seconds >= 60 * minutes
    )


def _choose_config(settings: TrainConfig, study: "optuna.Study") -> TrainConfig:
    best = min(list_finished(study), key=lambda trial: (trial.value, trial.number))
    parameters = {**settings.trees.parameters, **best.params}
    trees = settings.trees.model_copy(update={"parameters": parameters})
    return settings.model_copy(update={"trees": trees})


def _list_trials(study: "optuna.Study") -> pl.DataFrame:
    rows = [
        {TRIAL: number, LOG_LOSS: trial.value, TREES: trial.user_attrs[TREES], **trial.params}
        for number, trial in enumerate(list_finished(study), start=1)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)
