"""Moments: the one place that reads points in time, of a call or of a column, at every door.

A moment is naive local wall-clock time. One with a zone is converted to local time first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache, partial
from typing import Any, Final

import polars as pl

from somv_risk.calls.shown import show
from somv_risk.calls.timezones import TIMEZONE
from somv_risk.errors import ConfigError

Moment = str | date | datetime

EARLIEST: Final = datetime.min
LATEST: Final = datetime.max
UNIT: Final = pl.Datetime("us")

# The usual forms are read at once. Each costs a pass over the cells that those before it did not read.
PLAIN_FORMATS: Final = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
ZONED_FORMATS: Final = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
# All other forms of ISO 8601: parts that may be left out, and an offset in any form.
ISO: Final = (
    r"^(?<year>[0-9]{4})-?(?<month>[0-9]{2})-?(?<day>[0-9]{2})"
    r"(?:[Tt ] *(?<hour>[0-9]{2}):?(?<minute>[0-9]{2})(?::?(?<second>[0-9]{2})(?:[.,](?<part>[0-9]+))?)?"
    r" *(?<zone>[Zz]|UTC|utc|GMT|gmt|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?)?$"
)


@dataclass(frozen=True, slots=True)
class Moments:
    """A column of moments: in local time, and in UTC where they came with a zone."""

    local: pl.Series
    utc: pl.Series


def parse_moment(value: object, timezone: str = TIMEZONE) -> datetime:
    """Read a moment: ISO text, a date, or a moment of Python, pandas or numpy.

    Parameters
    ----------
    value
        One with a zone or an offset is converted to `timezone`; of a date the first midnight is taken.
    timezone
        Whose wall clock the answer is read from.

    Raises
    ------
    ConfigError
        If it is no moment, or missing (None, NaT), or lies outside the years 1 to 9999.

    Examples
    --------
    >>> parse_moment("2026-01-01")
    datetime.datetime(2026, 1, 1, 0, 0)
    >>> parse_moment("2026-01-01T08:00Z")
    datetime.datetime(2026, 1, 1, 9, 0)
    """
    moment = _parse_text(value, timezone) if isinstance(value, str) else _take(value, timezone)
    if moment is None:
        raise ConfigError(
            f"{show(value)} is not a moment. Write it like 2026-01-31 or 2026-01-31T08:15."
        ) from None
    return moment


def read_moments(column: pl.Series, timezone: str = TIMEZONE) -> Moments | None:
    """Read a column of moments; what cannot be read is null.

    Returns
    -------
    None if the type of the column is none for moments; text, dates and moments are.
    """
    if column.dtype == pl.String:
        return _read_text(column, timezone)
    if isinstance(column.dtype, pl.Datetime):
        return _read_typed(column, column.dtype.time_zone, timezone)
    return _read_typed(column, None, timezone) if column.dtype == pl.Date else None


def drop_far(column: pl.Series) -> pl.Series:
    """Drop moments or dates outside the years 1 to 9999, which neither Python nor another unit can hold."""
    unit = pl.Datetime(column.dtype.time_unit) if isinstance(column.dtype, pl.Datetime) else pl.Date()
    if unit == pl.Datetime("ns"):
        return column  # these end in 2262
    first, last = _find_limits(unit)
    numbers = column.to_physical()
    if all(first <= end <= last for end in (numbers.min(), numbers.max()) if isinstance(end, int)):
        return column
    return column.set(~numbers.is_between(first, last), None)


@cache
def _find_limits(unit: pl.DataType) -> tuple[int, int]:
    first, last = pl.Series([EARLIEST, LATEST], dtype=UNIT).cast(unit).to_physical()
    return first, last


@lru_cache(maxsize=1024)  # citizens are scored one at a time, many at the same moment
def _parse_text(text: str, timezone: str) -> datetime | None:
    bare = text.strip()
    if not bare.isascii():
        return None  # no moment has such characters, and Polars cannot hold all of them
    found: datetime | None = _read_text(pl.Series([bare]), timezone).local.item()
    return found


def _take(value: Any, timezone: str) -> datetime | None:  # noqa: ANN401 - whatever a caller takes for a moment
    # numpy and pandas are not imported for this: their moments are known by what they can do.
    if type(value).__module__ == "numpy" and type(value).__name__ == "datetime64":
        value = _take_numpy(value)
    if not isinstance(value, date) or value != value:  # noqa: PLR0124 - NaT is a datetime and not itself
        return None
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return _take_clock(value, timezone)


def _take_numpy(value: Any) -> object:  # noqa: ANN401 - numpy knows its own types
    found = value.astype("datetime64[us]")
    # Numpy counts on from the beginning when a moment is too far away for its unit.
    return found.item() if found.astype("datetime64[D]") == value.astype("datetime64[D]") else None


def _take_clock(value: datetime, timezone: str) -> datetime | None:
    """Take the wall clock of a moment, as Python's own type and not that of pandas."""
    if value.tzinfo is None:
        return datetime.combine(value.date(), value.time().replace(fold=0))
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        return None
    bare = pl.Series([datetime.combine(utc.date(), utc.time())], dtype=UNIT)
    local: datetime = _localise(bare, timezone).local.item()
    return local


