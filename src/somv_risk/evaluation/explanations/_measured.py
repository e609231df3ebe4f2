"""Measured: one row of the table, and the interval of its value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.metrics import compute_wilson

DRAWS: Final = 1_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table; `low` and `high` are null where there is no interval."""

    measure: str
    value: float | None
    low: float | None
    high: float | None
    note: str | None


def tell_largest(measure: str, value: float, note: str) -> Measured:
    """Tell a largest difference, which has no interval."""
    return Measured(measure, float(value), None, None, f"{note} A largest value has no interval.")


def tell_share(measure: str, count: int, of: int, note: str) -> Measured:
    """Tell a share with Wilson's interval; of nobody there is none."""
    if not of:
        return Measured(measure, None, None, None, note)
    low, high = compute_wilson(np.array([float(count)]), np.array([float(of)]))
    return Measured(measure, count / of, low.item(), high.item(), note)


def tell_mean(measure: str, each: Floats, note: str, seed: int) -> Measured:
    """Tell the mean over persons with a bootstrap interval; of nobody there is none."""
    return _bootstrap(measure, each, np.mean, note, seed)


def tell_median(measure: str, each: Floats, note: str, seed: int) -> Measured:
    """Tell the median over persons with a bootstrap interval; of nobody there is none."""
    return _bootstrap(measure, each, np.median, note, seed)


def _bootstrap(measure: str, each: Floats, statistic: Callable[..., Any], note: str, seed: int) -> Measured:
    if not len(each):
        return Measured(measure, None, None, None, note)
    places = np.random.default_rng(seed).integers(0, len(each), (DRAWS, len(each)))
    low, high = np.quantile(statistic(each[places], axis=1), [0.025, 0.975])
    return Measured(measure, float(statistic(each)), float(low), float(high), note)
