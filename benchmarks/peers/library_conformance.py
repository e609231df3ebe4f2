"""Library conformance: this library's own answers, by the adapter that its tests use."""

import sys
from pathlib import Path
from typing import Any

from benchmarks.equality import TESTS
from benchmarks.peers.conformance import summarise
from somv_risk.testing import check_windows


def answer_cases(folder: Path) -> dict[str, Any]:  # noqa: ARG001 - all steps are called alike
    sys.path.append(str(TESTS))
    from test_windows_conformance import answer_with_somv_risk  # noqa: PLC0415 - a part of the tests

    return summarise(check_windows(answer_with_somv_risk))
