"""Curves: logistic lines and splines of the outcome on the log-odds, fitted by Newton's method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STEPS: Final = 50
CLOSE: Final = 1e-9
FAR: Final = 1e4  # a coefficient as large as this has no end: the outcomes are set apart
KNOTS: Final = (0.05, 0.275, 0.5, 0.725, 0.95)  # Harrell 2015, Regression Modeling Strategies, table 2.3
MOST_POINTS: Final = 1000
LEAST_KNOTS: Final = 3
HALVES: Final = tuple(0.5**times for times in range(40))
ROUNDING: Final = 1e-12
FLAT: Final = (
    1e12  # a likelihood so flat in some direction has no top: outcomes are set apart, or risks equal
)


@dataclass(frozen=True, slots=True)
class Line:
    """A coefficient of a logistic line, and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Points:
    """Cases put together with their neighbours: the point of each, mean log-odds, and knots of a curve."""

    point: npt.NDArray[np.int64]
    mean: FloatArray
    knots: FloatArray

    def add_up(self, amounts: FloatArray) -> FloatArray:
        """Add up amounts, one for each case, by point."""
        return np.asarray(np.bincount(self.point, amounts, len(self.mean)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Curve:
    """At each point the risk, the share with the outcome that the curve gives there, and its weight."""

    risk: FloatArray
    observed: FloatArray
    weights: FloatArray


def fit_line(log_odds: FloatArray, outcome: BoolArray, *, slope: float | None = None) -> Line | None:
    """Fit a logistic line of the outcome on the log-odds: its slope, or its level if the slope is given.

    None if no line can be fitted, as no slope can where all log-odds are equal.
    """
    if slope is None and np.ptp(log_odds) == 0:
        return None
    ones, share = np.ones(len(log_odds)), outcome.astype(np.float64)
    if slope is None:
        fitted = _fit(np.stack([ones, log_odds]), share, ones, start=(0.0, 1.0))
    else:
        fitted = _fit(ones[None, :], share, ones, start=(0.0,), offset=slope * log_odds)
    if fitted is None:
        return None
    coefficients, covariance = fitted
    return Line(float(coefficients[-1]), float(np.sqrt(covariance[-1, -1])))


def put_together(log_odds: FloatArray) -> Points:
    """Put neighbours together to at most 1,000 points of equal numbers of cases."""
    order = np.argsort(log_odds, kind="stable")
    point = np.empty(len(order), dtype=np.int64)
    point[order] = np.arange(len(order)) * min(MOST_POINTS, len(order)) // len(order)
    mean = np.bincount(point, log_odds) / np.bincount(point)
    return Points(point, mean, np.unique(np.quantile(log_odds, KNOTS)))


def compute_curve(points: Points, outcome: BoolArray, weights: FloatArray) -> Curve | None:
    """Compute the smooth calibration curve: a restricted cubic spline of the log-odds with five knots.

    None if no curve can be fitted, as when nearly all risks are equal.
    """
    if len(points.knots) < LEAST_KNOTS:
        return None
    total = points.add_up(weights)
    there = total > 0
    events = np.bincount(points.point[outcome], weights[outcome], len(total))
    basis = build_spline(points.mean[there], points.knots)
    line = (0.0, 1.0, *[0.0] * (len(basis) - 2))
    fitted = _fit(basis, events[there] / total[there], total[there], start=line)
    if fitted is None:
        return None
    return Curve(_to_risk(points.mean[there]), _to_risk(fitted[0] @ basis), total[there])


def build_spline(values: FloatArray, knots: FloatArray) -> FloatArray:
    """Build the basis of a restricted cubic spline: 1, the value, and a cubic for each knot but two.

    One row for each of them; it is linear outside the knots.
    Source: Harrell 2015, doi 10.1007/978-3-319-19425-7, section 2.4.5.
    """
    last, before = knots[-1], knots[-2]
    scale = (last - knots[0]) ** 2
    columns = [np.ones(len(values)), values]
    for knot in knots[:-2]:
        bend = _cube(values - knot)
        bend -= _cube(values - before) * (last - knot) / (last - before)
        bend += _cube(values - last) * (before - knot) / (last - before)
        columns.append(bend / scale)
    return np.stack(columns)


def _cube(values: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(values, 0) ** 3, dtype=np.float64)


def _to_risk(log_odds: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):  # an infinite exponential is a risk of 0
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)


def _fit(
    basis: FloatArray,
    share: FloatArray,
    weights: FloatArray,
    *,
    start: tuple[float, ...],
    offset: FloatArray | float = 0.0,
) -> tuple[FloatArray, FloatArray] | None:
    """Fit a logistic regression by Newton's method: coefficients, their covariance; None if it has no end.

    `basis` has a row for each coefficient. It starts from risks that are right, which is seldom far off.
    """

    def compute_likelihood(coefficients: FloatArray) -> float:
        line = offset + coefficients @ basis
        return float(weights @ (share * line - np.logaddexp(0, line)))

    coefficients: FloatArray | None = np.array(start)
    for _ in range(STEPS):
        if coefficients is None or np.abs(coefficients).max() > FAR:
            return None
        risk = _to_risk(offset + coefficients @ basis)
        slope = basis @ (weights * (share - risk))
        bend = (basis * (weights * risk * (1 - risk))) @ basis.T
        try:
            step = np.asarray(np.linalg.solve(bend, slope), dtype=np.float64)
        except np.linalg.LinAlgError:
            return None
        if np.linalg.cond(bend) > FLAT:
            return None
        if np.abs(step).max() < CLOSE:
            return coefficients + step, np.asarray(np.linalg.inv(bend), dtype=np.float64)
        coefficients = _climb(compute_likelihood, coefficients, step)
    return None


def _climb(height: Callable[[FloatArray], float], place: FloatArray, step: FloatArray) -> FloatArray | None:
    """Take as much of a step as does not lead down: all, a half, a quarter; None if even the least does."""
    if not np.isfinite(step).all():
        return None
    here = height(place)
    for part in HALVES:
        if height(place + part * step) >= here - abs(here) * ROUNDING:
            return np.asarray(place + part * step, dtype=np.float64)
    return None
