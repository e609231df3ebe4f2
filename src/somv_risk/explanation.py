"""The explanation of one person: every theme, the sentence that says it, and the events behind it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY
from somv_risk.cohort import Moment, parse_moment
from somv_risk.contributions import Summary, compute_contributions, summarise_trees
from somv_risk.features import THEMES, Feature, list_evidence
from somv_risk.histories import Histories
from somv_risk.matrix import build_matrices
from somv_risk.model import RiskModel
from somv_risk.reasons import Reason, build_reasons
from somv_risk.scoring import RISK, choose_persons, collect_features

SHOWN_EVENTS: Final = 5
RAW, BASE, TOP = "raw", "base", "top"
CONTRIBUTION: Final = pl.Struct({"feature": pl.String, "contribution": pl.Float64})


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one person has the risk they have.

    `reasons` are all themes that moved the score, as `score` orders them; `evidence` maps each feature
    told to its events (`events`, `started_at`, `ended_at`, latest first). `contributions` has one
    row per feature: `feature`, `theme`, `contribution` (log-odds), largest first; with `base` they sum to
    `raw`, the log-odds before calibration.
    """

    risk: float
    percentile: float
    raw: float
    base: float
    reasons: tuple[Reason, ...]
    evidence: dict[str, pl.DataFrame]
    contributions: pl.DataFrame

    def __str__(self) -> str:
        lines = [f"{self.risk:.1%}"]
        for reason in self.reasons:
            lines.append(f"{reason.contribution:+.2f}  {reason.text}")
            for name in reason.told:
                lines += _tell_events(self.evidence[name])
        return "\n".join(lines)


def explain_person(
    model: RiskModel, histories: Histories, person_id: str, index_time: Moment, *, language: str = "da"
) -> Explanation:
    """Explain one person's risk, with the underlying events as evidence.

    Raises
    ------
    CohortError
        If the person is not found or not eligible.
    """
    moment = parse_moment(index_time)
    own = histories.keep_persons(pl.LazyFrame({s.PERSON_ID: [str(person_id)]}))
    rows = choose_persons(model, own, moment, None)
    frame = collect_features(model, own, rows)
    matrix = model.encoding.to_matrix(frame)
    values = compute_contributions(model.main.booster, matrix)
    reasons = build_reasons(
        model.features, frame, values, count=len(model.features), language=language, absent=own.absent
    )[0]
    features = {feature.name: feature for feature in model.features}
    told = [name for reason in reasons for name in reason.told]
    evidence = {name: list_evidence(own, rows, features[name], model.lags).drop(KEY) for name in told}
    risk = model.main.predict_risk(matrix)
    return Explanation(
        risk=float(risk[0]),
        percentile=float(model.main.rank_percentile(risk)[0]),
        raw=float(model.main.predict_raw(matrix)[0]),
        base=float(values[0, -1]),
        reasons=tuple(reasons),
        evidence=evidence,
        contributions=_tabulate(model.features, values[0, :-1].tolist()),
    )


def explain_region(
    model: RiskModel, histories: Histories, index_time: Moment, *, top: int = 5
) -> pl.DataFrame:
    """Explain the risk of every eligible person by theme, and so what drives the risk of a region.

    Memory holds the features of some thousand persons at a time.

    Parameters
    ----------
    top
        How many features to tell of each person.

    Returns
    -------
    One row per eligible person, in order of their id: `person_id`, `index_time`, `risk` (0 to 1), `raw` (the
    log-odds before calibration), `base`, one column for each theme of the model, and `top` (list of feature
    and contribution, the largest first, whatever their sign). Contributions are in log-odds: themes
    and base sum to `raw`.

    Raises
    ------
    CohortError
        If nobody is eligible.
    """
    rows = choose_persons(model, histories, parse_moment(index_time), None)
    groups = [THEMES.index(feature.definition.theme) for feature in model.features]
    names = np.array([feature.name for feature in model.features])
    pieces = [
        pl.concat([piece.cohort, _list_themes(model, told, groups), _list_top(told, names)], how="horizontal")
        for piece in build_matrices(histories, rows, model.encoding, lags=model.lags)
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


def _tell_events(events: pl.DataFrame) -> list[str]:
    """Tell the latest events, and how many more there are."""
    shown = [
        f"         {event['events']}: {event[s.STARTED_AT]} - {event[s.ENDED_AT] or ''}"
        for event in events.head(SHOWN_EVENTS).iter_rows(named=True)
    ]
    more = events.height - len(shown)
    return [*shown, f"         and {more} more"] if more else shown
