"""Measures: how exact, how steady and how faithful the explanations of a model are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import sqrt
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.coalitions import explain_slowly
from somv_risk.cohort import Moment, parse_moment
from somv_risk.contributions import Contributions, explain_trees
from somv_risk.errors import ConfigError
from somv_risk.explanation_quality._deletion import check_deletion
from somv_risk.features import THEMES
from somv_risk.histories import Histories
from somv_risk.matrix import Matrix, build_matrices
from somv_risk.model import RiskModel
from somv_risk.reasons import sum_themes
from somv_risk.scoring import choose_persons, collect_features
from somv_risk.trees import lightgbm

TOP_THEMES: Final = 3
DRAWS: Final = 1_000
NORMAL_975: Final = 1.959963984540054
SLOW_FEATURES: Final = 8
SLOW_ROWS: Final = 20
SLOW_TREES: Final = 10
SLOW_DEPTH: Final = 4

Floats = npt.NDArray[np.float64]
MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "additivity_error": "largest miss of base and contributions from the raw score of LightGBM, in log-odds",
        "difference_to_shap": "largest difference from shap.TreeExplainer, of the largest contribution",
        "difference_to_brute_force": "largest difference from trying every coalition, of the largest contribution",
        "same_top_theme": "share of other models whose first theme is the same",
        "shared_top_3_themes": "share of the first 3 themes that another model has among its first 3",
        "deletion_lowers_risk": "share of persons whose risk falls without the events behind the first reason",
        "deletion_median_fall": "median fall of the risk without them",
        "control_lowers_risk": "share of persons whose risk falls without as many other rows of the same tables",
        "control_median_fall": "median fall of the risk without those",
    }
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table; `low` and `high` are null where there is no interval."""

    measure: str
    value: float | None
    low: float | None
    high: float | None
    note: str | None


def measure_explanations(
    model: RiskModel,
    histories: Histories,
    index_time: Moment,
    *,
    persons: int = 200,
    seed: int = 0,
    others: Sequence[RiskModel] = (),
) -> pl.DataFrame:
    """Measure the explanations of a model's main target at one index moment.

    Whether they are exact is measured on the persons with the highest risks and as many drawn from all others;
    whether they are steady and faithful on those with the highest risks, who are the ones explained.

    Parameters
    ----------
    persons
        How many persons with the highest risks, and how many others.
    others
        Models of the same target grown with other seeds, to see whether the first themes stay the same.

    Returns
    -------
    One row per measure (`MEASURES` says what each is): `measure`, `value`, `low`, `high` (95 % interval: Wilson's
    for shares of persons, bootstrapped over persons otherwise; null for a largest difference, which has none),
    `note`.

    Raises
    ------
    ConfigError
        If fewer than one person is asked for.
    CohortError
        If nobody is eligible.

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927,
    doi:10.1080/01621459.1927.10502953. Samek et al., Evaluating the visualization of what a deep neural network
    has learned, IEEE TNNLS 2017, doi:10.1109/TNNLS.2016.2599820 (deletion).
    """
    if persons < 1:
        raise ConfigError(f"persons is {persons}. Give 1 or more.")
    flagged, drawn = _choose(model, histories, parse_moment(index_time), persons, seed)
    frame = collect_features(model, histories, pl.concat([flagged, drawn]))
    matrix = model.encoding.to_matrix(frame)
    told = explain_trees(model.main.booster, matrix)
    top, top_told = frame.head(flagged.height), _head(told, flagged.height)
    measured = [
        _measure_additivity(model, matrix, told),
        _measure_shap(model, matrix, told),
        _measure_brute_force(matrix, told, seed),
        *_measure_stability(model, others, histories, flagged, top_told, seed),
        *_measure_deletion(model, histories, flagged, top, top_told, seed),
    ]
    schema = {
        "measure": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "note": pl.String,
    }
    return pl.DataFrame([asdict(row) for row in measured], schema=schema)


