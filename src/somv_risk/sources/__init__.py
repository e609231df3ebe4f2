"""Sources: one room per origin of data, each ending in checked histories."""

from somv_risk.sources.canonical import read_histories
from somv_risk.sources.frames import from_frames
from somv_risk.sources.omop import from_omop

__all__ = ["from_frames", "from_omop", "read_histories"]
