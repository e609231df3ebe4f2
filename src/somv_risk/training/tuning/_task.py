"""The task of every trial: rows that were prepared and binned once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.progress import Progress
from somv_risk.cohort.cohort import make_cohort
from somv_risk.cohort.splits import ROLE, add_role
from somv_risk.errors import CohortError
from somv_risk.model.calibration import compute_log_losses, cross_validate
from somv_risk.model.matrix import Encoding
from somv_risk.model.model import load_trees
from somv_risk.registers.histories import Histories
from somv_risk.training.config import TrainConfig
from somv_risk.training.fit import (
    Slice,
    TreeSettings,
    bin_slices,
    check_slices,
    grow_trees,
    translate_refusals,
)
from somv_risk.training.rows import Snapshot, build_sample, label_rows, learn_categories
from somv_risk.training.steps import PARTS
from somv_risk.trees.lightgbm import lightgbm

_PARTS: Final = ("train", "calibrate")  # the test part has no say


@dataclass(frozen=True, slots=True)
class Task:
    """Rows binned once: those that grow trees, those that say when to stop, and those that judge."""

    encoding: Encoding
    settings: TreeSettings
    data: lightgbm.Dataset
    watched: lightgbm.Dataset
    later: Slice

    def judge(self, parameters: Mapping[str, Any]) -> tuple[float, int]:
        """Grow trees and return their loss on the later persons, and how many there are."""
        settings = replace(self.settings, parameters={**self.settings.parameters, **parameters})
        with translate_refusals():
            booster = load_trees(grow_trees(self.encoding, self.data, self.watched, settings))
        raw = np.asarray(booster.predict(self.later.copy_rows(), raw_score=True), dtype=np.float64)
        return _measure_loss(raw, self.later), booster.num_trees()


def prepare_task(histories: Histories, settings: TrainConfig, progress: Progress) -> Task:
    """Prepare the rows of the main target once, without those of the test part."""
    target, lags = settings.build_targets()[0], settings.build_lags()
    snapshots = _take_snapshots(histories, settings, progress)
    encoding = learn_categories(histories, snapshots["train"], settings.build_features(), lags)
    slices: dict[str, Slice] = {}
    for done, part in enumerate(_PARTS):
        progress("building features", done, len(_PARTS))
        sample = build_sample(histories, snapshots[part], encoding, lags)
        slices |= {role: sample.take_slice(role, target) for role in PARTS[part]}
    progress("building features", len(_PARTS), len(_PARTS))
    check_slices(target, slices)
    grown = settings.build_tree_settings()
    with translate_refusals():
        data, watched = bin_slices(encoding, slices["fit"], slices["stop"], grown)
    return Task(encoding, grown, data, watched, slices["calibrate"])


def _take_snapshots(
    histories: Histories, settings: TrainConfig, progress: Progress
) -> dict[str, list[Snapshot]]:
    data_end = histories.follow_up_end().collect().item()
    if data_end is None:
        raise CohortError("There are no hospital contacts to learn from. Deliver table admissions with rows.")
    times = settings.build_time_split(data_end)
    planned = [(part, moment) for part in _PARTS for moment in getattr(times, part)]
    snapshots: dict[str, list[Snapshot]] = {part: [] for part in _PARTS}
    for done, (part, moment) in enumerate(planned):
        progress("labelling outcomes", done, len(planned))
        cohort = make_cohort(histories, [moment], **settings.cohort.model_dump())
        with_role = add_role(cohort.rows, settings.build_person_split())
        chosen = with_role.filter(pl.col(ROLE).is_in(PARTS[part])).collect()
        rows = label_rows(histories, chosen, settings.build_targets()[:1], settings.build_lags())
        snapshots[part].append(Snapshot(moment, cohort.attrition.collect(), rows))
    progress("labelling outcomes", len(planned), len(planned))
    return snapshots


def _measure_loss(raw: npt.NDArray[np.float64], later: Slice) -> float:
    """Measure the log loss; where no line rises, that of giving everybody the same risk."""
    losses = cross_validate("platt", raw, later.outcome, later.persons)
    if losses is None:
        losses = compute_log_losses(later.outcome, np.full(len(raw), later.outcome.mean()))
    return float(losses.mean())
