"""The earlier run: whether what it found may be taken over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from somv_risk.batch._identity import MANIFEST, list_differences, read_run
from somv_risk.batch._log import Log
from somv_risk.errors import SourceError

_MUST_BE_THE_SAME: Final = ("run_version", "model", "libraries")
_TOLD_ALIKE: Final = ("reasons", "language")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The folder of an earlier run of whose risks some may be taken over, and whether of its reasons too."""

    folder: Path
    tells_reasons: bool


def find_earlier(folder: Path, identity: Mapping[str, Any], index_time: datetime, log: Log) -> Earlier | None:
    """Find what of an earlier run may be taken over; none, with a line in the log, if none may.

    Raises
    ------
    SourceError
        If the folder holds no run.
    """
    run = read_run(folder)
    if not run:
        raise SourceError(f"{folder} holds no earlier run: it has no {MANIFEST}. Name the folder of one.")
    different = list_differences(run, identity, _MUST_BE_THE_SAME)
    if _describe_store(run) != _describe_store(identity):
        different.append("buckets or tables of the store")
    if datetime.fromisoformat(run.get("index_time", "9999-12-31")) >= index_time:
        different.append("index moment, which is not earlier")
    if different:
        log.tell("nothing taken over", different=", ".join(different))
        return None
    return Earlier(folder, tells_reasons=_tells_reasons(run, identity))


def _tells_reasons(run: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether the run came to its end, so that risks and reasons are of the same, and told them alike."""
    then, now = run.get("options", {}), identity["options"]
    return run.get("complete") is True and all(then.get(name) == now[name] for name in _TOLD_ALIKE)


def _describe_store(run: Mapping[str, Any]) -> tuple[Any, Any]:
    store = run.get("store", {})
    return store.get("buckets"), store.get("tables")
