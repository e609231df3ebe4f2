"""Training: from histories and a configuration to a trained, measured model, in one call."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from somv_risk.calls.notices import one_call
from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.calls.repeatable import same_on_any_threads
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories, check_histories
from somv_risk.registers.soundness import warn_of_quarantine
from somv_risk.scoring.notes import warn_of_bounds
from somv_risk.training.config import TrainConfig
from somv_risk.training.crossing import train_crossed
from somv_risk.training.events import FEW_EVENTS, add_up
from somv_risk.training.reference import add_reference
from somv_risk.training.steps import (
    Chosen,
    build,
    choose,
    describe_reference,
    fit_model,
    keep_tables,
    resolve_config,
    warn_of,
)


@one_call()
@same_on_any_threads()
def train(
    histories: Histories,
    config: TrainConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    tables: Collection[str] | None = None,
    progress: Progress = ignore_progress,
) -> RiskModel:
    """Train a model, and measure it on persons who had no part in it.

    With events enough it grows on some persons, is calibrated on others a horizon later, and tested on others
    still later. With fewer it is cross-validated over persons, and then fitted to everybody: time is then
    not held out. `validation` of the configuration says which; by default the number of events does.

    Parameters
    ----------
    config
        Path of a TOML file, its content, or a `TrainConfig`; the defaults where None.
    tables
        Learn from these tables only, such as persons and admissions: features of others are left out, and
        the model needs no others. By default those that the configuration names, else all that are there.
    progress
        Called with the step, how much of it is done, and its total.

    Returns
    -------
    A model that carries its features, calibration, references and the metrics of all three.

    Raises
    ------
    ConfigError, SourceError
        If the configuration is unsound or unreadable.
    InputError
        If a table that is named is not there.
    CohortError
        If too few persons have the outcome of the first target.

    Warns
    -----
    TrainingWarning
        If another target has too few events and is left out, if time is not held out though that was not
        asked for, or if the first index moments have less than a year of history.
    QuarantineWarning
        If more than 1 % of a table was set aside.
    ImplausibleDataWarning
        If outcomes hold contacts without an end, or events after a death, within bounds.
    """
    check_histories(histories)
    settings = resolve_config(config).choose_tables(tables)
    used = keep_tables(histories, settings)
    settings.check()
    warn_of_quarantine(used)
    warn_of_bounds(used)
    if settings.validation == "cross":
        return train_crossed(used, settings, progress=progress)
    chosen = choose(used, settings, progress)
    if settings.validation == "auto" and (note := _tell_few(chosen)):
        return train_crossed(used, settings, note=note, progress=progress)
    prepared = build(used, chosen, progress)
    warn_of(prepared.facts["notes"])
    model = fit_model(prepared, progress=progress)
    return add_reference(model, describe_reference(used, prepared))


def _tell_few(chosen: Chosen) -> str | None:
    """Tell that the main target has so few events that a slice for each purpose is of no use."""
    main = chosen.settings.build_targets()[0]
    found = add_up(chosen.events, main)
    if found >= FEW_EVENTS:
        return None
    return (
        f"Only {found} persons have the outcome {main.name}, fewer than {FEW_EVENTS}, so the model is "
        "cross-validated over persons and time is not held out. Set validation to choose otherwise."
    )
