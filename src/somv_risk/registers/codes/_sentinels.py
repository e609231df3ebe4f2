"""Sentinels: days that stand for no date at all."""

from datetime import date
from functools import cache

from somv_risk.toml import load_packaged


@cache
def load_sentinels() -> frozenset[date]:
    """Every packaged sentinel.

    Examples
    --------
    >>> date(9999, 12, 31) in load_sentinels()
    True
    """
    return frozenset(
        one["day"] for one in load_packaged("somv_risk.registers.codes", "sentinels.toml")["sentinel"]
    )
