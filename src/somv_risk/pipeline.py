"""The pipeline: from histories and a configuration to a trained, measured model."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from somv_risk.asof import Lags
from somv_risk.cohort import make_cohort
from somv_risk.config import TrainConfig, parse_config, read_config
from somv_risk.errors import CohortError
from somv_risk.evaluation.metrics import compute_expected_ratio, compute_metrics
from somv_risk.histories import Histories
from somv_risk.matrix import Encoding
from somv_risk.model import Head, RiskModel
from somv_risk.monitoring import add_reference, build_reference
from somv_risk.notes import warn_of_bounds
from somv_risk.notices import one_call
from somv_risk.outcomes import Target
from somv_risk.report.card import render_card
from somv_risk.samples import Sample, Snapshot, build_sample, label_rows, learn_categories
from somv_risk.soundness import warn_of_quarantine
from somv_risk.splits import ROLE, TimeSplit, add_role
from somv_risk.training import Slice, fit_head

Progress = Callable[[str, int, int], None]

LIBRARIES: Final = ("somv-risk", "polars", "lightgbm", "scikit-learn", "numpy")
PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"train": ("fit",), "calibrate": ("stop", "calibrate"), "test": ("test",)}
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a model is fitted to: who was chosen when, what became of them, and their features.

    `snapshots` and `samples` are by part (train, calibrate, test). `facts` are the model's facts as far as
    they are known before it is fitted.
    """

    settings: TrainConfig
    times: TimeSplit
    data_end: datetime
    snapshots: Mapping[str, Sequence[Snapshot]]
    encoding: Encoding
    samples: Mapping[str, Sample]
    facts: Mapping[str, Any]


def ignore_progress(step: str, done: int, total: int) -> None:
    """Tell nobody how far the work has come."""


