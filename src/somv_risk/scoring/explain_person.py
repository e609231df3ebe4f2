"""The explanation of one person: every theme and feature, the sentence that says it, and the events."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from somv_risk.calls.arguments import read_count, read_index_time
from somv_risk.calls.moments import Moment
from somv_risk.calls.shown import show
from somv_risk.cohort.asof import KEY
from somv_risk.errors import ConfigError
from somv_risk.features import THEMES, Feature, list_evidence
from somv_risk.model.definitions import check_definitions
from somv_risk.model.matrix import build_matrices
from somv_risk.model.model import RiskModel, get_model
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.reasons import (
    FeatureReason,
    Reason,
    Texts,
    build_feature_reasons,
    build_reasons,
    format_events,
    load_texts,
)
from somv_risk.scoring.score import (
    RISK,
    Allowed,
    check_allowed,
    check_fit,
    choose_persons,
    collect_features,
    keep_person,
)
from somv_risk.trees.contributions import Summary, compute_contributions, summarise_trees

RAW, BASE, TOP = "raw", "base", "top"
CONTRIBUTION: Final = pl.Struct({"feature": pl.String, "contribution": pl.Float64})


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one person has the risk they have.

    `reasons` are all themes that moved the score, as `score` orders them; `by_feature` all features that
    did, the largest contribution first. `evidence` maps each feature told by a theme to its events
    (`events`, `started_at`, `ended_at`, latest first); those of any other are given by
    `list_reason_evidence`. `contributions` has one row per feature: `feature`, `theme`, `contribution`
    (log-odds), largest first; with `base` they sum to `raw`, the log-odds before calibration.
    """

    risk: float
    percentile: float
    raw: float
    base: float
    reasons: tuple[Reason, ...]
    evidence: dict[str, pl.DataFrame]
    contributions: pl.DataFrame
    by_feature: tuple[FeatureReason, ...]
    language: str

    def __str__(self) -> str:
        texts = load_texts(self.language)
        lines = [texts.numbers.format_risk(self.risk)]
        for reason in self.reasons:
            lines.append(_tell_reason(reason, texts))
            for name in reason.told:
                lines += format_events(self.evidence[name], self.language)
        return "\n".join(lines)


def explain_person(
    model: RiskModel | str | Path,
    histories: Histories,
    person_id: str,
    index_time: Moment,
    *,
    language: str = "da",
    allow: Collection[Allowed] = (),
) -> Explanation:
    """Explain one person's risk, with the underlying events as evidence.

    Parameters
    ----------
    allow
        What is usually refused, and then only warned of: "absent-tables" that the model was trained with,
        other "definitions" of its features.

    Raises
    ------
    OtherTablesError
        If tables are absent that the model was trained with, and this is not allowed.
    CohortError
        If the person is not found or not eligible.
    OtherDefinitionsError
        If features count something else than when the model was trained, and that is not allowed.
    """
    model = get_model(model)
    check_fit(model, histories, allow)
    own, rows = _find_person(model, histories, person_id, index_time)
    frame = collect_features(model, own, rows)
    matrix = model.encoding.to_matrix(frame)
    values = compute_contributions(model.main.booster, matrix)
    reasons = build_reasons(
        model.features, frame, values, count=len(model.features), language=language, absent=own.absent
    )[0]
    features = {feature.name: feature for feature in model.features}
    told = [name for reason in reasons for name in reason.told]
    evidence = {name: _list_events(model, own, rows, features[name]) for name in told}
    risk = model.main.predict_risk(matrix)
    return Explanation(
        risk=float(risk[0]),
        percentile=float(model.main.rank_percentile(risk)[0]),
        raw=float(model.main.predict_raw(matrix)[0]),
        base=float(values[0, -1]),
        reasons=tuple(reasons),
        evidence=evidence,
        contributions=_tabulate(model.features, values[0, :-1].tolist()),
        by_feature=tuple(build_feature_reasons(model.features, frame, values, language=language)[0]),
        language=language,
    )


