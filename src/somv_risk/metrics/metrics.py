"""Metrics: discrimination, precision at capacity, and calibration in the large."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.errors import CohortError

CAPACITY_SHARES = (0.005, 0.01, 0.02)


def compute_metrics(
    outcome: npt.NDArray[np.bool_],
    score: npt.NDArray[np.float64],
    *,
    capacity_shares: Sequence[float] = CAPACITY_SHARES,
) -> pl.DataFrame:
    """Compute metrics of one ranking.

    Parameters
    ----------
    outcome
        Whether the outcome occurred, shape (n,).
    score
        What rows are ranked by, shape (n,); it need not be a probability.

    Returns
    -------
    Columns `metric`, `value`: events and rows; area under the ROC curve; average precision; precision
    and sensitivity among the top shares. Rows tied at the edge of a list count in proportion, as if
    drawn by lot, so that a coarse score is neither favoured nor punished.

    Raises
    ------
    CohortError
        If there are no rows with, or none without, the outcome.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415 - slow to import

    if outcome.all() or not outcome.any():
        raise CohortError(
            "Metrics need rows with and without the outcome. Choose another period or more persons."
        )
    values = {
        "rows": float(len(outcome)),
        "events": float(outcome.sum()),
        "auroc": float(roc_auc_score(outcome, score)),
        "average_precision": float(average_precision_score(outcome, score)),
    }
    for share in capacity_shares:
        found = count_found(outcome, score, capacity=max(1, round(share * len(outcome))))
        values[f"precision_top_{share:.1%}"] = found / max(1, round(share * len(outcome)))
        values[f"sensitivity_top_{share:.1%}"] = found / float(outcome.sum())
    return pl.DataFrame({"metric": list(values), "value": list(values.values())})


def count_found(outcome: npt.NDArray[np.bool_], score: npt.NDArray[np.float64], *, capacity: int) -> float:
    """Count the events among the `capacity` highest scores, ties at the edge in proportion."""
    edge = np.partition(score, len(score) - capacity)[len(score) - capacity]
    above, tied = score > edge, score == edge
    places_left = capacity - int(above.sum())
    return float(outcome[above].sum() + outcome[tied].mean() * places_left)


def compute_expected_ratio(outcome: npt.NDArray[np.bool_], risk: npt.NDArray[np.float64]) -> float:
    """Compute expected over observed events (E/O); 1 means calibrated in the large."""
    return float(risk.sum() / outcome.sum())
