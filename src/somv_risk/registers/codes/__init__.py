"""Code lists: groups of diagnoses, municipalities, days that are no dates, words for values; as data."""

from somv_risk.registers.codes._cleaning import clean_code, clean_codes, is_beginning
from somv_risk.registers.codes._groups import CodeGroup, in_group, load_groups
from somv_risk.registers.codes._municipalities import load_municipalities
from somv_risk.registers.codes._sentinels import load_sentinels
from somv_risk.registers.codes._translations import load_translations

__all__ = [
    "CodeGroup",
    "clean_code",
    "clean_codes",
    "in_group",
    "is_beginning",
    "load_groups",
    "load_municipalities",
    "load_sentinels",
    "load_translations",
]
