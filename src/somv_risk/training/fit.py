"""Fit: one head per target, grown on some persons and calibrated on others, later."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.outcomes import Target
from somv_risk.errors import CohortError, ConfigError
from somv_risk.model.calibration import Calibration, fit_calibration
from somv_risk.model.logistic_baseline import PenalisedLogistic, fit_logistic
from somv_risk.model.matrix import Encoding, Matrix, Places
from somv_risk.model.model import Head, load_trees
from somv_risk.trees.lightgbm import lightgbm

QUANTILES = 1001
MINIMUM_EVENTS = 5


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one role: their places in a matrix and, aligned to these, what became of them.

    `outcome` is that of the target, `past_events` are last year's acute admissions, `persons` their ids. The
    matrix has other rows too and is shared by slices.
    """

    matrix: Matrix
    places: Places
    outcome: npt.NDArray[np.bool_]
    past_events: npt.NDArray[np.float64]
    persons: pl.Series

    def take(self, rows: Places) -> "Slice":
        """Take some of the rows, as often as they are named; the matrix is shared."""
        return replace(
            self,
            places=self.places[rows],
            outcome=self.outcome[rows],
            past_events=self.past_events[rows],
            persons=self.persons[rows],
        )

    def copy_rows(self) -> Matrix:
        """Copy the rows of the slice out of the matrix, to be held no longer than needed."""
        return self.matrix[self.places]


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """How the trees are grown; `parameters` go to LightGBM as they are."""

    rounds: int
    patience: int
    seed: int
    flag_share: float
    parameters: Mapping[str, Any]


def fit_head(target: Target, encoding: Encoding, slices: Mapping[str, Slice], settings: TreeSettings) -> Head:
    """Fit trees on slice `fit`, stop by the later slice `stop`, calibrate on slice `calibrate`.

    Raises
    ------
    CohortError
        If a slice has fewer than 5 rows with the outcome, or none without.
    """
    check_slices(target, slices)
    fit, later = slices["fit"], slices["calibrate"]
    trees = grow_watched(encoding, fit, slices["stop"], settings)
    raw = np.asarray(load_trees(trees).predict(later.copy_rows(), raw_score=True), dtype=np.float64)
    return make_head(
        target,
        trees=trees,
        calibration=fit_calibration(raw, later.outcome, later.persons),
        raw=raw,
        logistic=fit_logistic(encoding, fit.matrix, fit.places, fit.outcome),
        flag_share=settings.flag_share,
    )


def make_head(
    target: Target,
    *,
    trees: str,
    calibration: Calibration,
    raw: npt.NDArray[np.float64],
    logistic: PenalisedLogistic,
    flag_share: float,
) -> Head:
    """Put a head together; threshold and percentiles come from the raw scores that calibrated it."""
    risk = calibration.predict_risk(raw)
    return Head(
        target=target,
        trees=trees,
        calibration=calibration,
        logistic=logistic,
        reference_risks=tuple(np.quantile(risk, np.linspace(0, 1, QUANTILES)).tolist()),
        threshold=float(np.quantile(risk, 1 - flag_share)),
        booster=load_trees(trees),
    )


def grow_watched(encoding: Encoding, fit: Slice, stop: Slice, settings: TreeSettings) -> str:
    """Grow boosted trees on one slice, stopped by another; return them as text."""
    with translate_refusals():
        data, watched = bin_slices(encoding, fit, stop, settings)
        return grow_trees(encoding, data, watched, settings)


def grow_rounds(encoding: Encoding, fit: Slice, settings: TreeSettings, rounds: int) -> str:
    """Grow so many boosted trees; return them as text."""
    with translate_refusals():
        data = lightgbm.Dataset(fit.copy_rows(), fit.outcome, **_list_common(encoding, settings))
        booster = lightgbm.train(list_parameters(encoding, settings), data, num_boost_round=rounds)
    return str(booster.model_to_string())


def bin_slices(
    encoding: Encoding, fit: Slice, stop: Slice, settings: TreeSettings
) -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    """Bin the rows to grow trees on and those to watch: once for any number of `grow_trees`.

    Trees of other settings can be grown on them, as long as `max_bin` is the same.
    """
    common = _list_common(encoding, settings)
    data = lightgbm.Dataset(fit.copy_rows(), fit.outcome, **common)
    watched = lightgbm.Dataset(stop.copy_rows(), stop.outcome, reference=data, **common)
    return data.construct(), watched.construct()


def _list_common(encoding: Encoding, settings: TreeSettings) -> dict[str, Any]:
    return {
        "feature_name": encoding.names,
        "categorical_feature": encoding.category_columns,
        "params": list_parameters(encoding, settings),
    }


def grow_trees(
    encoding: Encoding, data: lightgbm.Dataset, watched: lightgbm.Dataset, settings: TreeSettings
) -> str:
    """Grow boosted trees until the loss on the watched rows no longer falls; return them as text."""
    booster = lightgbm.train(
        list_parameters(encoding, settings),
        data,
        num_boost_round=settings.rounds,
        valid_sets=[watched],
        callbacks=[lightgbm.early_stopping(settings.patience, verbose=False)],
    )
    return str(booster.model_to_string(num_iteration=booster.best_iteration))


def list_parameters(encoding: Encoding, settings: TreeSettings) -> dict[str, Any]:
    """List the parameters for LightGBM; those of the settings come before any other."""
    return {
        "objective": "binary",
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,  # would tie the binned rows to one min_data_in_leaf
        "seed": settings.seed,
        "monotone_constraints": [feature.definition.monotone for feature in encoding.features],
        **settings.parameters,
    }


@contextmanager
def translate_refusals() -> Iterator[None]:
    """Turn LightGBM's refusal of a parameter into an error of the configuration."""
    try:
        yield
    except lightgbm.basic.LightGBMError as error:
        raise ConfigError(
            f"LightGBM refuses the tree parameters ({error}). Correct trees.parameters."
        ) from None


def check_slices(target: Target, slices: Mapping[str, Slice]) -> None:
    """Check that every slice, by role, has enough events, and rows without.

    Raises
    ------
    CohortError
        If a slice has fewer than 5 rows with the outcome, or none without.
    """
    for role, part in slices.items():
        events = int(part.outcome.sum())
        if events < MINIMUM_EVENTS or events == len(part.outcome):
            raise CohortError(
                f"Target {target.name} has {events} events in {len(part.outcome)} rows of slice {role}; "
                f"at least {MINIMUM_EVENTS} events, and some rows without, are needed. "
                "Add persons or index times."
            )
