"""Decision curve: what acting on a list is worth, at the risk from which a team would act."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.metrics._cases import Cases, FloatArray
from somv_risk.metrics._measures import Measure

STRATEGY: Final = "strategy"
THRESHOLD: Final = "threshold"
TREAT_ALL: Final = "treat_all"
TREAT_NONE: Final = "treat_none"
THRESHOLDS: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


def measure_net_benefit(cases: Cases, thresholds: tuple[float, ...] = THRESHOLDS) -> Measure:
    """Measure the net benefit per person of each risk and rule, of acting on everybody and on nobody.

    At a threshold t it is the share rightly acted on less t / (1 - t) times the share wrongly acted on: one
    found is worth as many in vain as a team would accept that acts from the risk t up.
    Source: Vickers and Elkin 2006, doi 10.1177/0272989X06295361.
    """
    risks = [cases.rankings[name] for name in cases.risks]
    bins = [np.searchsorted(thresholds, risk, side="right") for risk in risks]
    odds = np.array(thresholds) / (1 - np.array(thresholds))
    had, rules = np.flatnonzero(cases.outcome), list(cases.rules.values())
    names = [*cases.risks, *cases.rules, TREAT_ALL, TREAT_NONE]

    def compute(weights: FloatArray) -> FloatArray:
        right, everybody = weights[had], weights.sum()
        acted_on = [_count_above(one, weights, len(odds)) for one in bins]
        rightly = [_count_above(one[had], right, len(odds)) for one in bins]
        acted_on += [np.full(len(odds), weights[rule].sum()) for rule in rules]
        rightly += [np.full(len(odds), weights[rule & cases.outcome].sum()) for rule in rules]
        acted_on += [np.full(len(odds), everybody), np.zeros(len(odds))]
        rightly += [np.full(len(odds), right.sum()), np.zeros(len(odds))]
        found, all_acted_on = np.concatenate(rightly), np.concatenate(acted_on)
        return np.asarray((found - np.tile(odds, len(names)) * (all_acted_on - found)) / everybody)

    keys = pl.DataFrame({STRATEGY: names}).join(pl.DataFrame({THRESHOLD: thresholds}), how="cross")
    return Measure(keys.sort(pl.col(STRATEGY).cast(pl.Enum(names)), THRESHOLD), compute)


def _count_above(bins: npt.NDArray[np.intp], amounts: FloatArray, thresholds: int) -> FloatArray:
    """Add up the amounts of those whose risk reaches each threshold."""
    by_bin = np.bincount(bins, amounts, thresholds + 1)
    return np.asarray(np.cumsum(by_bin[::-1])[::-1][1:], dtype=np.float64)
