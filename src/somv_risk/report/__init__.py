"""Pages: what people read on screen and on paper."""

from somv_risk.report.worklist_page import render_worklist

__all__ = ["render_worklist"]
