"""Identity: what a run is of, by which a resumed one is known to be the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from somv_risk.batch._files import hash_files
from somv_risk.calls.libraries import list_libraries
from somv_risk.errors import OtherRunError
from somv_risk.model.model import RiskModel, compute_model_hash
from somv_risk.scoring.options import Options
from somv_risk.store import MANIFEST as STORE_MANIFEST
from somv_risk.store import read_manifest

MANIFEST: Final = "manifest.json"
RUN_VERSION: Final = 1
_WORDS: Final[Mapping[str, str]] = {
    "run_version": "layout",
    "model": "model",
    "store": "store",
    "index_time": "index moment",
    "options": "options",
    "libraries": "library versions",
}


def state_identity(model: RiskModel, store: Path, index_time: datetime, options: Options) -> dict[str, Any]:
    """State what a run is of; nothing in it depends on when, where or by how many workers it is done."""
    manifest = read_manifest(store)
    return {
        "run_version": RUN_VERSION,
        "model": compute_model_hash(model),
        "store": {
            "hash": hash_files([store / STORE_MANIFEST]),
            "buckets": manifest["buckets"],
            "tables": manifest["tables"],
        },
        "index_time": index_time.isoformat(),
        "options": asdict(options),
        "libraries": list_libraries(),
    }


def check_same(folder: Path, identity: Mapping[str, Any]) -> None:
    """Check that a folder holds no run of anything else.

    Raises
    ------
    OtherRunError
        If it does, or cannot say.
    """
    if not (folder / MANIFEST).exists():
        return
    different = list_differences(read_run(folder), identity)
    if different:
        raise OtherRunError(
            f"{folder} holds a run that differs in: {', '.join(different)}. Name another folder, or start "
            "over with --fresh."
        )


def list_differences(
    run: Mapping[str, Any], identity: Mapping[str, Any], keys: Sequence[str] = tuple(_WORDS)
) -> list[str]:
    """List in words what differs between two runs."""
    return [_WORDS[key] for key in keys if run.get(key) != identity[key]]


def read_run(folder: Path) -> dict[str, Any]:
    """Read what a run says of itself; one that is not readable says nothing."""
    try:
        run = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(run) if isinstance(run, dict) else {}
