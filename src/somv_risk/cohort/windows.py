"""Windows: half-open intervals on the line where the index moment is 0."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from somv_risk.errors import ConfigError

MICROSECONDS_PER_HOUR = 3_600_000_000
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Lookback:
    """The window ``[index - days, index)``; a day is 24 hours.

    Examples
    --------
    >>> Lookback(365).suffix
    '365d'
    """

    days: int

    def __post_init__(self) -> None:
        _check_days("A look-back window", self.days)

    @property
    def suffix(self) -> str:
        """What a feature name ends in."""
        return f"{self.days}d"

    @property
    def microseconds(self) -> int:
        """Length of the window in microseconds."""
        return self.days * MICROSECONDS_PER_DAY

    def half(self) -> "Lookback":
        """Return the younger half of a window of an even number of days."""
        if self.days % 2:
            raise ConfigError(f"A window of {self.days} days has no whole half. Give an even number of days.")
        return Lookback(self.days // 2)

    def contains(self, age: pl.Expr) -> pl.Expr:
        """Whether a moment lies in the window; `age` is microseconds from the moment to the index."""
        return (age > 0) & (age <= self.microseconds)


@dataclass(frozen=True, slots=True)
class Horizon:
    """The window ``[index, index + days)`` in which outcomes are counted.

    Examples
    --------
    >>> Horizon(365).length
    datetime.timedelta(days=365)
    """

    days: int

    def __post_init__(self) -> None:
        _check_days("An outcome horizon", self.days)

    @property
    def length(self) -> timedelta:
        """Length of the horizon."""
        return timedelta(days=self.days)

    def contains(self, moment: pl.Expr, index_time: pl.Expr) -> pl.Expr:
        """Whether `moment` lies in the horizon that starts at `index_time`."""
        return (moment >= index_time) & (moment < index_time + self.length)


def _check_days(what: str, days: int) -> None:
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise ConfigError(
            f"{what} must span at least one whole day, not {days!r}. "
            "Give a positive whole number of days; nothing at or after the index can be looked back upon."
        )
