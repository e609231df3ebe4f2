"""SHAP plots: contributions as a `shap.Explanation`, drawn by shap, and a person's timeline."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.arguments import read_index_time
from somv_risk.calls.extras import check_installed
from somv_risk.calls.moments import Moment
from somv_risk.errors import CohortError, ConfigError
from somv_risk.features import Feature
from somv_risk.model.matrix import Matrix
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories, check_histories
from somv_risk.report.timeline_picture import render_timeline
from somv_risk.scoring.reasons import load_texts, sum_themes
from somv_risk.scoring.score import choose_persons, collect_features, keep_person
from somv_risk.scoring.worklist import build_timeline_events
from somv_risk.trees.contributions import compute_contributions

if TYPE_CHECKING:
    import shap
    from matplotlib.axes import Axes

SHOWN = 12


By = Literal["feature", "theme"]


def make_explanation(
    model: RiskModel,
    histories: Histories,
    *,
    index_time: Moment,
    person_ids: Iterable[str] | None = None,
    by: By = "feature",
    language: str | None = None,
) -> "shap.Explanation":
    """Hand the contributions of all eligible persons, or of those named, to shap.

    Parameters
    ----------
    by
        Explain each "feature", or each "theme" by the sum of its features.
    language
        "da", "en", "nb" or "sv" to name features and themes by their titles; by default they have their own
        names.

    Returns
    -------
    An explanation whose `values` (log-odds) have the shape (persons, features) or (persons, themes); persons
    are in order of their id. Each row of values sums, with its `base_values`, to the raw score. Of features,
    `data` is the matrix (NaN where nothing is known) and `display_data` the values as they are written; a
    theme has no value of its own.

    Raises
    ------
    CohortError
        If none of the persons is eligible.
    ConfigError
        If `by` or the language is not known.
    """
    check_installed("shap", "plots of contributions")
    import shap  # noqa: PLC0415 - slow to import

    if by not in {"feature", "theme"}:
        raise ConfigError(f"by is {by!r}. Give 'feature' or 'theme'.")
    if language is not None:
        load_texts(language)  # refuses a language that there is not
    check_histories(histories)
    rows = choose_persons(model, histories, read_index_time(index_time, histories.timezone), person_ids)
    frame = collect_features(model, histories, rows)
    matrix = model.encoding.to_matrix(frame)
    contributions = compute_contributions(model.main.booster, matrix)
    if by == "theme":
        told = _tell_themes(model.features, contributions, language)
    else:
        told = _tell_features(model.features, contributions, frame, matrix, language)
    return shap.Explanation(base_values=contributions[:, -1], **told)


def _tell_features(
    features: tuple[Feature, ...],
    contributions: npt.NDArray[np.float64],
    frame: pl.DataFrame,
    matrix: Matrix,
    language: str | None,
) -> dict[str, Any]:
    return {
        "values": contributions[:, :-1],
        "data": matrix,
        "display_data": _display(frame, features),
        "feature_names": [_name(feature, language) for feature in features],
    }


def _tell_themes(
    features: tuple[Feature, ...], contributions: npt.NDArray[np.float64], language: str | None
) -> dict[str, Any]:
    themes, totals = sum_themes(features, contributions)
    names = [load_texts(language).theme(theme) for theme in themes] if language else themes
    return {"values": totals, "feature_names": names}


def draw_beeswarm(explanation: "shap.Explanation", shown: int = SHOWN) -> "Axes":
    """Draw what each feature contributes to whom: shap's beeswarm, of the weightiest features."""
    check_installed("shap", "plots of contributions")
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
    check_installed("shap", "plots of contributions")
    import shap  # noqa: PLC0415

    if not 0 <= person < len(explanation):
        raise CohortError(f"There are {len(explanation)} persons. Give a place from 0.")
    axes: Axes = shap.plots.waterfall(explanation[person], max_display=shown, show=False)
    return axes


def draw_bar(explanation: "shap.Explanation", shown: int = SHOWN) -> "Axes":
    """Draw how much the features move scores on average, in either direction: shap's bar plot."""
    check_installed("shap", "plots of contributions")
    import shap  # noqa: PLC0415

    axes: Axes = shap.plots.bar(explanation, max_display=shown, show=False)
    return axes


def draw_timeline(
    model: RiskModel, histories: Histories, person_id: str, index_time: Moment, *, language: str = "da"
) -> str:
    """Draw what was known of one person in the 730 days before the index, as the text of an SVG picture.

    A notebook shows it with `IPython.display.SVG(draw_timeline(...))`; written to a file, a browser does.

    Raises
    ------
    CohortError
        If the person is not found or not eligible.
    ConfigError
        If the language is not known.
    """
    own = keep_person(histories, person_id)
    row = choose_persons(model, own, read_index_time(index_time, own.timezone), None)
    return render_timeline(row, build_timeline_events(own, row, model.lags), language=language)


def _display(frame: pl.DataFrame, features: Sequence[Feature]) -> npt.NDArray[np.object_]:
    """Return the values as they are written: categories as texts, and nothing where nothing is known."""
    return np.array([frame[feature.name].to_list() for feature in features], dtype=object).T


def _name(feature: Feature, language: str | None) -> str:
    if language is None:
        return feature.name
    title = feature.definition.title_in(language)
    return f"{title} ({feature.window.days} d)" if feature.window else title
