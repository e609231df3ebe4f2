"""All refits: what is asked for, in an order in which memory holds one full matrix at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.calls.arguments import list_values, read_count
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.calls.shown import show
from somv_risk.errors import CohortError, ConfigError
from somv_risk.evaluation.refits._again import Fitted, fit_whole
from somv_risk.evaluation.refits._judge import NO_TRAINING, NOTE, USUAL, Judge, judge_fitted
from somv_risk.evaluation.refits._origins import judge_origins, list_origins, tell_origin
from somv_risk.evaluation.refits._places import Municipalities, choose_places, leave_places_out, tell_places
from somv_risk.evaluation.refits._seeds import note_stability, repeat_seeds
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.training.config import TrainConfig
from somv_risk.training.steps import prepare, resolve_config

ROLLING_ORIGIN: Final = "rolling_origin"
PLACES_LEFT_OUT: Final = "places_left_out"
LIST_STABILITY: Final = "list_stability"


@dataclass(frozen=True, slots=True)
class Refits:
    """How often the training is repeated; 0 or () leaves a kind out.

    `seeds` draws of persons, `years` test times (the first is the training as configured), and the
    municipalities left out in turn: Lolland and Guldborgsund by default, or "all".

    Raises
    ------
    ConfigError
        If a number is negative, or `places` are one text other than "all".
    """

    seeds: int = 5
    years: int = 3
    places: Municipalities = ("360", "376")

    def __post_init__(self) -> None:
        read_count("seeds", self.seeds)
        read_count("years", self.years)
        listed = [] if isinstance(self.places, str) and self.places == "all" else list_values(self.places)
        if listed is None or not all(isinstance(place, str) for place in listed):
            raise ConfigError(f"places is {show(self.places)}. Give a list of municipality codes, or 'all'.")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not (self.seeds or self.years or self.places)


@dataclass(frozen=True, slots=True)
class RefitResult:
    """Tables by name, of the kinds of refits asked for, and the models refitted to other draws of persons."""

    tables: Mapping[str, pl.DataFrame]
    models: tuple[RiskModel, ...] = ()


def run_refits(
    histories: Histories,
    config: TrainConfig | Mapping[str, Any] | str | Path | None = None,
    refits: Refits = Refits(),
    progress: Progress = ignore_progress,
    *,
    judge: Judge = USUAL,
) -> RefitResult:
    """Repeat the training on other years, without places, and on other draws of persons.

    Parameters
    ----------
    config
        As for `train`.
    judge
        Draws and seed of the intervals, and the working capacity.

    Returns
    -------
    Tables `rolling_origin` (see `roll_origins`), `places_left_out` (`leave_places_out`) and `list_stability`
    (`repeat_seeds`); what cannot be done is a row with a note.

    Raises
    ------
    ConfigError, SourceError
        If the configuration is unsound or unreadable, or a municipality unknown.
    CohortError
        If there are no hospital contacts.
    """
    if refits.is_empty:
        return RefitResult(MappingProxyType({}))
    settings = resolve_config(config)
    choose_places(histories, refits.places)  # an unknown one is told before hours of work
    origins = list_origins(histories, settings, refits.years)
    earlier = judge_origins(histories, settings, origins[1:], judge, progress)
    try:
        fitted = fit_whole(prepare(histories, settings, progress))
        latest = [tell_origin(origin, judge_fitted(histories, fitted, judge)) for origin in origins[:1]]
        others, models = _refit(histories, fitted, refits, judge, progress)
    except CohortError:
        latest = [tell_origin(origin, pl.DataFrame({NOTE: [NO_TRAINING]})) for origin in origins[:1]]
        others, models = _tell_impossible(histories, refits), ()
    rolled = {ROLLING_ORIGIN: pl.concat([*latest, earlier])} if origins else {}
    return RefitResult(MappingProxyType(rolled | others), models)


def _refit(
    histories: Histories, fitted: Fitted, refits: Refits, judge: Judge, progress: Progress
) -> tuple[dict[str, pl.DataFrame], tuple[RiskModel, ...]]:
    """Refit to the rows that were prepared once."""
    tables: dict[str, pl.DataFrame] = {}
    models: tuple[RiskModel, ...] = ()
    if refits.places:
        tables[PLACES_LEFT_OUT] = leave_places_out(histories, fitted, refits.places, judge, progress=progress)
    if refits.seeds:
        tables[LIST_STABILITY], models = repeat_seeds(
            histories, fitted, refits.seeds, judge.capacity, progress=progress
        )
    return tables, models


def _tell_impossible(histories: Histories, refits: Refits) -> dict[str, pl.DataFrame]:
    """Say of each table asked for that there are too few events for it."""
    tables = {}
    if refits.places:
        tables[PLACES_LEFT_OUT] = tell_places(choose_places(histories, refits.places), NO_TRAINING)
    if refits.seeds:
        tables[LIST_STABILITY] = note_stability(NO_TRAINING)
    return tables
