"""Judging a way of training by its raw scores: four figures, and their difference to another way's."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from somv_risk.metrics.metrics import compute_metrics
from somv_risk.model.calibration import cross_validate, fit_calibration

METRICS = ("log_loss", "auroc", "average_precision", "precision_top_1%")
DRAWS = 200
NEW_BELOW = 3  # acute admissions in the year before
Draws = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Judged:
    """The first entry of each array is the figure itself, the others are those of redrawn persons."""

    all: Draws
    new: Draws


def judge_scores(raw: np.ndarray, outcome: np.ndarray, past_events: np.ndarray) -> Judged:
    """Judge raw scores, one row per person; the loss is of risks calibrated on other persons, as is usual."""
    kind = fit_calibration(raw, outcome).kind
    losses = cross_validate(kind, raw, outcome)
    is_new = past_events < NEW_BELOW
    return Judged(_redraw(raw, outcome, losses), _redraw(raw[is_new], outcome[is_new], losses[is_new]))


def _redraw(raw: np.ndarray, outcome: np.ndarray, losses: np.ndarray) -> Draws:
    """Compute the figures as they are, and for persons redrawn: the same draws for every way of training."""
    _, group = np.unique(-raw, return_inverse=True)
    rng = np.random.default_rng(0)
    persons = len(raw)
    redrawn = (np.bincount(rng.integers(0, persons, persons), minlength=persons) for _ in range(DRAWS))
    values = [_measure(group, outcome, losses, weight) for weight in chain([np.ones(persons)], redrawn)]
    return {metric: np.array([value[place] for value in values]) for place, metric in enumerate(METRICS)}


def _measure(
    group: np.ndarray, outcome: np.ndarray, losses: np.ndarray, weight: np.ndarray
) -> tuple[float, ...]:
    """Measure weighted persons, who are grouped by equal scores, the highest first."""
    events = np.bincount(group, weight * outcome)
    found = np.cumsum(events)
    listed = np.cumsum(np.bincount(group, weight))
    others = np.diff(listed - found, prepend=0.0)
    auroc = (others * (found - events / 2)).sum() / (found[-1] * others.sum())
    precision = np.divide(found, listed, out=np.zeros_like(found), where=listed > 0)
    capacity = max(1, round(0.01 * listed[-1]))
    return (
        np.average(losses, weights=weight),
        auroc,
        (precision * events).sum() / found[-1],
        np.interp(capacity, np.append(0, listed), np.append(0, found)) / capacity,
    )


def check_figures(raw: np.ndarray, outcome: np.ndarray, judged: Judged) -> str:
    """Check the figures against those that a model states of itself."""
    expected = dict(compute_metrics(outcome, raw, capacity_shares=[0.01]).rows())
    for metric, name in (
        ("auroc", "auroc"),
        ("average_precision", "average_precision"),
        ("precision_top_1%", "precision_top_1.0%"),
    ):
        if not np.isclose(judged.all[metric][0], expected[name], rtol=1e-9):
            raise AssertionError(f"{metric} differs from the library's.")
    return "AUROC, average precision and precision equal those of the library's metrics."


def compare(judged: Draws, other: Draws, metric: str) -> tuple[float, float, float]:
    """Compute the difference to another way of training, and its interval over the same redrawn persons."""
    difference = judged[metric] - other[metric]
    low, high = np.quantile(difference[1:], [0.025, 0.975])
    return float(difference[0]), float(low), float(high)
