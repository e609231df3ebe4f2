"""Scoring: risks, reasons and changes of persons, with what their readers must know."""

from typing import Any

from somv_risk.calls.former_names import find_former


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever bore the name
    return find_former(__name__, name)
