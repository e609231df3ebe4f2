"""Moments: the one place that reads points in time, of a call or of a column, at every door."""

from datetime import date, datetime

from somv_risk.errors import ConfigError

Moment = str | date | datetime


def parse_moment(value: Moment) -> datetime:
    """Read an index moment: a naive datetime, a date, or ISO text of either.

    Examples
    --------
    >>> parse_moment("2026-01-01")
    datetime.datetime(2026, 1, 1, 0, 0)
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError(
            f"{value!r} is not a moment. Write it like 2026-01-31 or 2026-01-31T08:15."
        ) from None
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        raise ConfigError("An index moment has a time zone. Give naive local wall-clock time.")
    return moment