def _read_typed(column: pl.Series, zone: str | None, timezone: str) -> Moments:
    near = drop_far(column).cast(pl.Datetime("us", zone))
    if zone is None:
        return _keep_clock(near)
    return _localise(near.dt.convert_time_zone("UTC").dt.replace_time_zone(None), timezone)


def _keep_clock(local: pl.Series) -> Moments:
    return Moments(local, pl.Series([None], dtype=UNIT).new_from_index(0, len(local)))


def _localise(utc: pl.Series, timezone: str) -> Moments:
    local = utc.dt.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    # The last hours of the year 9999 may lie in the next one here.
    return Moments(local.clip(EARLIEST, LATEST), utc)


def _read_text(text: pl.Series, timezone: str) -> Moments:
    """Read text by one form after the other, each only the cells that none before it has read."""
    first, *others = PLAIN_FORMATS
    found = _read_plain(text, first)
    for form in others:
        found = _read_on(found, text, partial(_read_plain, form=form))
    for form in ZONED_FORMATS:
        found = _read_on(found, text, partial(_read_zoned, form=form, timezone=timezone))
    return _read_on(found, text, partial(_read_iso, timezone=timezone))


def _read_on(found: Moments, text: pl.Series, read: Callable[[pl.Series], Moments]) -> Moments:
    if found.local.null_count() == text.null_count():
        return found
    unread = (found.local.is_null() & text.is_not_null()).arg_true()
    part = read(text.gather(unread))
    return Moments(found.local.scatter(unread, part.local), found.utc.scatter(unread, part.utc))


def _read_plain(text: pl.Series, form: str) -> Moments:
    return _keep_clock(text.str.to_datetime(form, time_unit="us", strict=False))


def _read_zoned(text: pl.Series, form: str, timezone: str) -> Moments:
    utc = text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    return _localise(utc.dt.replace_time_zone(None), timezone)


def _read_iso(text: pl.Series, timezone: str) -> Moments:
    parts = text.str.extract_groups(ISO).struct.unnest()
    clock = pl.concat_str(
        *("year", pl.lit("-"), "month", pl.lit("-"), "day", pl.lit("T")),
        *(pl.col("hour").fill_null("00"), pl.lit(":"), pl.col("minute").fill_null("00"), pl.lit(":")),
        *(pl.col("second").fill_null("00"), pl.lit("."), pl.col("part").fill_null("0").str.head(6)),
    )
    read = parts.select(
        clock.str.to_datetime(PLAIN_FORMATS[0], time_unit="us", strict=False).alias("clock"),
        _read_offset(pl.col("zone")).alias("offset"),
    )
    zoned = _localise(read.select(pl.col("clock") - pl.col("offset")).to_series(), timezone)
    return Moments(zoned.local.zip_with(read["offset"].is_not_null(), read["clock"]), zoned.utc)


def _read_offset(zone: pl.Expr) -> pl.Expr:
    """How far a zone is ahead of UTC; null where there is none."""
    digits = zone.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    minutes = digits.str.head(2).cast(pl.Int64) * 60 + digits.str.tail(2).cast(pl.Int64)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    return pl.duration(minutes=minutes * sign, time_unit="us")
