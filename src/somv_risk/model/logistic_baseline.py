"""Logistic baseline: a penalised regression that every model has to beat, beside last year's count."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.model.calibration_curves import fit_logistic_line
from somv_risk.model.matrix import Encoding, Matrix, Places

PENALTY_STRENGTH: Final = 0.01
ROUNDS: Final = 200
FURTHEST: Final = 10.0  # spreads from the mean; beyond it a value says no more than that it is extreme
NO_SPREAD: Final = 1e-9  # of the value: what is left of a constant once its mean was rounded
DIVERGED: Final = "The regression did not settle, so the comparison with it says nothing."


@dataclass(frozen=True, slots=True)
class PenalisedLogistic:
    """Ridge logistic regression on log(1 + value), standardised, null set to the mean.

    Categories are left out: they have no order. A standardised value lies within -10 and 10. Where
    `has_converged` is false, a comparison with it says nothing.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    has_converged: bool = True

    def predict_raw(self, encoding: Encoding, matrix: Matrix) -> npt.NDArray[np.float64]:
        """Return log-odds per row."""
        columns = [encoding.names.index(name) for name in self.names]
        standard = _place(_transform(matrix[:, columns]), np.array(self.mean), np.array(self.scale))
        return np.asarray(standard @ np.array(self.coefficients) + self.intercept)

    def describe(self) -> dict[str, Any]:
        """Return the fitted values as plain data; that it converged goes without saying.

        A model of earlier versions does not say so, and its hash is to stay.
        """
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in said.items() if name != "has_converged" or not value}

    @property
    def note(self) -> str | None:
        """What has to be said of a comparison with it."""
        return None if self.has_converged else DIVERGED


def read_logistic(data: Mapping[str, Any]) -> PenalisedLogistic:
    """Read what `PenalisedLogistic.describe` returned."""
    fitted: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    return PenalisedLogistic(**fitted)


def fit_logistic(
    encoding: Encoding, matrix: Matrix, places: Places, outcome: npt.NDArray[np.bool_]
) -> PenalisedLogistic:
    """Fit the penalised logistic reference on the rows that train the trees: some places of the matrix."""
    numbers = np.setdiff1d(np.arange(matrix.shape[1]), encoding.category_columns)
    columns = [column for column in numbers.tolist() if not np.isnan(matrix[places, column]).all()]
    standard = np.empty((len(places), len(columns)))
    mean, scale = np.empty(len(columns)), np.empty(len(columns))
    for number, column in enumerate(columns):  # all at once would hold several copies in double precision
        values = _transform(matrix[places, column])
        standard[:, number], mean[number], scale[number] = _standardise(values)
    line = fit_logistic_line(standard, outcome, C=PENALTY_STRENGTH, max_iter=ROUNDS)
    is_finite = bool(np.isfinite([*line.weights, line.intercept]).all())
    return PenalisedLogistic(
        names=tuple(encoding.names[column] for column in columns),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        coefficients=line.weights if is_finite else (0.0,) * len(columns),
        intercept=line.intercept if is_finite else 0.0,
        has_converged=line.has_converged and is_finite,
    )


def _standardise(column: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return the standardised column, its mean and its scale; what is constant has scale 1."""
    mean, spread = float(np.nanmean(column)), float(np.nanstd(column))
    scale = spread if spread > NO_SPREAD * abs(mean) else 1.0
    return _place(column, mean, scale), mean, scale


def _place(
    values: npt.NDArray[np.float64],
    mean: float | npt.NDArray[np.float64],
    scale: float | npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Place values by their distance from the mean in spreads; what is missing lies at the mean."""
    return np.clip(np.nan_to_num((values - mean) / scale), -FURTHEST, FURTHEST)


def _transform(numbers: Matrix) -> npt.NDArray[np.float64]:
    """Log(1 + size) with its sign: counts and days are skewed, and trends may be negative."""
    values = np.asarray(numbers, dtype=np.float64)
    logs = np.copysign(np.log1p(np.abs(values)), values)
    return np.where(np.isinf(logs), np.nan, logs)
