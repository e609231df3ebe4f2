"""The pipeline: from histories and a configuration to a trained, measured model."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl

from somv_risk.cohort import make_cohort
from somv_risk.config import TrainConfig, parse_config, read_config
from somv_risk.errors import CohortError
from somv_risk.evaluation.metrics import compute_expected_ratio, compute_metrics
from somv_risk.features import build_features
from somv_risk.histories import Histories
from somv_risk.matrix import Encoding, learn_encoding
from somv_risk.model import Head, RiskModel
from somv_risk.outcomes import (
    FREQUENT_ADMISSION,
    OUTCOME,
    OUTCOME_EVENTS,
    Target,
    count_past_events,
    label_outcomes,
)
from somv_risk.report.card import render_card
from somv_risk.splits import ROLE, TimeSplit, add_role
from somv_risk.training import Slice, fit_head

Progress = Callable[[str, int, int], None]

LIBRARIES: Final = ("somv-risk", "polars", "lightgbm", "scikit-learn", "numpy")
PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"train": ("fit", "stop"), "calibrate": ("calibrate",), "test": ("test",)}
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One index moment of one part: the features of its persons, their role, and each target's outcome."""

    index_time: datetime
    attrition: pl.DataFrame
    rows: pl.DataFrame


def ignore_progress(step: str, done: int, total: int) -> None:
    """Tell nobody how far the work has come."""


def train(
    histories: Histories,
    config: TrainConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    progress: Progress = ignore_progress,
) -> RiskModel:
    """Train a model: grow on some persons, calibrate on others a horizon later, test on others still later.

    Parameters
    ----------
    config
        Path of a TOML file, its content, or a `TrainConfig`; the defaults where None.
    progress
        Called with the step, how much of it is done, and its total.

    Returns
    -------
    A model that carries its features, calibration, references and the metrics of all three on the
    test part.

    Raises
    ------
    ConfigError, SourceError
        If the configuration is unsound or unreadable.
    CohortError
        If too few persons or events are left for a part.
    """
    settings = resolve_config(config)
    targets, features = settings.build_targets(), settings.build_features()
    data_end = _find_data_end(histories)
    times = settings.build_time_split(data_end)
    parts = _build_parts(histories, settings, times, progress)
    encoding = learn_encoding(features, [snapshot.rows for snapshot in parts["train"]])
    heads: dict[str, Head] = {}
    for target in targets:
        progress("growing trees", len(heads), len(targets))
        heads[target.name] = _fit(target, encoding, parts, settings)
    progress("growing trees", len(targets), len(targets))
    model = RiskModel(
        encoding=encoding,
        lags=settings.build_lags(),
        eligibility=settings.build_eligibility(),
        heads=MappingProxyType(heads),
        facts=MappingProxyType(_state_facts(histories, settings, times, data_end, parts)),
    )
    return _add_metrics(model, parts["test"])


def resolve_config(config: TrainConfig | Mapping[str, Any] | str | Path | None) -> TrainConfig:
    """Return the configuration that a path, plain data or nothing stands for."""
    if config is None:
        return TrainConfig()
    if isinstance(config, TrainConfig):
        return config
    return read_config(config) if isinstance(config, str | Path) else parse_config(dict(config))


def _find_data_end(histories: Histories) -> datetime:
    data_end: datetime | None = histories.follow_up_end().collect().item()
    if data_end is None:
        raise CohortError("There are no hospital contacts to learn from. Deliver table admissions with rows.")
    return data_end


def _build_parts(
    histories: Histories, settings: TrainConfig, times: TimeSplit, progress: Progress
) -> dict[str, list[Snapshot]]:
    planned = [(part, moment) for part in PARTS for moment in getattr(times, part)]
    parts: dict[str, list[Snapshot]] = {part: [] for part in PARTS}
    for done, (part, moment) in enumerate(planned):
        progress("building features", done, len(planned))
        parts[part].append(_build_snapshot(histories, settings, PARTS[part], moment))
    progress("building features", len(planned), len(planned))
    return parts


def _build_snapshot(
    histories: Histories, settings: TrainConfig, roles: tuple[str, ...], index_time: datetime
) -> Snapshot:
    """Build one index moment at a time, so that memory holds one join and not all of them."""
    cohort = make_cohort(histories, [index_time], **settings.cohort.model_dump())
    chosen = add_role(cohort.rows, settings.build_person_split()).filter(pl.col(ROLE).is_in(roles)).collect()
    features = build_features(histories, chosen, settings.build_features(), lags=settings.build_lags())
    labels = [
        label_outcomes(histories, chosen, target).select(pl.col(OUTCOME).alias(_label(target)))
        for target in settings.build_targets()
    ]
    past = count_past_events(histories, chosen, FREQUENT_ADMISSION, settings.build_lags()).select(
        OUTCOME_EVENTS
    )
    columns = pl.collect_all([chosen.lazy().select(ROLE), features, past, *labels])
    return Snapshot(index_time, cohort.attrition.collect(), pl.concat(columns, how="horizontal"))


