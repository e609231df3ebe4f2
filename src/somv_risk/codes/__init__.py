"""Code lists: groups of diagnoses, municipalities and days that are no dates, as data with sources."""

from somv_risk.codes._groups import CodeGroup, in_group, load_groups
from somv_risk.codes._municipalities import load_municipalities
from somv_risk.codes._sentinels import load_sentinels

__all__ = ["CodeGroup", "in_group", "load_groups", "load_municipalities", "load_sentinels"]
