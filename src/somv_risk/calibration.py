"""Calibration: from raw scores to probabilities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from somv_risk.errors import CohortError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic calibration: risk = 1 / (1 + exp(-(intercept + slope * raw))).

    The slope is positive, so that calibration never changes who ranks before whom.
    Source: Platt 1999, in Advances in Large Margin Classifiers.

    Examples
    --------
    >>> Calibration(intercept=0.0, slope=1.0).predict_risk(np.array([0.0])).tolist()
    [0.5]
    """

    intercept: float
    slope: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.intercept) and np.isfinite(self.slope) and self.slope > 0):
            raise CohortError(
                "The calibration slope is not positive: raw scores do not rise with the outcome on the later "
                "slice. Train on more persons or index times, or look for a change in the registers."
            )

    def predict_risk(self, raw: FloatArray) -> FloatArray:
        """Return the risk for each raw score (log-odds)."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.intercept + self.slope * raw))), dtype=np.float64)


def fit_calibration(raw: FloatArray, outcome: npt.NDArray[np.bool_]) -> Calibration:
    """Fit the calibration on a slice later than the one that trained the trees.

    Raises
    ------
    CohortError
        If the slice has no event or nothing but events, or raw scores do not rise with the outcome.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - half a second, needed in training only

    if outcome.all() or not outcome.any():
        raise CohortError(
            "The calibration slice needs rows with and without the outcome. Give it more persons."
        )
    line = LogisticRegression(C=np.inf).fit(raw.reshape(-1, 1), outcome)
    return Calibration(intercept=float(line.intercept_[0]), slope=float(line.coef_[0, 0]))
