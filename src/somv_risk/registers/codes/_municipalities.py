"""Municipalities of Region Sjælland."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from somv_risk.toml import load_packaged


@cache
def load_municipalities() -> Mapping[str, str]:
    """Names of the 17 municipalities by their three-digit code.

    Examples
    --------
    >>> load_municipalities()["376"]
    'Guldborgsund'
    """
    return MappingProxyType(
        load_packaged("somv_risk.registers.codes", "municipalities.toml")["municipalities"]
    )
