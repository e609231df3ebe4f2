"""Promotion: the challenger becomes the champion if the gates hold or a person says so, and the way back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from getpass import getuser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from somv_risk.calls.moments import Moment
from somv_risk.errors import ConfigError
from somv_risk.evaluation.compare_models import Comparison, compare_models
from somv_risk.model.model import RiskModel
from somv_risk.registers.histories import Histories
from somv_risk.tracking._client import MODEL_NAME, open_store, start_run
from somv_risk.tracking._gates import Gates, read_gates
from somv_risk.tracking._registry import (
    CHALLENGER,
    CHAMPION,
    crown,
    find_version,
    find_way_back,
    load_registered,
    resolve_version,
    step_back,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTED: Final = "promoted"
OVERRIDDEN: Final = "promoted by override"
REFUSED: Final = "refused"
ROLLED_BACK: Final = "rolled back"
# What the tags of a decision begin with: why a version became champion stays when it is set back.
DECISION: Final = "decision"
ROLLBACK: Final = "rollback"


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """What was decided of a challenger, and what it was decided on.

    `verdict` is "promoted", "promoted by override" or "refused"; `comparison` and `gates` are frames (see
    `evaluation.compare` and `Gates.judge`); `run_id` is where MLflow keeps all of it.
    """

    verdict: str
    challenger: str
    champion: str | None
    comparison: Comparison
    gates: pl.DataFrame
    run_id: str

    def __repr__(self) -> str:
        return f"Decision(version {self.challenger}: {self.verdict})"

    @property
    def is_promoted(self) -> bool:
        """Whether the challenger is the champion now."""
        return self.verdict != REFUSED


def promote(
    histories: Histories,
    *,
    challenger: str = CHALLENGER,
    gates: Gates | str | Path | None = None,
    index_time: Moment | None = None,
    draws: int = 200,
    seed: int = 0,
    override: str | None = None,
    uri: str | None = None,
) -> Decision:
    """Compare a challenger with the champion, and make it the champion if every gate holds.

    Parameters
    ----------
    histories
        With the period by which the two are judged.
    challenger
        Version or alias in the registry.
    gates
        What must hold, or the path of it; by default the gates that come with the library.
    index_time
        Moment to judge at; by default the later of the moments that the two were tested at.
    draws, seed
        Of the bootstrap over persons.
    override
        A reason to promote although a gate does not hold; it is recorded with the name of who gave it.
    uri
        The store; by default where MLflow is set to, else `sqlite:///mlflow.db`.

    Raises
    ------
    ConfigError
        If the gates are unsound, the reason is empty, the challenger is the champion already, or the two
        cannot be compared.
    ModelError
        If there is no such challenger.
    CohortError
        If nobody can be judged by both.
    """
    if override is not None and not override.strip():
        raise ConfigError("The reason of an override is empty. Say why the gates need not hold.")
    rules = gates if isinstance(gates, Gates) else read_gates(gates)
    with open_store(uri) as (mlflow, client):
        version, champion = _find_rivals(client, challenger)
        comparison = compare_models(
            _load(mlflow, version),
            None if champion is None else _load(mlflow, champion),
            histories,
            index_time=index_time,
            capacities=rules.capacities,
            working_capacity=rules.working_capacity,
            draws=draws,
            seed=seed,
        )
        judged = rules.judge(comparison.numbers, has_champion=champion is not None)
        verdict = _decide(judged, override)
        told = {
            "verdict": verdict,
            "challenger": version,
            "champion": champion or "none",
            "reason": override if override and verdict == OVERRIDDEN else "",
            "broken_gates": ", ".join(judged.filter(~pl.col("holds"))["gate"]),
        }
        # Recorded first: a store that fails between the two must not leave a champion without its reason.
        run_id = _record(mlflow, client, version, DECISION, told, (comparison, judged, rules))
        if verdict != REFUSED:
            crown(client, version)
        return Decision(verdict, version, champion, comparison, judged, run_id)


def _find_rivals(client: "MlflowClient", challenger: str) -> tuple[str, str | None]:
    """Find the version of the challenger and that of the champion, where there is one."""
    version, champion = resolve_version(client, challenger), find_version(client, CHAMPION)
    if version == champion:
        raise ConfigError(f"Version {version} is the champion already. Train a challenger, or name another.")
    return version, champion


def _load(mlflow: Any, version: str) -> RiskModel:  # noqa: ANN401 - a module
    return load_registered(mlflow, f"models:/{MODEL_NAME}/{version}")


def _decide(judged: pl.DataFrame, override: str | None) -> str:
    if judged["holds"].all():
        return PROMOTED
    return REFUSED if override is None else OVERRIDDEN


def roll_back(reason: str, *, uri: str | None = None) -> tuple[str, str]:
    """Make the champion before the present one the champion again, and record who did it and why.

    Returns
    -------
    The version that is champion no more, and the one that is again.

    Raises
    ------
    ConfigError
        If no reason is given, or there was no champion before the present one.
    """
    if not reason.strip():
        raise ConfigError("A way back needs a reason. Say why the champion is set back.")
    with open_store(uri) as (mlflow, client):
        gone, back = find_way_back(client)
        told = {"verdict": ROLLED_BACK, "from": gone, "to": back, "reason": reason}
        _record(mlflow, client, gone, ROLLBACK, told)
        step_back(client)
        return gone, back


def _record(
    mlflow: Any,  # noqa: ANN401 - a module
    client: "MlflowClient",
    version: str,
    kind: str,
    told: Mapping[str, str],
    evidence: tuple[Comparison, pl.DataFrame, Gates] | None = None,
) -> str:
    """Record a decision: on the version, and as a run with what it was decided on."""
    now = datetime.now().isoformat(timespec="seconds")  # noqa: DTZ005 - local wall-clock time, as everywhere
    decision = {**told, "decided_by": _name_user(), "decided_at": now}
    with (
        start_run(mlflow, client, f"{told['verdict']} {version}") as run,
        TemporaryDirectory() as folder,
    ):
        mlflow.set_tags({f"{kind}.{name}": value for name, value in decision.items()})
        _write(Path(folder), decision, evidence)
        mlflow.log_artifacts(folder)
    for name, value in decision.items():
        client.set_model_version_tag(MODEL_NAME, version, f"{kind}.{name}", value)
    return str(run.info.run_id)


def _name_user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container may run as somebody without a name
        return "unknown"


def _write(
    folder: Path, decision: Mapping[str, str], evidence: tuple[Comparison, pl.DataFrame, Gates] | None
) -> None:
    said: dict[str, Any] = dict(decision)
    if evidence is not None:
        comparison, judged, rules = evidence
        said |= {"comparison": dict(comparison.facts), "gates": rules.model_dump()}
        comparison.table.write_csv(folder / "comparison.csv")
        judged.write_csv(folder / "gates.csv")
    (folder / "decision.json").write_text(json.dumps(said, indent=1), encoding="utf-8")
