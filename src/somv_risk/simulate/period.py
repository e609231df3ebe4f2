"""The period that is simulated: half-open, in days after its first midnight."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from math import ceil
from typing import Final

import numpy as np
import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.simulate.draws import Floats, Ints

DAYS_PER_YEAR: Final = 365.0
DAYS_PER_CALENDAR_YEAR: Final = 365.25
MINUTES_PER_DAY: Final = 1440


@dataclass(frozen=True, slots=True)
class Period:
    """Everything happens in ``[start, end)``; a year of it has 365 days."""

    start: date
    end: date

    def __post_init__(self) -> None:
        _check_date("start", self.start)
        _check_date("end", self.end)
        if self.end <= self.start:
            raise ConfigError(
                f"The simulated period ends on {self.end}, which is not after its start on {self.start}. "
                "Give an end at least one day after the start."
            )

    @property
    def days(self) -> int:
        """Length in days."""
        return (self.end - self.start).days

    @property
    def years(self) -> int:
        """Number of years begun."""
        return ceil(self.days / DAYS_PER_YEAR)

    @property
    def first_weekday(self) -> int:
        """Weekday of the first day; Monday is 0."""
        return self.start.weekday()

    def weekdays(self, days: Floats) -> Ints:
        """Weekday of each day; Monday is 0."""
        return (np.floor(days).astype(np.int64) + self.first_weekday) % 7

    def moments(self, day: str) -> pl.Expr:
        """Days as timestamps, cut down to whole minutes so that nothing reaches the end by rounding."""
        minutes = (pl.col(day) * MINUTES_PER_DAY).floor().cast(pl.Int64)
        return pl.lit(datetime.combine(self.start, time.min), pl.Datetime("us")) + pl.duration(
            minutes=minutes, time_unit="us"
        )

    def dates(self, days: Floats) -> pl.Series:
        """Days as dates; endless ones are null."""
        whole = np.floor(np.where(np.isfinite(days), days, 0)).astype("timedelta64[D]")
        dates = pl.Series((np.datetime64(self.start) + whole).astype("datetime64[D]"))
        return dates.set(pl.Series(~np.isfinite(days)), None)


def _check_date(name: str, day: date) -> None:
    if isinstance(day, datetime) or not isinstance(day, date):
        raise ConfigError(
            f"{name!r} of the simulated period must be a date, not {type(day).__name__}. "
            "Give a datetime.date such as date(2020, 1, 1)."
        )


def stack(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Frames of the same columns, one below the other."""
    return pl.concat(list(frames), how="vertical")
