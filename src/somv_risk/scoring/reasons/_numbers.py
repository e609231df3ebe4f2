"""Number words: how one language writes counts, days, durations and shares."""

from dataclasses import dataclass
from math import floor
from typing import Final

DAYS_PER_YEAR: Final = 365.25
DAYS_PER_MONTH: Final = DAYS_PER_YEAR / 12
# Nobody says "614 days ago": from two months on a duration is told in months, from 23 months on in years.
MONTHS_FROM: Final = 60
YEARS_FROM: Final = 700


@dataclass(frozen=True, slots=True)
class NumberWords:
    """The words of numbers in one language; templates hold the number as ``{n}``."""

    decimal_mark: str
    percent: str
    percent_below: str
    percent_above: str
    days_below: str
    day: str
    days: str
    months: str
    years: str

    def format_number(self, value: float) -> str:
        """Format a number with at most two decimals."""
        return self.mark(f"{value:z.2f}".rstrip("0").rstrip("."))

    def mark(self, written: str) -> str:
        """Give a number as Python writes it the language's decimal mark."""
        return written.replace(".", self.decimal_mark)

    def format_signed(self, difference: float) -> str:
        """Format a difference with its sign; none has no sign."""
        plain = self.format_number(difference)
        return f"+{plain}" if round(difference, 2) > 0 else plain

    def format_percent(self, share: float) -> str:
        """Format a share between 0 and 1; only exactly none is 0 % and only exactly all is 100 %."""
        percent = 100 * share
        if 0 < percent < 0.5:
            return self.percent_below
        if 99.5 <= percent < 100:
            return self.percent_above
        return self.percent.format(n=round_half_up(percent))

    def format_risk(self, share: float) -> str:
        """Format a risk between 0 and 1 as a percentage with one decimal."""
        return self.percent.format(n=self.mark(f"{100 * share:.1f}"))

    def format_contribution(self, log_odds: float) -> str:
        """Format a contribution in log-odds with its sign and two decimals."""
        return self.mark(f"{log_odds:+.2f}")

    def format_days(self, days: float) -> str:
        """Format whole days with their unit."""
        if 0 < days < 0.5:
            return self.days_below
        whole = round_half_up(days)
        return self.day if whole == 1 else self.days.format(n=whole)

    def format_duration(self, days: float) -> str:
        """Format a duration in the unit in which one would say it."""
        if days < MONTHS_FROM:
            return self.format_days(days)
        if days < YEARS_FROM:
            return self.months.format(n=round_half_up(days / DAYS_PER_MONTH))
        return self.years.format(n=round_half_up(days / DAYS_PER_YEAR))


def round_half_up(value: float) -> int:
    """Round to the nearest whole number, halves up.

    Examples
    --------
    >>> round_half_up(2.5), round(2.5)
    (3, 2)
    """
    return floor(value + 0.5)
