"""Warnings: what a reader of a score must know about the data behind it."""

import tomllib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any


@cache
def _load() -> dict[str, Any]:
    text = resources.files("somv_risk.reasons").joinpath("warnings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def render_warnings(
    absent: Iterable[str], index_time: datetime, data_end: datetime | None, *, language: str
) -> list[str]:
    """Write the warnings that hold for every score of a call.

    Parameters
    ----------
    absent
        Tables the model was trained with that these histories lack.
    data_end
        Moment at which the data end, if known.
    """
    texts = _load()[language]
    names = [texts["tables"][table] for table in absent]
    days = (index_time - data_end).days if data_end else 0
    return [
        *([texts["absent_tables"].format(tables=", ".join(names))] if names else []),
        *([texts["data_ended"].format(days=days)] if days > 0 else []),
    ]
