"""The penalised logistic regression that every model has to beat, beside the count of last year."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.curves import fit_logistic_line
from somv_risk.matrix import Encoding, Matrix, Places

PENALTY_STRENGTH: Final = 0.01


@dataclass(frozen=True, slots=True)
class PenalisedLogistic:
    """Ridge logistic regression on log(1 + value), standardised, null set to the mean.

    Categories are left out: they have no order.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def predict_raw(self, encoding: Encoding, matrix: Matrix) -> npt.NDArray[np.float64]:
        """Return log-odds per row."""
        columns = [encoding.names.index(name) for name in self.names]
        standard = (_transform(matrix[:, columns]) - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(np.nan_to_num(standard) @ np.array(self.coefficients) + self.intercept)

    def describe(self) -> dict[str, Any]:
        """Return the fitted values as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


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
    coefficients, intercept = fit_logistic_line(standard, outcome, C=PENALTY_STRENGTH, max_iter=200)
    return PenalisedLogistic(
        names=tuple(encoding.names[column] for column in columns),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        coefficients=tuple(coefficients),
        intercept=intercept,
    )


def _standardise(column: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return the standardised column, its mean and its scale; a constant has scale 1."""
    mean, scale = float(np.nanmean(column)), float(np.nanstd(column)) or 1.0
    return np.nan_to_num((column - mean) / scale), mean, scale


def _transform(numbers: Matrix) -> npt.NDArray[np.float64]:
    """Log(1 + size) with its sign: counts and days are skewed, and trends may be negative."""
    values = np.asarray(numbers, dtype=np.float64)
    return np.copysign(np.log1p(np.abs(values)), values)