@one_call()
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

    Warns
    -----
    QuarantineWarning
        If more than 1 % of a table was set aside.
    ImplausibleDataWarning
        If outcomes hold contacts without an end, or events after a death, within bounds.
    """
    warn_of_quarantine(histories)
    warn_of_bounds(histories)
    prepared = prepare(histories, resolve_config(config), progress)
    return add_reference(fit_model(prepared, progress=progress), describe_reference(histories, prepared))


def describe_reference(histories: Histories, prepared: Prepared) -> dict[str, Any]:
    """Describe the persons and the period of the calibration, for later scorings to be compared with."""
    lags, part = prepared.settings.build_lags(), "calibrate"
    return build_reference(
        histories, lags, prepared.encoding, prepared.snapshots[part], prepared.samples[part]
    )


def prepare(histories: Histories, settings: TrainConfig, progress: Progress = ignore_progress) -> Prepared:
    """Do all that comes before the trees: choose persons, label their outcomes, build their features.

    Raises
    ------
    ConfigError
        If the index times are unsound.
    CohortError
        If there are no hospital contacts.
    """
    data_end = find_data_end(histories)
    times, lags = settings.build_time_split(data_end), settings.build_lags()
    snapshots = _take_snapshots(histories, settings, times, progress)
    encoding = learn_categories(histories, snapshots["train"], settings.build_features(), lags)
    return Prepared(
        settings=settings,
        times=times,
        data_end=data_end,
        snapshots=snapshots,
        encoding=encoding,
        samples=_build_samples(histories, snapshots, encoding, lags, progress),
        facts=MappingProxyType(_state_facts(histories, settings, times, data_end, snapshots)),
    )


def fit_model(prepared: Prepared, *, progress: Progress = ignore_progress) -> RiskModel:
    """Fit a model to what was prepared, and measure it beside its references on the test part.

    Raises
    ------
    CohortError
        If too few persons or events are left for a part.
    """
    targets, settings = prepared.settings.build_targets(), prepared.settings.build_tree_settings()
    heads: dict[str, Head] = {}
    for target in targets:
        progress("growing trees", len(heads), len(targets))
        heads[target.name] = fit_head(target, prepared.encoding, take_slices(prepared, target), settings)
    progress("growing trees", len(targets), len(targets))
    return _add_metrics(assemble_model(prepared, heads), prepared.samples["test"])


def take_slices(prepared: Prepared, target: Target) -> dict[str, Slice]:
    """Take the slices that a head is fitted to, by role; that of the test persons is not among them."""
    return {
        role: prepared.samples[part].take_slice(role, target)
        for part, roles in PARTS.items()
        for role in roles
        if part != "test"
    }


def assemble_model(prepared: Prepared, heads: Mapping[str, Head]) -> RiskModel:
    """Put fitted heads together as a model that has not been measured yet."""
    return RiskModel(
        encoding=prepared.encoding,
        lags=prepared.settings.build_lags(),
        eligibility=prepared.settings.build_eligibility(),
        heads=MappingProxyType(dict(heads)),
        facts=prepared.facts,
    )


def resolve_config(config: TrainConfig | Mapping[str, Any] | str | Path | None) -> TrainConfig:
    """Return the configuration that a path, plain data or nothing stands for."""
    if config is None:
        return TrainConfig()
    if isinstance(config, TrainConfig):
        return config
    return read_config(config) if isinstance(config, str | Path) else parse_config(dict(config))


def find_data_end(histories: Histories) -> datetime:
    """Find the moment until which events are complete.

    Raises
    ------
    CohortError
        If there are no hospital contacts.
    """
    data_end: datetime | None = histories.follow_up_end().collect().item()
    if data_end is None:
        raise CohortError("There are no hospital contacts to learn from. Deliver table admissions with rows.")
    return data_end


def _take_snapshots(
    histories: Histories, settings: TrainConfig, times: TimeSplit, progress: Progress
) -> dict[str, list[Snapshot]]:
    planned = [(part, moment) for part in PARTS for moment in getattr(times, part)]
    snapshots: dict[str, list[Snapshot]] = {part: [] for part in PARTS}
    for done, (part, moment) in enumerate(planned):
        progress("labelling outcomes", done, len(planned))
        snapshots[part].append(_take_snapshot(histories, settings, PARTS[part], moment))
    progress("labelling outcomes", len(planned), len(planned))
    return snapshots


def _take_snapshot(
    histories: Histories, settings: TrainConfig, roles: tuple[str, ...], index_time: datetime
) -> Snapshot:
    """Take one index moment at a time, so that memory holds one join and not all of them."""
    cohort = make_cohort(histories, [index_time], **settings.cohort.model_dump())
    chosen = add_role(cohort.rows, settings.build_person_split()).filter(pl.col(ROLE).is_in(roles)).collect()
    rows = label_rows(histories, chosen, settings.build_targets(), settings.build_lags())
    return Snapshot(index_time, cohort.attrition.collect(), rows)


def _build_samples(
    histories: Histories,
    snapshots: Mapping[str, Sequence[Snapshot]],
    encoding: Encoding,
    lags: Lags,
    progress: Progress,
) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for part, taken in snapshots.items():
        progress("building features", len(samples), len(snapshots))
        samples[part] = build_sample(histories, taken, encoding, lags)
    progress("building features", len(samples), len(snapshots))
    return samples


def _add_metrics(model: RiskModel, test: Sample) -> RiskModel:
    metrics = [row for head in model.heads.values() for row in _measure_head(head, model.encoding, test)]
    chosen = {name: head.calibration.state_choice() for name, head in model.heads.items()}
    facts = dict(model.facts) | {"metrics": metrics, "calibration": chosen}
    return replace(model, facts=MappingProxyType(facts | {"card": render_card(replace(model, facts=facts))}))


def _measure_head(head: Head, encoding: Encoding, test: Sample) -> list[dict[str, Any]]:
    """Measure the model beside its references on persons and a period that trained neither."""
    part = test.take_slice("test", head.target)
    matrix = part.copy_rows()
    risk = head.predict_risk(matrix)
    scores = {
        "model": risk,
        "penalised_logistic": head.logistic.predict_raw(encoding, matrix),
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
    snapshots: Mapping[str, Sequence[Snapshot]],
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
            step for taken in snapshots.values() for one in taken for step in one.describe_attrition()
        ],
        "config": settings.model_dump(mode="json"),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def fingerprint(histories: Histories) -> str:
    """Compute a hash of all rows of all tables that does not depend on their order.

    It is a fingerprint to tell deliveries apart, not a proof against forgery.
    """
    digest = hashlib.sha256()
    for table, total in hash_tables(histories).items():
        digest.update(f"{table}:{total}".encode())
    return digest.hexdigest()


def hash_tables(histories: Histories) -> dict[str, str]:
    """Compute, of each table, the sum of the hashes of its rows: it does not depend on their order."""
    row = pl.struct(pl.all()).hash(seed=0).reinterpret(signed=False).cast(pl.Int128)
    return {table: str(frame.select(row.sum()).collect().item()) for table, frame in histories.tables.items()}