def list_reason_evidence(
    model: RiskModel | str | Path,
    histories: Histories,
    person_id: str,
    index_time: Moment,
    feature: str,
    *,
    allow: Collection[Allowed] = (),
) -> pl.DataFrame:
    """List the events behind any feature of a person's explanation, latest first.

    Parameters
    ----------
    allow
        What is usually refused, and then only warned of: other "definitions" of the model's features.

    Returns
    -------
    One row per event: `events` (the kind of event), `started_at`, `ended_at` (null while the end was not
    known). What has no events behind it has no rows, and the same columns: age, sex and municipality, a
    count of none, and whatever is of a table that was not delivered.

    Raises
    ------
    ConfigError
        If the model has no such feature.
    CohortError
        If the person is not found or not eligible.
    OtherDefinitionsError
        If features count something else than when the model was trained, and that is not allowed.
    """
    check_allowed(allow)
    model = get_model(model)
    check_definitions(model, allow)
    features = {each.name: each for each in model.features}
    if not isinstance(feature, str) or feature not in features:
        raise ConfigError(f"The model has no feature {show(feature)}. Name one of its explanation.")
    own, rows = _find_person(model, histories, person_id, index_time)
    return _list_events(model, own, rows, features[feature])


def _find_person(
    model: RiskModel, histories: Histories, person_id: str, index_time: Moment
) -> tuple[Histories, pl.DataFrame]:
    own = keep_person(histories, person_id)
    return own, choose_persons(model, own, read_index_time(index_time, own.timezone), None)


def _list_events(model: RiskModel, own: Histories, rows: pl.DataFrame, feature: Feature) -> pl.DataFrame:
    return list_evidence(model.see(own), rows, feature, model.lags).drop(KEY)


def explain_region(
    model: RiskModel | str | Path,
    histories: Histories,
    index_time: Moment,
    *,
    top: int = 5,
    allow: Collection[Allowed] = (),
) -> pl.DataFrame:
    """Explain the risk of every eligible person by theme, and so what drives the risk of a region.

    Memory holds the features of some thousand persons at a time.

    Parameters
    ----------
    top
        How many features to tell of each person.
    allow
        What is usually refused, and then only warned of: "absent-tables" that the model was trained with,
        other "definitions" of its features.

    Returns
    -------
    One row per eligible person, in order of their id: `person_id`, `index_time`, `risk` (0 to 1), `raw` (the
    log-odds before calibration), `base`, one column for each theme of the model, and `top` (list of feature
    and contribution, the largest first, whatever their sign). Contributions are in log-odds: themes
    and base sum to `raw`.

    Raises
    ------
    OtherTablesError
        If tables are absent that the model was trained with, and this is not allowed.
    CohortError
        If nobody is eligible.
    OtherDefinitionsError
        If features count something else than when the model was trained, and that is not allowed.
    """
    model = get_model(model)
    check_fit(model, histories, allow)
    top = min(read_count("top", top), len(model.features))
    rows = choose_persons(model, histories, read_index_time(index_time, histories.timezone), None)
    groups = [THEMES.index(feature.definition.theme) for feature in model.features]
    names = np.array([feature.name for feature in model.features])
    pieces = [
        pl.concat([piece.cohort, _list_themes(model, told, groups), _list_top(told, names)], how="horizontal")
        for piece in build_matrices(model.see(histories), rows, model.encoding, lags=model.lags)
        for told in [summarise_trees(model.main.booster, piece.matrix, groups, top=top)]
    ]
    return pl.concat(pieces).sort(s.PERSON_ID)


def _list_themes(model: RiskModel, told: Summary, groups: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            RISK: model.main.calibration.predict_risk(told.raw),
            RAW: told.raw,
            BASE: np.full(len(told.raw), told.base),
            **{THEMES[group]: told.totals[:, group] for group in sorted(set(groups))},
        }
    )


def _list_top(told: Summary, names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> pl.DataFrame:
    """List the weightiest features of each row, in a frame of one column."""
    rows, top = told.top_features.shape
    pairs = pl.DataFrame(
        {"feature": names[told.top_features.ravel()], "contribution": told.top_values.ravel()}
    )
    listed = pairs.to_struct(TOP).reshape((rows, top)).cast(pl.List(CONTRIBUTION))
    return listed.to_frame()


def _tabulate(features: tuple[Feature, ...], contributions: list[float]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "feature": [feature.name for feature in features],
            "theme": [feature.definition.theme for feature in features],
            "contribution": contributions,
        }
    )
    return frame.sort(pl.col("contribution").abs(), descending=True)


def _tell_reason(reason: Reason, texts: Texts) -> str:
    mark = texts.marks["changeable" if reason.changeable else "given"]
    return f"{texts.numbers.format_contribution(reason.contribution)}  {reason.text} ({mark})"
