"""Translations: words of other languages and systems for the values of closed lists."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from somv_risk.toml import load_packaged


@cache
def load_translations() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Every packaged word by column and value.

    Examples
    --------
    >>> load_translations()["sector"]["somatic"][1]
    'somatisk'
    """
    return MappingProxyType(load_packaged("somv_risk.registers.codes", "translations.toml"))
