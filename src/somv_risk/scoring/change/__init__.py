"""Change: what moved one person's risk between two scorings, and the events behind it."""

from somv_risk.scoring.change._change import Change, MovedReason, explain_change
from somv_risk.scoring.change._evidence import Evidence, compare_evidence

__all__ = ["Change", "Evidence", "MovedReason", "compare_evidence", "explain_change"]
