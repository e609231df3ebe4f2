"""Scores: how the risks of everybody lie beside those of the reference, and how much of a list is new."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.disclosure import FEW
from somv_risk.metrics import compute_wilson, read_capacities
from somv_risk.metrics.drift import BINS, compare_shares, count_bins, is_small, learn_edges, measure_drift
from somv_risk.model.model import Head, RiskModel
from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import FeatureLimits, ScoreLimits, TurnoverLimits
from somv_risk.monitoring._scored import Scored
from somv_risk.training.reference import Reference

FloatArray = npt.NDArray[np.float64]

FLAGGED: Final = "share_above_threshold"
NOBODY_AGAIN: Final = "Nobody of the first list could be on the second: none was eligible again."
SCORES: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "target": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "reference": pl.Float64,
    "note": pl.String,
}
BINNED: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "target": pl.String,
    "bin": pl.Int64,
    "from_risk": pl.Float64,
    "to_risk": pl.Float64,
    "rows": pl.Int64,
    "share": pl.Float64,
    "reference": pl.Float64,
    "note": pl.String,
}
TURNOVER: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "from_index_time": pl.Datetime("us"),
    "to_index_time": pl.Datetime("us"),
    "capacity": pl.String,
    "persons": pl.Int64,
    "value": pl.Float64,
    "note": pl.String,
}


def tabulate_scores(
    model: RiskModel, reference: Reference, scored: Scored, limits: FeatureLimits
) -> pl.DataFrame:
    """Tabulate, of each target, how far its risks have moved.

    Measures: `psi` and `jensen_shannon` (their `high` is the band of chance), `mean_risk`,
    `share_above_threshold` (with its 95 % score interval).
    """
    rows = [
        {"target": name, **row}
        for name, head in model.heads.items()
        for row in _measure(head, scored.risks[name], reference.persons, limits)
    ]
    return pl.DataFrame(rows, schema=SCORES)


def _measure(head: Head, risk: FloatArray, persons: int, limits: FeatureLimits) -> Iterator[dict[str, Any]]:
    edges, expected = _bin_reference(head)
    if len(expected) > 1:
        drift = measure_drift(
            expected * persons, count_bins(risk, edges), confidence=limits.confidence, persons=persons
        )
        yield {"measure": "psi", "value": drift.psi, "high": drift.psi_band}
        yield {
            "measure": "jensen_shannon",
            "value": drift.jensen_shannon,
            "high": drift.jensen_shannon_band,
        }
    quantiles = np.array(head.reference_risks)
    before = float(((quantiles[1:] + quantiles[:-1]) / 2).mean())
    yield {"measure": "mean_risk", "value": float(risk.mean()), "reference": before}
    above = int((risk >= head.threshold).sum())
    few = is_small(above)
    low, high = compute_wilson(np.array([float(above)]), np.array([float(len(risk))]))
    yield {
        "measure": FLAGGED,
        "value": None if few else above / len(risk),
        "low": None if few else low.item(),
        "high": None if few else high.item(),
        "reference": share_above(head),
        "note": FEW if few else None,
    }


def share_above(head: Head) -> float:
    """Return the share of the reference from the threshold up, by its quantiles."""
    return float((np.array(head.reference_risks) >= head.threshold).mean())


def _bin_reference(head: Head) -> tuple[FloatArray, FloatArray]:
    """Cut the reference's risks into bins; return inner edges and the share in each."""
    quantiles = np.array(head.reference_risks)
    edges = learn_edges(quantiles, bins=BINS)
    counts = count_bins(quantiles, edges)
    return edges, np.asarray(counts / counts.sum())


def tabulate_bins(model: RiskModel, scored: Scored) -> pl.DataFrame:
    """Tabulate how many persons have such risks, beside the share at training; few are hidden."""
    return pl.DataFrame(
        [
            {"target": name, **row}
            for name, head in model.heads.items()
            for row in _tell_bins(head, scored.risks[name])
        ],
        schema=BINNED,
    )


def _tell_bins(head: Head, risk: FloatArray) -> Iterator[dict[str, Any]]:
    edges, expected = _bin_reference(head)
    ends = [0.0, *edges.tolist(), 1.0]
    for place, count in enumerate(count_bins(risk, edges).tolist()):
        few = is_small(count)
        yield {
            "bin": place + 1,
            "from_risk": ends[place],
            "to_risk": ends[place + 1],
            "rows": None if few else count,
            "share": None if few else count / len(risk),
            "reference": float(expected[place]),
            "note": FEW if few else None,
        }


def find_score_alarms(
    model: RiskModel,
    reference: Reference,
    scored: Scored,
    scores: pl.DataFrame,
    features: FeatureLimits,
    limits: ScoreLimits,
) -> Iterator[Alarm]:
    """Find alarms of risks: a distribution that moved, or more or fewer persons above the threshold."""
    for row in scores.filter(pl.col("measure") == "psi").iter_rows(named=True):
        if row["value"] > max(row["high"], features.psi):
            yield Alarm("score_drift", row["target"], row["value"], features.psi)
    for name, head in model.heads.items():
        above, before = int((scored.risks[name] >= head.threshold).sum()), share_above(head)
        ratio = above / len(scored) / before if before else 1.0
        deviations = compare_shares(above, len(scored), before, reference.persons)
        is_far = ratio > limits.share_most or ratio < limits.share_least
        if is_far and abs(deviations) > features.deviations:
            edge = limits.share_most if ratio > 1 else limits.share_least
            yield Alarm("share_flagged", name, ratio, edge)


def tabulate_turnover(earlier: Sequence[Scored], now: Scored, capacity: str) -> pl.DataFrame:
    """Tabulate how many of each earlier list, of those still eligible, are on today's (`value`)."""
    return pl.DataFrame([_compare(one, now, capacity) for one in earlier], schema=TURNOVER)


def _compare(earlier: Scored, now: Scored, capacity: str) -> dict[str, Any]:
    (length,) = read_capacities([capacity])
    first = earlier.list_first(length.count(len(earlier)))
    second = now.list_first(length.count(len(now)))
    could_stay = int(first.is_in(now.person_ids.implode()).sum())
    stayed = int(first.is_in(second.implode()).sum())
    few = is_small(stayed) or is_small(could_stay - stayed)
    note = FEW if few else None if could_stay else NOBODY_AGAIN
    return {
        "from_index_time": earlier.index_time,
        "to_index_time": now.index_time,
        "capacity": length.label,
        "persons": None if is_small(could_stay) else could_stay,
        "value": None if few or not could_stay else stayed / could_stay,
        "note": note,
    }


def find_turnover_alarms(turnover: pl.DataFrame, limits: TurnoverLimits) -> Iterator[Alarm]:
    """Find lists of which too few are left after a short time."""
    near = pl.col("to_index_time") - pl.col("from_index_time") <= timedelta(days=limits.within_days)
    for row in turnover.filter(near, pl.col("value") < limits.kept_least).iter_rows(named=True):
        day = row["from_index_time"].date().isoformat()
        yield Alarm("turnover", day, row["value"], limits.kept_least)
