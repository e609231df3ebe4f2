"""Models: those that come with the library."""

from pathlib import Path
from typing import Any

import polars as pl

from somv_risk.cli._console import print_frame, say
from somv_risk.cli._output import give
from somv_risk.files.packaged import list_packaged_models


def models() -> None:
    """List the models that come with the library, each given by its name, as in --model simulated."""
    rows = [_describe(name, folder) for name, folder in list_packaged_models().items()]
    give(models=rows)
    print_frame("Models", pl.DataFrame([_put_in_words(row) for row in rows]))
    say("They learnt from made-up persons, so their risks say nothing about real ones.")


def _describe(name: str, folder: Path) -> dict[str, Any]:
    from somv_risk.model.files import read_model

    facts = read_model(folder).data["facts"]
    return {
        "name": name,
        "tables": facts["tables"],
        "persons": facts["rows"]["persons"],
        "trained_at": facts["index_times"]["train"],
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        "folder": folder,
    }


def _put_in_words(row: dict[str, Any]) -> dict[str, str]:
    moments = [str(moment)[:10] for moment in row["trained_at"]]
    return {
        "name": str(row["name"]),
        "tables": ", ".join(row["tables"]),
        "trained on": f"{row['persons']:,} made-up persons, {moments[0]} to {moments[-1]}",
        "size": f"{row['bytes'] / 1e6:.1f} MB",
    }
