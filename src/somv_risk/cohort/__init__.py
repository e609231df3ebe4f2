"""Cohort: time and who: windows, the as-of view, stays, eligible persons, outcomes and splits."""

from typing import Any

from somv_risk.calls.former_names import find_former


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever bore the name
    return find_former(__name__, name)
