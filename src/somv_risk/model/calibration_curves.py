"""Calibration curves: three ways in which a raw score becomes a probability, and their fits."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from somv_risk.calls.repeatable import same_on_any_threads
from somv_risk.errors import CohortError

FloatArray = npt.NDArray[np.float64]
Outcome = npt.NDArray[np.bool_]

_NOT_RISING: Final = (
    "raw scores do not rise with the outcome on the later slice. Train on more persons or index times, or "
    "look for a change in the registers."
)


@dataclass(frozen=True, slots=True)
class Platt:
    """A logistic line: risk = 1 / (1 + exp(-(intercept + slope * raw))), with a positive slope.

    Source: Platt 1999, in Advances in Large Margin Classifiers.

    Examples
    --------
    >>> Platt(intercept=0.0, slope=1.0).predict_risk(np.array([0.0])).tolist()
    [0.5]
    """

    intercept: float
    slope: float
    kind: ClassVar[str] = "platt"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.intercept) and np.isfinite(self.slope) and self.slope > 0):
            raise CohortError(f"The calibration slope is not positive: {_NOT_RISING}")

    def predict_risk(self, raw: FloatArray) -> FloatArray:
        """Return the risk for each raw score (log-odds)."""
        return _squash(self.intercept + self.slope * raw)


@dataclass(frozen=True, slots=True)
class Beta:
    """Beta calibration: log-odds = intercept + a * log(p) - b * log(1 - p), where p is the raw score's.

    Both weights are at least 0 and not both are 0. With a = b it is a logistic line; a alone bends low
    scores, b high ones.

    Source: Kull, Silva Filho and Flach 2017, https://proceedings.mlr.press/v54/kull17a.html

    Examples
    --------
    >>> Beta(a=1.0, b=1.0, intercept=0.0).predict_risk(np.array([0.0])).tolist()
    [0.5]
    """

    a: float
    b: float
    intercept: float
    kind: ClassVar[str] = "beta"

    def __post_init__(self) -> None:
        values = (self.a, self.b, self.intercept)
        if not np.isfinite(values).all() or min(self.a, self.b) < 0 or self.a + self.b == 0:
            raise CohortError(f"The weights of the beta calibration are not positive: {_NOT_RISING}")

    def predict_risk(self, raw: FloatArray) -> FloatArray:
        """Return the risk for each raw score (log-odds)."""
        low, high = _split(raw)
        return _squash(self.intercept + self.a * low + self.b * high)


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Steps that never fall: risks at raw scores, a straight line between two, flat beyond the ends.

    Persons within a step have the same risk; the raw score still orders them. Risks lie within 0 and 1.

    Source: Zadrozny and Elkan 2002, https://doi.org/10.1145/775047.775151

    Examples
    --------
    >>> Isotonic(raw=(-1.0, 1.0), risk=(0.25, 0.75)).predict_risk(np.array([-9.0, 0.0, 9.0])).tolist()
    [0.25, 0.5, 0.75]
    """

    raw: tuple[float, ...]
    risk: tuple[float, ...]
    kind: ClassVar[str] = "isotonic"

    def __post_init__(self) -> None:
        is_rising = len(self.raw) == len(self.risk) > 1 and (np.diff(self.raw) > 0).all()
        if not (is_rising and (np.diff(self.risk) >= 0).all() and 0 < self.risk[0] < self.risk[-1] < 1):
            raise CohortError(f"The steps of the isotonic calibration do not rise: {_NOT_RISING}")

    def predict_risk(self, raw: FloatArray) -> FloatArray:
        """Return the risk for each raw score (log-odds)."""
        return np.asarray(np.interp(raw, self.raw, self.risk), dtype=np.float64)


Curve = Platt | Beta | Isotonic
CURVES: Final[Mapping[str, type[Curve]]] = MappingProxyType(
    {curve.kind: curve for curve in (Platt, Beta, Isotonic)}
)


def fit_platt(raw: FloatArray, outcome: Outcome) -> Platt:
    """Fit a logistic line."""
    weights, intercept = _fit_line([raw], outcome)
    return Platt(intercept=intercept, slope=weights[0])


def fit_beta(raw: FloatArray, outcome: Outcome) -> Beta:
    """Fit a beta curve; a weight that would be negative is 0, and the other is fitted alone."""
    low, high = _split(raw)
    (a, b), intercept = _fit_line([low, high], outcome)
    if a < 0:
        (b,), intercept = _fit_line([high], outcome)
        return Beta(0.0, b, intercept)
    if b < 0:
        (a,), intercept = _fit_line([low], outcome)
        return Beta(a, 0.0, intercept)
    return Beta(a, b, intercept)


def fit_isotonic(raw: FloatArray, outcome: Outcome) -> Isotonic:
    """Fit steps that never fall.

    No rate is taken to be below half an event in all n + 1 rows, nor above its counterpart: n rows cannot
    tell a rarer one from 0.
    """
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - half a second, needed in training only

    _check_classes(outcome)
    steps = IsotonicRegression(out_of_bounds="clip").fit(raw, outcome.astype(np.float64))
    least = 0.5 / (len(raw) + 1)
    risk = np.clip(steps.y_thresholds_, least, 1 - least)
    return Isotonic(tuple(steps.X_thresholds_.tolist()), tuple(risk.tolist()))


# Simplest first: of those nearly as good as the best, the first is chosen.
FITS: Final[Mapping[str, Callable[[FloatArray, Outcome], Curve]]] = MappingProxyType(
    {"platt": fit_platt, "beta": fit_beta, "isotonic": fit_isotonic}
)


def _squash(log_odds: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)


def _split(raw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log(p) and -log(1 - p) of p = 1 / (1 + exp(-raw))."""
    return -np.logaddexp(0.0, -raw), np.logaddexp(0.0, raw)


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted logistic regression, and whether its rounds were enough."""

    weights: tuple[float, ...]
    intercept: float
    has_converged: bool


def _fit_line(columns: list[FloatArray], outcome: Outcome) -> tuple[tuple[float, ...], float]:
    _check_classes(outcome)
    line = fit_logistic_line(np.column_stack(columns), outcome, C=np.inf, solver="newton-cholesky", tol=1e-9)
    return line.weights, line.intercept


def fit_logistic_line(columns: FloatArray, outcome: Outcome, **options: float | str) -> Line:
    """Fit scikit-learn's logistic regression.

    What scikit-learn warns of when its rounds run out is said by the line itself.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - as below
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - half a second, needed in training only

    line = LogisticRegression(**options)
    with same_on_any_threads(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        line.fit(columns, outcome)
    return Line(
        weights=tuple(line.coef_[0].tolist()),
        intercept=float(line.intercept_[0]),
        has_converged=bool(line.n_iter_[0] < line.max_iter),
    )


def _check_classes(outcome: Outcome) -> None:
    if outcome.all() or not outcome.any():
        raise CohortError(
            "The calibration slice needs rows with and without the outcome. Give it more persons."
        )
