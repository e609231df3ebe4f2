"""Time zones: whether a name is one, for Python and for Polars alike."""

from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from somv_risk.calls.shown import show
from somv_risk.errors import ConfigError

TIMEZONE: Final = "Europe/Copenhagen"


def check_timezone(timezone: str) -> None:
    """Check that a time zone is known.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if not isinstance(timezone, str) or not _is_known(timezone):
        raise ConfigError(f"Time zone {show(timezone)} is unknown. Give a name such as {TIMEZONE}.")


@cache
def _is_known(timezone: str) -> bool:
    """Open the zone as Python and as Polars do: each takes some names for a zone that the other does not."""
    try:
        ZoneInfo(timezone)
        pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(timezone)
    except (ValueError, OSError, KeyError, pl.exceptions.PolarsError):
        return False
    return True
