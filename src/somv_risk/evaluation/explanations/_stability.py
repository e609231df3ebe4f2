"""Stability: whether other models of the same target name the same themes first."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.evaluation.explanations._measured import Measured, tell_mean
from somv_risk.features import THEMES
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.scoring.reasons import sum_themes
from somv_risk.scoring.score import collect_features
from somv_risk.trees.contributions import explain_trees

TOP_THEMES: Final = 3

Floats = npt.NDArray[np.float64]
Ranked = npt.NDArray[np.intp]


def measure_stability(
    model: RiskModel,
    others: Sequence[RiskModel],
    histories: Histories,
    rows: pl.DataFrame,
    values: Floats,
    seed: int,
) -> list[Measured]:
    """Measure how often others rank first the themes that the model ranks first, in either direction."""
    names = ("same_top_theme", "shared_top_3_themes")
    if not others:
        note = "There is no other model. Train some with other seeds, and give them as `others`."
        return [Measured(name, None, None, None, note) for name in names]
    own = _rank_themes(model, values)
    ranked = [_rank_themes(other, _explain(other, histories, rows)) for other in others]
    same = np.mean([own[:, 0] == other[:, 0] for other in ranked], axis=0)
    shared = np.mean([_share_top(own, other) for other in ranked], axis=0)
    note = f"{rows.height} persons with the highest risks, {len(others)} other models; themes by their size."
    return [tell_mean(name, each, note, seed) for name, each in zip(names, (same, shared), strict=True)]


def _explain(model: RiskModel, histories: Histories, rows: pl.DataFrame) -> Floats:
    matrix = model.encoding.to_matrix(collect_features(model, histories, rows))
    return explain_trees(model.main.booster, matrix).values


def _rank_themes(model: RiskModel, values: Floats) -> Ranked:
    """Rank themes by how much they move each score, in either direction; numbered as in `THEMES`."""
    names, totals = sum_themes(model.features, np.column_stack([values, np.zeros(len(values))]))
    order = np.argsort(-np.abs(totals), axis=1, kind="stable")
    return np.array([THEMES.index(name) for name in names])[order]


def _share_top(one: Ranked, other: Ranked) -> Floats:
    """Return the share of the first themes of one that are among the first of the other."""
    tops = zip(one[:, :TOP_THEMES].tolist(), other[:, :TOP_THEMES].tolist(), strict=True)
    return np.array([len({*first} & {*second}) / len(first) for first, second in tops])
