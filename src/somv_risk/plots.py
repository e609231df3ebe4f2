"""Plots: contributions as a `shap.Explanation`, for those who know shap's beeswarm and waterfall."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort import Moment, parse_moment
from somv_risk.contributions import compute_contributions
from somv_risk.errors import CohortError
from somv_risk.features import Feature
from somv_risk.histories import Histories
from somv_risk.model import RiskModel
from somv_risk.reasons import load_texts
from somv_risk.scoring import choose_persons, collect_features

if TYPE_CHECKING:
    import shap
    from matplotlib.axes import Axes

SHOWN = 12


def make_explanation(
    model: RiskModel,
    histories: Histories,
    *,
    index_time: Moment,
    person_ids: Iterable[str] | None = None,
    language: str | None = None,
) -> "shap.Explanation":
    """Hand the contributions of all eligible persons, or of those named, to shap.

    Parameters
    ----------
    language
        "da", "en", "nb" or "sv" to name features by their titles; by default they have their own names.

    Returns
    -------
    An explanation whose `values` (log-odds) and `data` (the matrix, NaN where nothing is known) have the
    shape (persons, features), and `display_data` the values as they are written; persons are in order of
    their id. Each row of values sums, with its `base_values`, to the raw score.

    Raises
    ------
    CohortError
        If none of the persons is eligible.
    """
    import shap  # noqa: PLC0415 - slow to import

    if language is not None:
        load_texts(language)  # refuses a language that there is not
    rows = choose_persons(model, histories, parse_moment(index_time), person_ids)
    frame = collect_features(model, histories, rows)
    matrix = model.encoding.to_matrix(frame)
    contributions = compute_contributions(model.main.booster, matrix)
    return shap.Explanation(
        values=contributions[:, :-1],
        base_values=contributions[:, -1],
        data=matrix,
        display_data=_display(frame, model.features),
        feature_names=[_name(feature, language) for feature in model.features],
    )


def draw_beeswarm(explanation: "shap.Explanation", shown: int = SHOWN) -> "Axes":
    """Draw what each feature contributes to whom: shap's beeswarm, of the weightiest features."""
    import shap  # noqa: PLC0415

    axes: Axes = shap.plots.beeswarm(explanation, max_display=shown, show=False)
    return axes


def draw_waterfall(explanation: "shap.Explanation", person: int = 0, shown: int = SHOWN) -> "Axes":
    """Draw how the features of one person, by place, lead from the base to the raw score: shap's waterfall.

    Raises
    ------
    CohortError
        If there are not so many persons.
    """
    import shap  # noqa: PLC0415

    if not 0 <= person < len(explanation):
        raise CohortError(f"There are {len(explanation)} persons. Give a place from 0.")
    axes: Axes = shap.plots.waterfall(explanation[person], max_display=shown, show=False)
    return axes


def _display(frame: pl.DataFrame, features: Sequence[Feature]) -> npt.NDArray[np.object_]:
    """Return the values as they are written: categories as texts, and nothing where nothing is known."""
    return np.array([frame[feature.name].to_list() for feature in features], dtype=object).T


def _name(feature: Feature, language: str | None) -> str:
    if language is None:
        return feature.name
    title = feature.definition.title_in(language)
    return f"{title} ({feature.window.days} d)" if feature.window else title
