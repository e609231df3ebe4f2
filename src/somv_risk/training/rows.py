"""Rows: those that a model learns from, is calibrated on or is tested on, and their matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from somv_risk.cohort.asof import Lags
from somv_risk.cohort.cohort_rows import KnownRows
from somv_risk.cohort.outcomes import (
    FREQUENT_ADMISSION,
    OUTCOME,
    OUTCOME_EVENTS,
    Target,
    count_past_events,
    label_outcomes,
)
from somv_risk.cohort.splits import ROLE
from somv_risk.features import Feature, build_features
from somv_risk.model.matrix import Encoding, Matrix, build_matrices, learn_encoding
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.training.fit import Slice


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One index moment: the attrition of its cohort, and the persons who were chosen from it.

    `rows` has `person_id`, `index_time`, `role`, `outcome_events` (last year's acute admissions) and, of each
    target, the outcome: `outcome:frequent_admission`.
    """

    index_time: datetime
    attrition: pl.DataFrame
    rows: pl.DataFrame

    def describe_attrition(self) -> list[dict[str, Any]]:
        """Return the attrition as plain data, and after it the persons whose outcome is known."""
        known = [
            {
                "rule": f"{name.removeprefix(name_label(''))} is known (of the persons of this part)",
                "rows_before": self.rows.height,
                "rows_after": self.rows[name].count(),
            }
            for name in self.rows.columns
            if name.startswith(name_label(""))
        ]
        steps = [*self.attrition.to_dicts(), *known]
        return [{"index_time": self.index_time.isoformat(), **step} for step in steps]


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows of some snapshots, one snapshot after the other, and aligned to them their matrix."""

    rows: pl.DataFrame
    matrix: Matrix

    def take_slice(self, role: str, target: Target) -> Slice:
        """Take the rows of one role with a known outcome."""
        label = name_label(target.name)
        is_taken = (self.rows[ROLE] == role) & self.rows[label].is_not_null()
        rows = self.rows.filter(is_taken)
        return Slice(
            matrix=self.matrix,
            places=np.flatnonzero(is_taken),
            outcome=rows[label].to_numpy().astype(np.bool_),
            past_events=rows[OUTCOME_EVENTS].to_numpy().astype(np.float64),
            persons=rows[s.PERSON_ID],
        )


def label_rows(
    histories: Histories, chosen: pl.DataFrame, targets: Sequence[Target], lags: Lags
) -> pl.DataFrame:
    """Label chosen cohort rows (`person_id`, `index_time`, `role`) as `Snapshot.rows` has them."""
    known = KnownRows(chosen)
    past = count_past_events(histories, known, FREQUENT_ADMISSION, lags).select(OUTCOME_EVENTS)
    outcomes = [
        label_outcomes(histories, known, target).select(pl.col(OUTCOME).alias(name_label(target.name)))
        for target in targets
    ]
    return pl.concat([chosen, *pl.collect_all([past, *outcomes])], how="horizontal")


def name_label(target: str) -> str:
    """Name the column that holds the outcome of a target."""
    return f"{OUTCOME}:{target}"


def learn_categories(
    histories: Histories, snapshots: Sequence[Snapshot], features: Sequence[Feature], lags: Lags
) -> Encoding:
    """Learn the encoding of the features from those of them that are categories; no other is computed."""
    categories = [feature for feature in features if feature.is_category]
    frame = build_features(histories, KnownRows(_join_rows(snapshots)), categories, lags=lags)
    return learn_encoding(features, [frame.collect()])


def build_sample(
    histories: Histories, snapshots: Sequence[Snapshot], encoding: Encoding, lags: Lags
) -> Sample:
    """Build the matrix of snapshots piece by piece, so that no frame of all features is ever held."""
    rows = _join_rows(snapshots)
    matrix = np.empty((rows.height, len(encoding.features)), dtype=np.float32)
    for piece in build_matrices(histories, rows, encoding, lags=lags):
        matrix[piece.places] = piece.matrix
    return Sample(rows, matrix)


def _join_rows(snapshots: Sequence[Snapshot]) -> pl.DataFrame:
    return pl.concat(snapshot.rows for snapshot in snapshots)
