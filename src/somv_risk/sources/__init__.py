"""Sources: one room per origin of data, each ending in checked histories or in a delivery for a store."""

from somv_risk.sources.canonical import read_histories, scan_folder
from somv_risk.sources.delta import from_delta, scan_delta, write_delta, write_delta_table
from somv_risk.sources.frames import check_rows, from_frames
from somv_risk.sources.keys import read_key
from somv_risk.sources.omop import deliver_omop, from_omop
from somv_risk.sources.postgres import from_postgres, scan_postgres

__all__ = [
    "check_rows",
    "deliver_omop",
    "from_delta",
    "from_frames",
    "from_omop",
    "from_postgres",
    "read_histories",
    "read_key",
    "scan_delta",
    "scan_folder",
    "scan_postgres",
    "write_delta",
    "write_delta_table",
]
