"""Testing: what users need to test their own histories and features."""

from somv_risk.testing.leakage import assert_no_future_leakage

__all__ = ["assert_no_future_leakage"]
