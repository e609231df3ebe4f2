"""Reference: what the training saw, in so few numbers that it can travel with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.cohort.asof import Lags
from somv_risk.cohort.weeks import YEAR, count_weeks, measure_columns, measure_reach, see
from somv_risk.disclosure import SMALLEST
from somv_risk.errors import ModelError
from somv_risk.features import Feature
from somv_risk.metrics.drift import BINS, LEAST_IN_BIN, count_bins, is_small, learn_edges
from somv_risk.model.matrix import Encoding, Matrix
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.training.rows import Sample, Snapshot

REFERENCE: Final = "reference"
NO_REFERENCE: Final = (
    "The model carries no training reference to compare with: an earlier version of the library trained it. "
    "Train it again."
)


@dataclass(frozen=True, slots=True)
class FeatureReference:
    """Counts of one feature by bin, and persons without a value; a category is binned by its number."""

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    nulls: int

    @property
    def rows(self) -> int:
        """Rows with and without a value."""
        return int(self.counts.sum()) + self.nulls


@dataclass(frozen=True, slots=True)
class TableReference:
    """One table in the year before the reference moment.

    `reach_days` is how far back it reached; `weekly` the median of rows per week and 1,000 eligible persons,
    None where a week has fewer than 5; `nulls` the share of rows without a value by column, `set_aside` the
    share that the checks set aside.
    """

    weekly: float | None
    reach_days: int
    nulls: Mapping[str, float]
    set_aside: float


@dataclass(frozen=True, slots=True)
class Reference:
    """What the training saw: the later of its moments, on which risks are calibrated too.

    `eligible` counts the persons eligible then, `persons` those among them from whom the features are.
    """

    index_time: datetime
    eligible: int
    persons: int
    features: Mapping[str, FeatureReference]
    tables: Mapping[str, TableReference]


def build_reference(
    histories: Histories, lags: Lags, encoding: Encoding, snapshots: Sequence[Snapshot], sample: Sample
) -> dict[str, Any]:
    """Build the reference from the part that a model is calibrated on, as plain data for its facts.

    No count in it is of fewer than 5 persons: bins are joined until they hold 20, and fewer than 5 persons
    without a value are counted among the others.
    """
    moment = snapshots[-1].index_time
    eligible = int(snapshots[-1].attrition["rows_after"][-1])
    return {
        "index_time": moment.isoformat(),
        "eligible": eligible,
        "persons": sample.rows[s.PERSON_ID].n_unique(),
        "features": {
            feature.name: _describe_feature(feature, sample.matrix[:, place], encoding)
            for place, feature in enumerate(encoding.features)
        },
        "tables": {
            table: _describe_table(histories, table, moment, lags, eligible) for table in histories.tables
        },
    }


def add_reference(model: RiskModel, reference: Mapping[str, Any]) -> RiskModel:
    """Add the reference to what a model carries."""
    return replace(model, facts=MappingProxyType({**model.facts, REFERENCE: dict(reference)}))


def _describe_feature(feature: Feature, column: Matrix, encoding: Encoding) -> dict[str, Any]:
    values = column[~np.isnan(column)].astype(np.float64)
    nulls = len(column) - len(values)
    if len(values) < LEAST_IN_BIN:
        # So few have a value that even their number is kept back.
        return {"edges": [], "counts": [], "nulls": len(column) if len(values) == 0 else 0}
    edges = learn_edges(values, bins=_choose_bins(feature, encoding))
    counts = count_bins(values, edges)
    if is_small(nulls):
        counts[counts.argmax()] += nulls
        nulls = 0
    return {"edges": edges.tolist(), "counts": counts.tolist(), "nulls": nulls}


def _choose_bins(feature: Feature, encoding: Encoding) -> int:
    """Choose how many bins: each category has one, of those with persons enough."""
    return max(BINS, len(encoding.categories[feature.name])) if feature.is_category else BINS


def _describe_table(
    histories: Histories, table: str, moment: datetime, lags: Lags, eligible: int
) -> dict[str, Any]:
    if table == s.PERSONS:
        return {"weekly": None, "reach_days": 0, "nulls": {}, "set_aside": share_set_aside(histories, table)}
    seen = see(histories, moment, lags)
    return {
        "weekly": find_weekly(count_weeks(histories, table, seen, YEAR).rows, eligible),
        "reach_days": measure_reach(histories, table, moment),
        "nulls": {
            name: 0.0 if is_small(nulls) else nulls / of
            for name, of, nulls in measure_columns(histories, table, seen)
            if of >= LEAST_IN_BIN
        },
        "set_aside": share_set_aside(histories, table),
    }


def find_weekly(rows: npt.NDArray[np.float64], eligible: int) -> float | None:
    """Find the median of rows per week and 1,000 eligible persons; None if a week has fewer than 5."""
    median = float(np.median(rows))
    return 1000 * median / eligible if median >= SMALLEST else None


def share_set_aside(histories: Histories, table: str) -> float:
    """Return the share of delivered rows that the checks set aside."""
    rows = histories.quarantine.count_set_aside(table)
    kept = int(histories.table(table).select(pl.len()).collect().item())
    return rows / (rows + kept) if rows >= SMALLEST else 0.0


def read_reference(model: RiskModel) -> Reference:
    """Read the reference that a model carries.

    Raises
    ------
    ModelError
        If it carries none, or one that does not fit its features.
    """
    if REFERENCE not in model.facts:
        raise ModelError(NO_REFERENCE)
    data = model.facts[REFERENCE]
    try:
        return Reference(
            index_time=datetime.fromisoformat(data["index_time"]),
            eligible=data["eligible"],
            persons=data["persons"],
            features={
                feature.name: _read_feature(data["features"][feature.name]) for feature in model.features
            },
            tables={table: TableReference(**row) for table, row in data["tables"].items()},
        )
    except (KeyError, TypeError, ValueError):
        raise ModelError("The model's training reference is incomplete. Restore the model folder.") from None


def _read_feature(data: Mapping[str, Any]) -> FeatureReference:
    return FeatureReference(
        edges=np.array(data["edges"], dtype=np.float64),
        counts=np.array(data["counts"], dtype=np.int64),
        nulls=data["nulls"],
    )
