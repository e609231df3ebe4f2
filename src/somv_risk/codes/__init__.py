"""Code lists: groups of diagnoses and municipalities, as packaged data with their sources."""

from somv_risk.codes._groups import CodeGroup, in_group, load_groups
from somv_risk.codes._municipalities import load_municipalities

__all__ = ["CodeGroup", "in_group", "load_groups", "load_municipalities"]
