"""The steps of a training: choose persons, build their features, fit, measure and describe."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import polars as pl

from somv_risk.calls.libraries import list_libraries
from somv_risk.calls.notices import give_notice
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.cohort.asof import Lags
from somv_risk.cohort.cohort import Cohort, make_cohort
from somv_risk.cohort.outcomes import Target
from somv_risk.cohort.splits import ROLE, TimeSplit, add_role
from somv_risk.errors import CohortError, InputError, TrainingWarning
from somv_risk.metrics.metrics import compute_expected_ratio, compute_metrics
from somv_risk.model.matrix import Encoding
from somv_risk.model.model import Head, RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.report.card import render_card
from somv_risk.training.config import TrainConfig, parse_config, read_config
from somv_risk.training.events import (
    IN_TIME,
    Events,
    count_events,
    describe_events,
    tell_shortage,
)
from somv_risk.training.fit import Slice, fit_head
from somv_risk.training.reference import build_reference
from somv_risk.training.rows import Sample, Snapshot, build_sample, label_rows, learn_categories

Fitted = TypeVar("Fitted")

YEAR: Final = timedelta(days=365)
MORE_IN_TIME: Final = (
    'Set validation = "cross" (or "auto"), add persons or index times, or lower min_count of the target.'
)
PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"train": ("fit",), "calibrate": ("stop", "calibrate"), "test": ("test",)}
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who was chosen when, and what became of them: all that is known before any feature is built.

    `snapshots` are by part (train, calibrate, test). `notes` say what is otherwise than asked.
    """

    settings: TrainConfig
    times: TimeSplit
    data_end: datetime
    snapshots: Mapping[str, Sequence[Snapshot]]
    events: Sequence[Events]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a model is fitted to: who was chosen when, what became of them, and their features.

    `snapshots` and `samples` are by part (train, calibrate, test). `targets` are those with events enough.
    `facts` are the model's facts as far as they are known before it is fitted.
    """

    settings: TrainConfig
    times: TimeSplit
    data_end: datetime
    targets: tuple[Target, ...]
    snapshots: Mapping[str, Sequence[Snapshot]]
    encoding: Encoding
    samples: Mapping[str, Sample]
    facts: Mapping[str, Any]


def warn_of(notes: Iterable[str]) -> None:
    """Warn of what is otherwise than asked."""
    for note in notes:
        give_notice(note, TrainingWarning)


def keep_tables(histories: Histories, settings: TrainConfig) -> Histories:
    """Keep the tables that a configuration names; all where it names none.

    Raises
    ------
    InputError
        If one of them is not there.
    """
    missing = [table for table in settings.tables if table not in histories.tables]
    if missing:
        raise InputError(
            f"Table {', '.join(missing)} is named to learn from and is not there. Deliver it, or name others."
        )
    return histories.keep_tables(settings.tables) if settings.tables else histories


def describe_reference(histories: Histories, prepared: Prepared) -> dict[str, Any]:
    """Describe the persons and the period of the calibration, for later scorings to be compared with."""
    lags, part = prepared.settings.build_lags(), "calibrate"
    return build_reference(
        histories, lags, prepared.encoding, prepared.snapshots[part], prepared.samples[part]
    )


def prepare(histories: Histories, settings: TrainConfig, progress: Progress = ignore_progress) -> Prepared:
    """Do all that comes before the trees of a model that is split in time.

    Raises
    ------
    ConfigError
        If the index times are unsound.
    CohortError
        If there are no hospital contacts, or too few persons have the outcome of the first target.
    """
    return build(histories, choose(histories, settings, progress), progress)


def choose(histories: Histories, settings: TrainConfig, progress: Progress = ignore_progress) -> Chosen:
    """Choose persons and moments, label outcomes and count events: what is quick, and decides the others.

    Raises
    ------
    ConfigError
        If the index times are unsound.
    CohortError
        If there are no hospital contacts.
    """
    data_end = find_data_end(histories)
    times, notes = keep_informed(histories, settings, settings.build_time_split(data_end))
    snapshots = _take_snapshots(histories, settings, times, progress)
    everything = [one for taken in snapshots.values() for one in taken]
    events = count_events(everything, settings.build_targets(), IN_TIME)
    return Chosen(settings, times, data_end, snapshots, events, notes)


def build(histories: Histories, chosen: Chosen, progress: Progress = ignore_progress) -> Prepared:
    """Build the features of those chosen, if there are events enough.

    Raises
    ------
    CohortError
        If too few persons have the outcome of the first target.
    """
    settings, snapshots, lags = chosen.settings, chosen.snapshots, chosen.settings.build_lags()
    targets, left_out = keep_targets(settings.build_targets(), chosen.events, MORE_IN_TIME)
    encoding = learn_categories(histories, snapshots["train"], settings.build_features(), lags)
    facts = state_facts(histories, settings, [one for taken in snapshots.values() for one in taken])
    return Prepared(
        settings=settings,
        times=chosen.times,
        data_end=chosen.data_end,
        targets=targets,
        snapshots=snapshots,
        encoding=encoding,
        samples=_build_samples(histories, snapshots, encoding, lags, progress),
        facts=MappingProxyType(
            facts
            | {
                "index_times": {
                    part: [moment.isoformat() for moment in getattr(chosen.times, part)] for part in PARTS
                },
                "validation": {"kind": "time"},
                "events": describe_events(chosen.events, (target.name for target in targets)),
                "notes": [*chosen.notes, *left_out],
            }
        ),
    )


def keep_targets(
    targets: Sequence[Target], events: Sequence[Events], cure: str
) -> tuple[tuple[Target, ...], list[str]]:
    """Keep the targets with events enough, and tell of the others.

    Raises
    ------
    CohortError
        If the first has too few, by which persons are ranked.
    """
    told = {target: tell_shortage(events, target) for target in targets}
    if shortage := told[targets[0]]:
        raise CohortError(f"{shortage} {cure}")
    left_out = [f"{shortage} It is left out." for shortage in told.values() if shortage]
    return tuple(target for target in targets if not told[target]), left_out


def keep_informed(
    histories: Histories, settings: TrainConfig, times: TimeSplit
) -> tuple[TimeSplit, tuple[str, ...]]:
    """Leave out training moments with less than a year of history, if they were not asked for by name."""
    start = find_data_start(histories)
    late = tuple(moment for moment in times.train if moment - YEAR >= start)
    if len(late) == len(times.train):
        return times, ()
    if settings.times.train or not late:
        return times, (tell_short_history(times.train, start),)
    early = ", ".join(f"{moment:%Y-%m-%d}" for moment in times.train if moment not in late)
    note = f"Training moments {early} lie less than a year after the data start, {start:%Y-%m-%d}: left out."
    return replace(times, train=late), (note,)


def tell_short_history(moments: Sequence[datetime], start: datetime) -> str:
    """Tell that the first moment has less than a year of history, though windows look further back."""
    first = min(moments)
    return (
        f"The first training moment, {first:%Y-%m-%d}, lies {(first - start).days} days after the data "
        f"start, {start:%Y-%m-%d}: with less than a year of history, counts of earlier years are too small. "
        "Give later times.train, or older data."
    )


def fit_model(prepared: Prepared, *, progress: Progress = ignore_progress) -> RiskModel:
    """Fit a model to what was prepared, and measure it beside its references on the test part.

    Raises
    ------
    CohortError
        If scores of the first target do not rise with the outcome.

    Warns
    -----
    TrainingWarning
        If another target cannot be fitted, and is left out.
    """
    targets, settings = prepared.targets, prepared.settings.build_tree_settings()

    def fit(target: Target) -> Head:
        return fit_head(target, prepared.encoding, take_slices(prepared, target), settings)

    heads, notes = fit_each(targets, fit, progress)
    warn_of(notes)
    facts = {**prepared.facts, "notes": [*prepared.facts["notes"], *notes]}
    model = assemble_model(prepared.settings, prepared.encoding, heads, facts)
    return _add_metrics(model, prepared.samples["test"])


def fit_each(
    targets: Sequence[Target], fit: Callable[[Target], Fitted], progress: Progress
) -> tuple[dict[str, Fitted], list[str]]:
    """Fit each target, and tell of those that cannot be fitted.

    Raises
    ------
    CohortError
        If the first cannot be, by which persons are ranked.
    """
    fitted: dict[str, Fitted] = {}
    notes: list[str] = []
    for done, target in enumerate(targets):
        progress("growing trees", done, len(targets))
        try:
            fitted[target.name] = fit(target)
        except CohortError as error:
            if target is targets[0]:
                raise
            notes.append(f"Target {target.name} cannot be fitted and is left out: {error}")
    progress("growing trees", len(targets), len(targets))
    return fitted, notes


def take_slices(prepared: Prepared, target: Target) -> dict[str, Slice]:
    """Take the slices that a head is fitted to, by role; that of the test persons is not among them."""
    return {
        role: prepared.samples[part].take_slice(role, target)
        for part, roles in PARTS.items()
        for role in roles
        if part != "test"
    }


def assemble_model(
    settings: TrainConfig, encoding: Encoding, heads: Mapping[str, Head], facts: Mapping[str, Any]
) -> RiskModel:
    """Put fitted heads together as a model that has not been measured yet."""
    return RiskModel(
        encoding=encoding,
        lags=settings.build_lags(),
        eligibility=settings.build_eligibility(),
        heads=MappingProxyType(dict(heads)),
        facts=MappingProxyType(dict(facts)),
    )


def resolve_config(config: TrainConfig | Mapping[str, Any] | str | Path | None) -> TrainConfig:
    """Return the configuration that a path, plain data or nothing stands for."""
    if config is None:
        return TrainConfig()
    if isinstance(config, TrainConfig):
        return config
    return parse_config(dict(config)) if isinstance(config, Mapping) else read_config(config)


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


def find_data_start(histories: Histories) -> datetime:
    """Find the moment from which events are complete; the end of time where there are none."""
    start: datetime | None = histories.follow_up_start().collect().item()
    return datetime.max if start is None else start


def _take_snapshots(
    histories: Histories, settings: TrainConfig, times: TimeSplit, progress: Progress
) -> dict[str, list[Snapshot]]:
    planned = [(part, moment) for part in PARTS for moment in getattr(times, part)]
    snapshots: dict[str, list[Snapshot]] = {part: [] for part in PARTS}
    for done, (part, moment) in enumerate(planned):
        progress("labelling outcomes", done, len(planned))
        rows = add_role(choose_cohort(histories, settings, moment).rows, settings.build_person_split())
        chosen = rows.filter(pl.col(ROLE).is_in(PARTS[part])).collect()
        snapshots[part].append(take_snapshot(histories, settings, moment, chosen))
    progress("labelling outcomes", len(planned), len(planned))
    return snapshots


def choose_cohort(histories: Histories, settings: TrainConfig, index_time: datetime) -> Cohort:
    """Choose who is eligible at one index moment."""
    return make_cohort(histories, [index_time], **settings.cohort.model_dump())


def take_snapshot(
    histories: Histories, settings: TrainConfig, index_time: datetime, chosen: pl.DataFrame
) -> Snapshot:
    """Take one index moment at a time, so that memory holds one join and not all of them."""
    attrition = choose_cohort(histories, settings, index_time).attrition.collect()
    rows = label_rows(histories, chosen, settings.build_targets(), settings.build_lags())
    return Snapshot(index_time, attrition, rows)


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
    return add_card(model, metrics)


def add_card(model: RiskModel, metrics: Sequence[Mapping[str, Any]]) -> RiskModel:
    """Add metrics, how each calibration was chosen, and the card that says all of it."""
    chosen = {name: head.calibration.state_choice() for name, head in model.heads.items()}
    facts = dict(model.facts) | {"metrics": [dict(row) for row in metrics], "calibration": chosen}
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


def state_facts(histories: Histories, settings: TrainConfig, snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """State what is known before a model is fitted, however it is validated."""
    counts = {table: frame.select(pl.len()).collect().item() for table, frame in histories.tables.items()}
    return {
        "tables": list(histories.tables),
        "rows": counts,
        "data_end": find_data_end(histories).isoformat(),
        "data_hash": fingerprint(histories),
        "quarantine": histories.quarantine.summary().to_dicts(),
        "dropped": histories.dropped.to_dicts(),
        "attrition": [step for one in snapshots for step in one.describe_attrition()],
        "config": settings.model_dump(mode="json"),
        "libraries": list_libraries(),
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