def _label(target: Target) -> str:
    return f"{OUTCOME}:{target.name}"


def _take_slice(snapshots: Sequence[Snapshot], role: str, target: Target, encoding: Encoding) -> Slice:
    """Take the rows of one role with a known outcome."""
    label = _label(target)
    kept = [m.rows.filter(pl.col(ROLE) == role, pl.col(label).is_not_null()) for m in snapshots]
    return Slice(
        matrix=np.concatenate([encoding.to_matrix(rows) for rows in kept]),
        outcome=np.concatenate([rows[label].to_numpy().astype(np.bool_) for rows in kept]),
        past_events=np.concatenate([rows[OUTCOME_EVENTS].to_numpy().astype(np.float64) for rows in kept]),
    )


def _fit(
    target: Target, encoding: Encoding, parts: Mapping[str, list[Snapshot]], settings: TrainConfig
) -> Head:
    slices = {
        role: _take_slice(parts[part], role, target, encoding)
        for part, roles in PARTS.items()
        for role in roles
        if part != "test"
    }
    return fit_head(target, encoding, slices, settings.build_tree_settings())


def _add_metrics(model: RiskModel, test: list[Snapshot]) -> RiskModel:
    metrics = [row for head in model.heads.values() for row in _measure_head(head, model.encoding, test)]
    facts = dict(model.facts) | {"metrics": metrics}
    return replace(model, facts=MappingProxyType(facts | {"card": render_card(replace(model, facts=facts))}))


def _measure_head(head: Head, encoding: Encoding, test: list[Snapshot]) -> list[dict[str, Any]]:
    """Measure the model beside its references on persons and a period that trained neither."""
    part = _take_slice(test, "test", head.target, encoding)
    risk = head.predict_risk(part.matrix)
    scores = {
        "model": risk,
        "penalised_logistic": head.logistic.predict_raw(encoding, part.matrix),
        "count_last_year": part.past_events,
    }
    rows = [
        {"target": head.target.name, "ranking": name, **row}
        for name, score in scores.items()
        for row in compute_metrics(part.outcome, score).to_dicts()
    ]
    ratio = {"metric": "expected_over_observed", "value": compute_expected_ratio(part.outcome, risk)}
    return [*rows, {"target": head.target.name, "ranking": "model", **ratio}]


def _state_facts(
    histories: Histories,
    settings: TrainConfig,
    times: TimeSplit,
    data_end: datetime,
    parts: Mapping[str, list[Snapshot]],
) -> dict[str, Any]:
    counts = {table: frame.select(pl.len()).collect().item() for table, frame in histories.tables.items()}
    return {
        "tables": list(histories.tables),
        "rows": counts,
        "data_end": data_end.isoformat(),
        "data_hash": fingerprint(histories),
        "quarantine": histories.quarantine.summary().to_dicts(),
        "dropped": histories.dropped.to_dicts(),
        "index_times": {part: [moment.isoformat() for moment in getattr(times, part)] for part in PARTS},
        "attrition": [
            row for snapshots in parts.values() for snapshot in snapshots for row in _attrition_rows(snapshot)
        ],
        "config": settings.model_dump(mode="json"),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _attrition_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    labels = [name for name in snapshot.rows.columns if name.startswith(f"{OUTCOME}:")]
    known = [
        {
            "rule": f"{label.removeprefix(f'{OUTCOME}:')} is known (of the persons of this part)",
            "rows_before": snapshot.rows.height,
            "rows_after": snapshot.rows[label].count(),
        }
        for label in labels
    ]
    steps = [*snapshot.attrition.to_dicts(), *known]
    return [{"index_time": snapshot.index_time.isoformat(), **row} for row in steps]


def fingerprint(histories: Histories) -> str:
    """Compute a hash of all rows of all tables that does not depend on their order.

    It is a fingerprint to tell deliveries apart, not a proof against forgery.
    """
    digest = hashlib.sha256()
    for table, frame in histories.tables.items():
        total = frame.select(
            pl.struct(pl.all()).hash(seed=0).reinterpret(signed=False).cast(pl.Int128).sum()
        ).collect()
        digest.update(f"{table}:{total.item()}".encode())
    return digest.hexdigest()
