"""Crossing: a model trained on few events by cross-validation over persons, from rows to facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.splits import ROLE, ROLES
from somv_risk.model.matrix import Encoding
from somv_risk.model.model import CROSS, RiskModel
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.training.config import TrainConfig
from somv_risk.training.events import IN_FOLDS, Events, count_events, describe_events
from somv_risk.training.folds import DRAWS, INNER_FOLDS, OUTER_FOLDS, Crossed, cross_validate_head
from somv_risk.training.reference import add_reference, build_reference
from somv_risk.training.rows import Sample, Snapshot, build_sample, learn_categories
from somv_risk.training.steps import (
    YEAR,
    add_card,
    assemble_model,
    choose_cohort,
    find_data_end,
    find_data_start,
    fit_each,
    keep_targets,
    state_facts,
    take_snapshot,
    tell_short_history,
    warn_of,
)

ROW: str = ROLES[0]  # of every row: all persons grow trees
MORE_IN_FOLDS = "Add persons or index times (times.train_moments), or lower min_count of the target."


@dataclass(frozen=True, slots=True)
class _Everybody:
    """All eligible persons at all index moments, the targets with events enough, and their features."""

    settings: TrainConfig
    moments: tuple[datetime, ...]
    targets: tuple[Target, ...]
    events: Sequence[Events]
    snapshots: Sequence[Snapshot]
    encoding: Encoding
    sample: Sample


def train_crossed(
    histories: Histories,
    settings: TrainConfig,
    *,
    note: str | None = None,
    progress: Progress = ignore_progress,
) -> RiskModel:
    """Train a model on everybody, and measure it by folds of persons.

    Parameters
    ----------
    note
        Why it is done this way, if that was not asked for.

    Raises
    ------
    CohortError
        If too few persons have the outcome of the first target.

    Warns
    -----
    TrainingWarning
        Of the note, of targets that are left out, and of a history of less than a year.
    """
    everybody, notes = _gather(histories, settings, progress)
    notes = [*([note] if note else []), *notes]
    warn_of(notes)
    fitted, failed = fit_each(everybody.targets, partial(_cross, everybody), progress)
    warn_of(failed)
    facts = state_facts(histories, settings, everybody.snapshots) | _state_crossing(
        everybody, [*notes, *failed]
    )
    heads = {name: one.head for name, one in fitted.items()}
    model = assemble_model(settings, everybody.encoding, heads, facts)
    measured = add_card(model, [row for one in fitted.values() for row in one.measure(settings.seed)])
    return add_reference(measured, _describe_reference(histories, everybody))


def _gather(histories: Histories, settings: TrainConfig, progress: Progress) -> tuple[_Everybody, list[str]]:
    """Gather all rows and their features, and tell what is otherwise than asked."""
    moments, notes = _choose_moments(histories, settings)
    snapshots = []
    for done, moment in enumerate(moments):
        progress("labelling outcomes", done, len(moments))
        cohort = choose_cohort(histories, settings, moment).rows.collect()
        rows = cohort.with_columns(pl.lit(ROW, pl.Enum(ROLES)).alias(ROLE))
        snapshots.append(take_snapshot(histories, settings, moment, rows))
    progress("labelling outcomes", len(moments), len(moments))
    events = count_events(snapshots, settings.build_targets(), IN_FOLDS)
    targets, left_out = keep_targets(settings.build_targets(), events, MORE_IN_FOLDS)
    lags = settings.build_lags()
    progress("building features", 0, 1)
    encoding = learn_categories(histories, snapshots, settings.build_features(), lags)
    sample = build_sample(histories, snapshots, encoding, lags)
    progress("building features", 1, 1)
    everybody = _Everybody(settings, moments, targets, events, snapshots, encoding, sample)
    return everybody, [*notes, *left_out]


def _choose_moments(histories: Histories, settings: TrainConfig) -> tuple[tuple[datetime, ...], list[str]]:
    """Choose the moments; those of less than a year of history are left out, if any other is left."""
    moments = settings.build_moments(find_data_end(histories))
    start = find_data_start(histories)
    late = tuple(moment for moment in moments if moment - YEAR >= start)
    if len(late) == len(moments):
        return moments, []
    if settings.times.names_any or not late:
        return moments, [tell_short_history(moments, start)]
    early = f"{len(moments) - len(late)} of {len(moments)} index moments"
    return late, [f"{early} lie less than a year after the data start, {start:%Y-%m-%d}: left out."]


def _cross(everybody: _Everybody, target: Target) -> Crossed:
    return cross_validate_head(
        target,
        everybody.encoding,
        everybody.sample.take_slice(ROW, target),
        everybody.settings.build_tree_settings(),
    )


def _state_crossing(everybody: _Everybody, notes: Sequence[str]) -> dict[str, Any]:
    """State how it was validated; all moments serve every purpose."""
    moments = [moment.isoformat() for moment in everybody.moments]
    return {
        "index_times": dict.fromkeys(("train", "calibrate", "test"), moments),
        "validation": {
            "kind": CROSS,
            "folds": OUTER_FOLDS,
            "inner_folds": INNER_FOLDS,
            "draws": DRAWS,
            "is_time_held_out": False,
        },
        "events": describe_events(everybody.events, (target.name for target in everybody.targets)),
        "notes": list(notes),
    }


def _describe_reference(histories: Histories, everybody: _Everybody) -> dict[str, Any]:
    """Describe the persons of the last moment, for later scorings to be compared with."""
    sample, last = everybody.sample, everybody.snapshots[-1]
    places = np.flatnonzero((sample.rows[s.INDEX_TIME] == last.index_time).to_numpy())
    latest = Sample(sample.rows[places], sample.matrix[places])
    lags = everybody.settings.build_lags()
    return build_reference(histories, lags, everybody.encoding, [last], latest)
