"""The explanation of one person: every theme, the sentence that says it, and the events behind it."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY
from somv_risk.cohort import Moment, parse_moment
from somv_risk.contributions import compute_contributions
from somv_risk.features import Feature, list_evidence
from somv_risk.histories import Histories
from somv_risk.model import RiskModel
from somv_risk.reasons import Reason, build_reasons
from somv_risk.scoring import choose_persons, collect_features

SHOWN_EVENTS: Final = 5


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