def _choose(
    model: RiskModel, histories: Histories, moment: datetime, persons: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Choose the persons with the highest scores, and draw as many of all others."""
    rows = choose_persons(model, histories, moment, None)
    raw = np.empty(rows.height)
    for piece in build_matrices(histories, rows, model.encoding, lags=model.lags):
        raw[piece.places] = model.main.predict_raw(piece.matrix)
    order = np.argsort(-raw, kind="stable")
    rest = np.random.default_rng(seed).permutation(np.sort(order[persons:]))[:persons]
    return rows[order[:persons]], rows[np.sort(rest)]


def _head(told: Contributions, rows: int) -> Contributions:
    return Contributions(told.values[:rows], told.base, told.raw[:rows], told.method)


# --- Are they exact?


def _measure_additivity(model: RiskModel, matrix: Matrix, told: Contributions) -> Measured:
    raw = np.asarray(model.main.booster.predict(matrix, raw_score=True), dtype=np.float64)
    error = np.abs(told.values.sum(axis=1) + told.base - raw).max()
    return _tell_largest("additivity_error", error, f"The largest of {len(matrix)} persons.")


def _measure_shap(model: RiskModel, matrix: Matrix, told: Contributions) -> Measured:
    from shap import TreeExplainer  # noqa: PLC0415 - slow to import

    expected = np.asarray(TreeExplainer(model.main.booster).shap_values(matrix), dtype=np.float64)
    note = (
        f"The largest of {len(matrix)} persons and {matrix.shape[1]} features; shap asks LightGBM's own code."
    )
    return _tell_largest("difference_to_shap", _compare(told.values, expected), note)


def _measure_brute_force(matrix: Matrix, told: Contributions, seed: int) -> Measured:
    """Hold a small forest to the definition; that of the model has too many features for it."""
    weightiest = np.sort(np.argsort(-np.abs(told.values).mean(axis=0), kind="stable")[:SLOW_FEATURES])
    few = np.ascontiguousarray(matrix[:, weightiest])
    booster = _grow_small(few, told.raw, seed)
    rows = few[np.linspace(0, len(few) - 1, min(SLOW_ROWS, len(few))).astype(np.int64)]
    expected = np.array([explain_slowly(booster, row)[:-1] for row in rows.tolist()])
    note = (
        f"Not of the model, which has too many features for it, but of a forest grown to repeat its raw scores "
        f"from its {few.shape[1]} weightiest features ({booster.num_trees()} trees of depth {SLOW_DEPTH}); the "
        f"largest of {len(rows)} persons."
    )
    difference = _compare(explain_trees(booster, rows).values, expected)
    return _tell_largest("difference_to_brute_force", difference, note)


def _grow_small(matrix: Matrix, raw: Floats, seed: int) -> "lightgbm.Booster":
    settings = {
        "objective": "regression",
        "max_depth": SLOW_DEPTH,
        "num_leaves": 2**SLOW_DEPTH,
        "min_data_in_leaf": max(1, len(matrix) // 40),
        "learning_rate": 0.3,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(matrix, raw), num_boost_round=SLOW_TREES)


def _compare(values: Floats, expected: Floats) -> float:
    """Return the largest difference, relative to the largest expected value."""
    return float(np.abs(values - expected).max() / np.abs(expected).max())


def _tell_largest(measure: str, value: float, note: str) -> Measured:
    return Measured(measure, float(value), None, None, f"{note} A largest value has no interval.")


# --- Are they steady?


def _measure_stability(
    model: RiskModel,
    others: Sequence[RiskModel],
    histories: Histories,
    flagged: pl.DataFrame,
    told: Contributions,
    seed: int,
) -> list[Measured]:
    names = ("same_top_theme", "shared_top_3_themes")
    if not others:
        note = "There is no other model. Train some with other seeds, and give them as `others`."
        return [Measured(name, None, None, None, note) for name in names]
    own = _rank_themes(model, told.values)
    ranked = [_rank_themes(other, _explain(other, histories, flagged)) for other in others]
    same = np.mean([own[:, 0] == other[:, 0] for other in ranked], axis=0)
    shared = np.mean([_share_top(own, other) for other in ranked], axis=0)
    note = f"{flagged.height} persons with the highest risks, {len(others)} other models; themes by size."
    return [_measure_mean(name, each, note, seed) for name, each in zip(names, (same, shared), strict=True)]


def _explain(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> Floats:
    matrix = model.encoding.to_matrix(collect_features(model, histories, rows))
    return explain_trees(model.main.booster, matrix).values


def _rank_themes(model: RiskModel, values: Floats) -> npt.NDArray[np.intp]:
    """Rank themes by how much they move each score in either direction; they are numbered as in `THEMES`."""
    names, totals = sum_themes(model.features, np.column_stack([values, np.zeros(len(values))]))
    order = np.argsort(-np.abs(totals), axis=1, kind="stable")
    return np.array([THEMES.index(name) for name in names])[order]


def _share_top(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> Floats:
    tops = zip(one[:, :TOP_THEMES].tolist(), other[:, :TOP_THEMES].tolist(), strict=True)
    return np.array([len({*first} & {*second}) / len(first) for first, second in tops])


# --- Are they faithful?


def _measure_deletion(
    model: RiskModel,
    histories: Histories,
    flagged: pl.DataFrame,
    frame: pl.DataFrame,
    told: Contributions,
    seed: int,
) -> list[Measured]:
    deletion = check_deletion(model, histories, flagged, frame, told, seed=seed)
    looked_at = (
        f"{len(deletion.falls)} of the {deletion.asked} persons with the highest risks; the first reason of the "
        f"other {deletion.without_events} has no events behind it."
    )
    drawn = (
        f"{len(deletion.control)} of these {len(deletion.falls)} persons; of the others no other row of those "
        "tables was known."
    )
    return [
        *_tell_falls("deletion", deletion.falls, looked_at, seed),
        *_tell_falls("control", deletion.control, drawn, seed),
    ]


def _tell_falls(name: str, falls: Floats, note: str, seed: int) -> list[Measured]:
    return [
        _measure_share(f"{name}_lowers_risk", int((falls > 0).sum()), len(falls), note),
        _measure_median(f"{name}_median_fall", falls, note, seed),
    ]


def _measure_share(measure: str, count: int, of: int, note: str) -> Measured:
    if not of:
        return Measured(measure, None, None, None, note)
    return Measured(measure, count / of, *wilson(count, of), note)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Compute Wilson's 95 % interval of a share.

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]
    """
    z = NORMAL_975**2 / of
    middle, half = count / of + z / 2, sqrt(count / of * (1 - count / of) * z + z * z / 4)
    return (middle - half) / (1 + z), (middle + half) / (1 + z)


def _measure_mean(measure: str, each: Floats, note: str, seed: int) -> Measured:
    return _bootstrap(measure, each, np.mean, note, seed)


def _measure_median(measure: str, each: Floats, note: str, seed: int) -> Measured:
    return _bootstrap(measure, each, np.median, note, seed)


def _bootstrap(measure: str, each: Floats, statistic: Callable[..., Any], note: str, seed: int) -> Measured:
    if not len(each):
        return Measured(measure, None, None, None, note)
    places = np.random.default_rng(seed).integers(0, len(each), (DRAWS, len(each)))
    low, high = np.quantile(statistic(each[places], axis=1), [0.025, 0.975])
    return Measured(measure, float(statistic(each)), float(low), float(high), note)
