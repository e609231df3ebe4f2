"""The OMOP common data model, versions 5.3 and 5.4."""

from somv_risk.sources.omop.delivery import OmopDelivery, scan_omop
from somv_risk.sources.omop.histories import deliver_omop, from_omop

__all__ = ["OmopDelivery", "deliver_omop", "from_omop", "scan_omop"]
