"""Scored: all eligible persons at a moment, their features counted by bin and their risks, in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.metrics.drift import count_bins
from somv_risk.model.matrix import Matrix, build_matrices
from somv_risk.model.model import RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.score import RAW, choose_persons, rank_persons
from somv_risk.training.reference import Reference

FloatArray = npt.NDArray[np.float64]


@dataclass(slots=True)
class Tally:
    """Counts of one feature by the bins of the reference, and persons without a value."""

    counts: npt.NDArray[np.int64]
    nulls: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """Persons at an index moment, in order of their ids; `risks` by target, `raw` that of the first."""

    index_time: datetime
    person_ids: pl.Series
    raw: FloatArray
    risks: Mapping[str, FloatArray]
    tallies: Mapping[str, Tally]

    def __len__(self) -> int:
        return len(self.person_ids)

    def list_first(self, size: int) -> pl.Series:
        """List the persons with the highest risk; the person id orders what is equal."""
        ranked = rank_persons(pl.DataFrame({s.PERSON_ID: self.person_ids, RAW: self.raw}))
        return ranked[s.PERSON_ID].head(size)


def score_persons(
    model: RiskModel, histories: Histories, index_time: datetime, reference: Reference
) -> Scored:
    """Score everybody eligible piece by piece, so that no matrix of all persons is ever held.

    Raises
    ------
    CohortError
        If nobody is eligible.
    """
    cohort = choose_persons(model, histories, index_time, None)
    raw = {name: np.empty(cohort.height) for name in model.heads}
    tallies = {
        name: Tally(np.zeros(max(1, len(known.counts)), dtype=np.int64))
        for name, known in reference.features.items()
    }
    for piece in build_matrices(model.see(histories), cohort, model.encoding, lags=model.lags):
        for name, head in model.heads.items():
            raw[name][piece.places] = head.predict_raw(piece.matrix)
        _tally(piece.matrix, reference, tallies)
    return Scored(
        index_time=index_time,
        person_ids=cohort[s.PERSON_ID],
        raw=next(iter(raw.values())),
        risks={name: head.calibration.predict_risk(raw[name]) for name, head in model.heads.items()},
        tallies=tallies,
    )


def _tally(matrix: Matrix, reference: Reference, tallies: Mapping[str, Tally]) -> None:
    for column, (name, known) in zip(matrix.T, reference.features.items(), strict=True):
        values = column[~np.isnan(column)].astype(np.float64)
        tallies[name].nulls += len(column) - len(values)
        tallies[name].counts += count_bins(values, known.edges)
