"""Measures: how exact, how steady and how faithful the explanations of a model are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.arguments import read_count, read_index_time
from somv_risk.calls.moments import Moment
from somv_risk.calls.repeatable import same_on_any_threads
from somv_risk.calls.shown import show_type
from somv_risk.errors import ConfigError
from somv_risk.evaluation.explanations._deletion import Deletion, check_deletion
from somv_risk.evaluation.explanations._exactness import measure_exactness
from somv_risk.evaluation.explanations._measured import Measured, tell_median, tell_share
from somv_risk.evaluation.explanations._stability import measure_stability
from somv_risk.model.matrix import build_matrices
from somv_risk.model.model import RiskModel, get_model
from somv_risk.registers.histories import Histories, check_histories
from somv_risk.scoring.score import PLACE, RAW, choose_persons, collect_features, rank_persons
from somv_risk.trees.contributions import Contributions, explain_trees

MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "additivity_error": "largest miss of base and contributions from LightGBM's raw score, in log-odds",
        "difference_to_shap": "largest difference from shap.TreeExplainer, over the largest contribution",
        "difference_to_brute_force": "the same from trying every coalition of features, on a small forest",
        "same_top_theme": "share of other models in which a person's first theme is the same",
        "shared_top_3_themes": "share of a person's first 3 themes that other models have among theirs",
        "first_reason_has_events": "share of persons whose first raising reason has events behind it",
        "deletion_lowers_risk": "share of those persons whose risk falls without these events",
        "deletion_median_fall": "median fall of their risk, in points of probability from 0 to 1",
        "control_lowers_risk": "share whose risk falls without as many other rows of the same tables",
        "control_median_fall": "median fall of the risk without those",
    }
)
_SCHEMA: Final = {
    "measure": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "note": pl.String(),
}


@same_on_any_threads()
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

    Whether they are exact is measured on the persons with the highest risks and as many drawn from all
    others; whether they are steady and faithful on those with the highest risks, who are the ones explained.

    Parameters
    ----------
    persons
        How many persons with the highest risks, and how many others.
    others
        Models of the same target grown with other seeds, to see whether the first themes stay the same.

    Returns
    -------
    One row per measure (`MEASURES` says what each is): `measure`, `value`, `low`, `high`, `note`. Intervals
    are of 95 %: Wilson's for shares of persons, else bootstrapped over persons. A largest value has none.

    Raises
    ------
    ConfigError
        If fewer than one person is asked for.
    CohortError
        If nobody is eligible.

    References
    ----------
    Samek et al., Evaluating the visualization of what a deep neural network has learned, IEEE Transactions on
    Neural Networks and Learning Systems 2017, doi:10.1109/TNNLS.2016.2599820, for deletion.
    """
    check_histories(histories)
    if not isinstance(others, Sequence):
        raise ConfigError(f"others are {show_type(others)}. Give models in a list.")
    model, others = get_model(model), [get_model(other) for other in others]
    persons, seed = read_count("persons", persons, least=1), read_count("seed", seed)
    moment = read_index_time(index_time, histories.timezone)
    flagged, drawn = _choose(model, histories, moment, persons, seed)
    frame = collect_features(model, histories, pl.concat([flagged, drawn]))
    matrix = model.encoding.to_matrix(frame)
    told = explain_trees(model.main.booster, matrix)
    top = _head(told, flagged.height)
    deletion = check_deletion(model, histories, flagged, frame.head(flagged.height), top, seed=seed)
    measured = [
        *measure_exactness(model, matrix, told, seed),
        *measure_stability(model, others, histories, flagged, top.values, seed),
        *_tell_deletion(deletion, seed),
    ]
    return pl.DataFrame([asdict(row) for row in measured], schema=_SCHEMA)


def _choose(
    model: RiskModel, histories: Histories, moment: datetime, persons: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Choose the persons with the highest scores, and draw as many of all others."""
    rows = choose_persons(model, histories, moment, None)
    raw = np.empty(rows.height)
    for piece in build_matrices(model.see(histories), rows, model.encoding, lags=model.lags):
        raw[piece.places] = model.main.predict_raw(piece.matrix)
    order = _list_places(rows.with_columns(pl.Series(RAW, raw)))
    rest = np.random.default_rng(seed).permutation(np.sort(order[persons:]))[:persons]
    return rows[order[:persons]], rows[np.sort(rest)]


def _list_places(scored: pl.DataFrame) -> npt.NDArray[np.int64]:
    """List the places of rows in the order of a list."""
    return rank_persons(scored.with_columns(pl.int_range(pl.len()).alias(PLACE)))[PLACE].to_numpy()


def _head(told: Contributions, rows: int) -> Contributions:
    return Contributions(told.values[:rows], told.base, told.raw[:rows], told.method)


def _tell_deletion(deletion: Deletion, seed: int) -> list[Measured]:
    found, controlled = len(deletion.falls), len(deletion.control)
    asked = f"{deletion.asked} persons with the highest risks; a count of none, or an age, has no events."
    deleted = f"{found} persons of {deletion.asked}, whose first raising reason has events behind it."
    drawn = f"{controlled} of these {found}; of the others no other row of those tables was known."
    return [
        tell_share("first_reason_has_events", found, deletion.asked, asked),
        tell_share("deletion_lowers_risk", int((deletion.falls > 0).sum()), found, deleted),
        tell_median("deletion_median_fall", deletion.falls, deleted, seed),
        tell_share("control_lowers_risk", int((deletion.control > 0).sum()), controlled, drawn),
        tell_median("control_median_fall", deletion.control, drawn, seed),
    ]
