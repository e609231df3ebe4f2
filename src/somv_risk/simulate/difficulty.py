"""Difficulty: how well frequent admission can be foretold in a made-up region."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.cohort.outcomes import OUTCOME, OUTCOME_EVENTS, count_past_events, label_outcomes
from somv_risk.metrics.metrics import compute_metrics
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import choose_persons, collect_features
from somv_risk.simulate.plan import Plan
from somv_risk.simulate.region import build_region
from somv_risk.training.train import train

ROUNDS: Final = 100
MOST_TRAINED_ON: Final = 100_000
RANKINGS: Final = ("model", "logistic", "last_year_count")
METRICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auroc": "auroc",
        "precision_top_1.0%": "precision_in_top_1_percent",
    }
)
DIFFICULTY_NAMES: Final = tuple(f"{ranking}_{name}" for ranking in RANKINGS for name in METRICS.values())

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of persons, and what each ranking made of them before."""

    outcome: Flags
    scores: Mapping[str, Floats]

    def __add__(self, other: "Judged") -> "Judged":
        scores = {name: np.concatenate([score, other.scores[name]]) for name, score in self.scores.items()}
        return Judged(np.concatenate([self.outcome, other.outcome]), scores)

    def take(self, rows: npt.NDArray[np.int64]) -> "Judged":
        """The given rows."""
        return Judged(self.outcome[rows], {name: score[rows] for name, score in self.scores.items()})


def measure_difficulty(
    plan: Plan,
    *,
    regions: int = 4,
    progress: Progress = ignore_progress,
) -> pl.DataFrame:
    """Train the default model on one made-up region and test it, and two references, on others.

    Nobody is in two of the regions, and the year that is foretold is the last 365 days of each, so neither
    persons nor what happened to them can have been learnt by heart.

    Parameters
    ----------
    plan
        The region to train on, of which at most 100,000 persons are taken; the others are as large and
        have the next seeds.
    regions
        On how many others to test, one after the other.
    progress
        Called with the step, how much of it is done, and its total.

    Returns
    -------
    Figures as `compute_figures` returns them: `figure` (such as "model_auroc"), `observed`,
    `standard_error` (100 bootstrap samples of persons) and `denominator`, the number of adults.

    Raises
    ------
    CohortError
        As `train`.
    """
    first = replace(plan, persons=min(plan.persons, MOST_TRAINED_ON))
    model = train(build_region(first), progress=progress)
    judged = []
    for number in range(regions):
        progress("testing on other regions", number, regions)
        other = build_region(replace(first, seed=plan.seed + number + 1))
        judged.append(_judge(model, other))
    progress("testing on other regions", regions, regions)
    return _compute_figures(reduce(Judged.__add__, judged))


def _judge(model: RiskModel, region: Histories) -> Judged:
    head = model.main
    cohort = choose_persons(model, region, _find_index_time(region, head.target.horizon.days), None)
    outcome = label_outcomes(region, cohort, head.target).select(OUTCOME).collect().to_series()
    known = outcome.is_not_null()
    past = count_past_events(region, cohort, head.target, model.lags).select(OUTCOME_EVENTS).collect()
    matrix = model.encoding.to_matrix(collect_features(model, region, cohort))
    judged = Judged(
        outcome.fill_null(value=False).to_numpy().astype(np.bool_),
        {
            "model": head.predict_risk(matrix),
            "logistic": head.logistic.predict_raw(model.encoding, matrix),
            "last_year_count": past.to_series().to_numpy().astype(np.float64),
        },
    )
    return judged.take(np.flatnonzero(known.to_numpy()))


def _find_index_time(region: Histories, horizon_days: int) -> datetime:
    data_end: datetime = region.follow_up_end().collect().item()
    return data_end - timedelta(days=horizon_days)


def _compute_figures(judged: Judged) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    size = judged.outcome.size
    samples = [_compute(judged.take(rng.integers(0, size, size))) for _ in range(ROUNDS)]
    errors = pl.concat(samples).group_by("figure").agg(pl.col("observed").std().alias("standard_error"))
    return (
        _compute(judged)
        .join(errors, on="figure", maintain_order="left")
        .with_columns(denominator=pl.lit(float(size)))
    )


def _compute(judged: Judged) -> pl.DataFrame:
    rows = [
        (f"{ranking}_{METRICS[metric]}", value)
        for ranking, score in judged.scores.items()
        for metric, value in compute_metrics(judged.outcome, score, capacity_shares=[0.01]).rows()
        if metric in METRICS
    ]
    return pl.DataFrame(rows, schema={"figure": pl.String, "observed": pl.Float64}, orient="row")
