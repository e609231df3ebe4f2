"""Testing: what users need to test their own histories, features and windows."""

from somv_risk.testing.leakage import assert_no_future_leakage
from somv_risk.testing.window_cases import Case, Question, load_window_cases
from somv_risk.testing.windows import assert_windows_conform, check_windows

__all__ = [
    "Case",
    "Question",
    "assert_no_future_leakage",
    "assert_windows_conform",
    "check_windows",
    "load_window_cases",
]
