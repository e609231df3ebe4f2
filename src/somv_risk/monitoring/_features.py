"""Features: how far each has moved since the training, and how many persons have come to be without it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from somv_risk.disclosure import FEW
from somv_risk.features import Feature
from somv_risk.metrics.drift import compare_shares, is_small, measure_drift
from somv_risk.model.model import RiskModel
from somv_risk.monitoring._alarms import Alarm
from somv_risk.monitoring._limits import FeatureLimits
from somv_risk.monitoring._scored import Scored, Tally
from somv_risk.training.reference import FeatureReference, Reference

ABSENT: Final = "A table that it is made from was not delivered."
ONE_BIN: Final = "Nearly everybody had the same value at training, so a move cannot be measured."
CUT_SHORT: Final = (
    "The data reach another span back than at training, which changes what it can see; no alarm is raised."
)
NO_VALUES: Final = "Too few persons have a value to compare."
SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "feature": pl.String,
    "definition": pl.String,
    "tables": pl.String,
    "psi": pl.Float64,
    "psi_band": pl.Float64,
    "jensen_shannon": pl.Float64,
    "jensen_shannon_band": pl.Float64,
    "null_share": pl.Float64,
    "reference_null_share": pl.Float64,
    "null_deviations": pl.Float64,
    "verdict": pl.String,
    "note": pl.String,
}
LEAST_VALUES: Final = 20
LONGER: Final = 0.1


def tabulate_features(
    model: RiskModel,
    reference: Reference,
    scored: Scored,
    missing: frozenset[str],
    reach: Mapping[str, int],
    limits: FeatureLimits,
) -> pl.DataFrame:
    """Tabulate features, those that moved furthest first.

    `verdict`: "drift" beyond limit and chance; "small" beyond chance only; "same"; "empty" where the share
    without a value moved beyond its limit; "cut" where the data reach back further, or less far, than at
    training; null where `note` says why nothing can be said.
    """
    rows = [
        _judge(feature, reference, scored.tallies[feature.name], missing, reach, limits)
        for feature in model.features
    ]
    return pl.DataFrame(rows, schema=SCHEMA).sort(
        "psi", descending=True, nulls_last=True, maintain_order=True
    )


def _judge(
    feature: Feature,
    reference: Reference,
    tally: Tally,
    missing: frozenset[str],
    reach: Mapping[str, int],
    limits: FeatureLimits,
) -> dict[str, Any]:
    known = reference.features[feature.name]
    row: dict[str, Any] = dict.fromkeys(SCHEMA) | {
        "feature": feature.name,
        "definition": feature.definition.id,
        "tables": ", ".join(feature.definition.tables),
    }
    if missing & set(feature.definition.tables):
        return row | {"note": ABSENT}
    row |= _compare_nulls(known, tally, reference.persons)
    row |= _compare_values(known, tally, reference.persons, limits)
    if _is_emptied(row, limits):
        row["verdict"] = "empty"
    return row | _excuse(feature, reference, reach)


def _excuse(feature: Feature, reference: Reference, reach: Mapping[str, int]) -> dict[str, Any]:
    """Excuse a feature that sees more of the past than at training, or less, because the data do."""
    for table in set(feature.definition.tables) & set(reach):
        then, now = reference.tables[table].reach_days, reach[table]
        days = _find_span(feature)
        if then and abs(min(days, now) / min(days, then) - 1) > LONGER:
            return {"verdict": "cut", "note": CUT_SHORT}
    return {}


def _find_span(feature: Feature) -> float:
    """Find how many days back a feature looks: for how long something has lasted, without end."""
    if feature.window is not None:
        return feature.window.days
    return np.inf if feature.measure.counts_from_start else 1.0


def _compare_nulls(known: FeatureReference, tally: Tally, persons: int) -> dict[str, Any]:
    if not known.rows:
        return {}
    before, of = known.nulls / known.rows, tally.nulls + int(tally.counts.sum())
    few = is_small(tally.nulls)
    return {
        "null_share": None if few else tally.nulls / of,
        "reference_null_share": before,
        "null_deviations": compare_shares(tally.nulls, of, before, min(persons, known.rows)),
        "note": FEW if few else None,
    }


def _compare_values(
    known: FeatureReference, tally: Tally, persons: int, limits: FeatureLimits
) -> dict[str, Any]:
    if len(known.counts) < 2:
        return {"note": ONE_BIN}
    if tally.counts.sum() < LEAST_VALUES:
        return {"note": NO_VALUES}
    of_values = persons * int(known.counts.sum()) / known.rows
    drift = measure_drift(known.counts, tally.counts, confidence=limits.confidence, persons=of_values)
    is_far = drift.psi > limits.psi
    return {
        "psi": drift.psi,
        "psi_band": drift.psi_band,
        "jensen_shannon": drift.jensen_shannon,
        "jensen_shannon_band": drift.jensen_shannon_band,
        "verdict": ("drift" if is_far else "small") if drift.is_beyond_chance else "same",
    }


def _is_emptied(row: Mapping[str, Any], limits: FeatureLimits) -> bool:
    if row["null_share"] is None or row["reference_null_share"] is None:
        return False
    moved = abs(row["null_share"] - row["reference_null_share"])
    return bool(moved > limits.null_share and np.abs(row["null_deviations"]) > limits.deviations)


def find_feature_alarms(features: pl.DataFrame, limits: FeatureLimits) -> Iterator[Alarm]:
    """Find alarms of features: one for all windows of a definition, of the one that moved furthest."""
    for verdict, kind, column, limit in (
        ("drift", "feature_drift", "psi", limits.psi),
        ("empty", "feature_nulls", "null_share", None),
    ):
        rows = features.filter(pl.col("verdict") == verdict)
        furthest = (pl.col("null_share") - pl.col("reference_null_share")).abs()
        order = pl.col("psi") if verdict == "drift" else furthest
        first = rows.sort(order, descending=True, maintain_order=True).unique(
            "definition", keep="first", maintain_order=True
        )
        for row in first.iter_rows(named=True):
            edge = _find_edge(row, limits.null_share) if limit is None else limit
            yield Alarm(kind, row["feature"], row[column], edge, _tell_before(row))


def _tell_before(row: Mapping[str, Any]) -> dict[str, float]:
    return {"before": row["reference_null_share"]} if row["verdict"] == "empty" else {}


def _find_edge(row: Mapping[str, Any], reach: float) -> float:
    """Find the share without a value that was passed."""
    before: float = row["reference_null_share"]
    return before + reach if row["null_share"] > before else before - reach
