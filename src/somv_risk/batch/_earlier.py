"""The earlier run: whether what it found may be taken over."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from somv_risk.batch._identity import MANIFEST, list_differences, read_run
from somv_risk.batch._log import Log
from somv_risk.batch._tasks import RISKS_FOLDER
from somv_risk.errors import SourceError

_MUST_BE_THE_SAME: Final = ("run_version", "model", "libraries")


def find_earlier(folder: Path, identity: Mapping[str, Any], index_time: datetime, log: Log) -> Path | None:
    """Find the risks of an earlier run that may be taken over; none, with a line in the log, if none may.

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
    return folder / RISKS_FOLDER


def _describe_store(run: Mapping[str, Any]) -> tuple[Any, Any]:
    store = run.get("store", {})
    return store.get("buckets"), store.get("tables")
