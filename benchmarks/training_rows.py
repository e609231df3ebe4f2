"""The rows on which choices of training are tried: many moments at once, and never those of the test part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from somv_risk import label_outcomes, make_cohort, read_histories
from somv_risk.cohort.outcomes import FREQUENT_ADMISSION, OUTCOME_EVENTS, Target
from somv_risk.cohort.splits import ROLE, add_role
from somv_risk.features import Feature
from somv_risk.model.matrix import Encoding, Matrix
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.registers.identity import hash_person
from somv_risk.training.config import TrainConfig
from somv_risk.training.fit import Slice
from somv_risk.training.rows import Snapshot, build_sample, label_rows, learn_categories

COUNT = "count"  # acute admissions in the horizon
TRAIN_MOMENTS, LATER_MOMENTS = 8, 3


@dataclass(frozen=True)
class Moments:
    """Index moments a quarter apart, the youngest first: to train on, and later ones."""

    train: tuple[datetime, ...]
    later: tuple[datetime, ...]


@dataclass(frozen=True)
class Trial:
    """Rows with their matrix; all moments, roles and labels are there to be chosen from."""

    rows: pl.DataFrame
    matrix: Matrix
    encoding: Encoding
    moments: Moments

    def choose(self, role: str, moments: Sequence[datetime], label: str) -> "Slice":
        """Choose the rows of a role at some moments whose label is known."""
        is_chosen = (
            (self.rows[ROLE] == role)
            & self.rows[s.INDEX_TIME].is_in(list(moments))
            & self.rows[label].is_not_null()
        )
        rows = self.rows.filter(is_chosen)
        return Slice(
            matrix=self.matrix,
            places=np.flatnonzero(is_chosen),
            outcome=rows[label].to_numpy(),
            past_events=rows[OUTCOME_EVENTS].to_numpy().astype(np.float64),
            persons=rows[s.PERSON_ID],
        )

    def keep_features(self, keep: Callable[[Feature], bool]) -> "Trial":
        """Keep some features of the matrix."""
        kept = [place for place, feature in enumerate(self.encoding.features) if keep(feature)]
        features = tuple(self.encoding.features[place] for place in kept)
        return replace(
            self,
            matrix=_Columns(self.matrix, np.array(kept, dtype=np.intp)),
            encoding=replace(self.encoding, features=features),
        )


@dataclass(frozen=True)
class _Columns:
    """Some columns of a matrix, copied only with the rows that are asked for."""

    matrix: Matrix
    columns: np.ndarray

    def __getitem__(self, places: np.ndarray) -> Matrix:
        return np.ascontiguousarray(self.matrix[places][:, self.columns])


def describe_rows(trial: Trial) -> dict[str, Any]:
    """Describe the rows of the start."""
    fit = trial.choose("fit", trial.moments.train[:5], FREQUENT_ADMISSION.name)
    return {
        "fit_rows": len(fit.places),
        "fit_persons": fit.persons.n_unique(),
        "fit_events": int(fit.outcome.sum()),
        "train": [moment.date().isoformat() for moment in trial.moments.train],
        "later": [moment.date().isoformat() for moment in trial.moments.later],
    }


def list_moments(histories: Histories, config: TrainConfig) -> Moments:
    """List the moments from the configuration's own: its calibration's, and back from there."""
    (later,) = config.build_time_split(histories.follow_up_end().collect().item()).calibrate
    spacing = timedelta(days=config.times.train_spacing_days)
    last = later - config.build_targets()[0].horizon.length
    return Moments(
        tuple(last - step * spacing for step in range(TRAIN_MOMENTS)),
        tuple(later - step * spacing for step in range(LATER_MOMENTS)),
    )


def prepare_rows(store: Path, config: TrainConfig, share: float, folder: Path) -> Trial:
    """Prepare the rows of a share of the persons; their matrix lies in a file of the folder."""
    histories = read_histories(store)
    moments, targets = list_moments(histories, config), config.build_targets()
    roles = {"fit": moments.train, "stop": moments.train + moments.later, "calibrate": moments.later[:1]}
    taken = [
        _take(histories, config, moment, [role for role in roles if moment in roles[role]], share)
        for moment in moments.train + moments.later
    ]
    encoding = learn_categories(histories, taken, config.build_features(), config.build_lags())
    sample = build_sample(histories, taken, encoding, config.build_lags())
    file = folder / "matrix.npy"
    np.save(file, sample.matrix)
    rows = sample.rows.rename({f"outcome:{target.name}": target.name for target in targets})
    del sample
    return Trial(rows, np.load(file, mmap_mode="r"), encoding, moments)


def _take(
    histories: Histories, config: TrainConfig, moment: datetime, roles: list[str], share: float
) -> Snapshot:
    cohort = make_cohort(histories, [moment], **config.cohort.model_dump())
    grows = (pl.col(ROLE) != "fit") | (hash_person("share") < share * 2**32)
    is_taken = grows & pl.col(ROLE).is_in(roles)
    chosen = add_role(cohort.rows, config.build_person_split()).filter(is_taken).collect()
    rows = label_rows(histories, chosen, config.build_targets(), config.build_lags())
    return Snapshot(
        moment, cohort.attrition.collect(), rows.with_columns(_count(histories, chosen, FREQUENT_ADMISSION))
    )


def _count(histories: Histories, rows: pl.DataFrame, target: Target) -> pl.Series:
    """Count the events in the horizon; null where the outcome is not known."""
    told = label_outcomes(histories, rows, target).collect()
    known = pl.when(pl.col("outcome").is_not_null()).then(pl.col(OUTCOME_EVENTS).cast(pl.Float64))
    return told.select(known.alias(COUNT)).to_series()
