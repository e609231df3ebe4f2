"""Date words: how one language writes days and moments."""

import datetime as dt
from dataclasses import dataclass
from typing import Final

from somv_risk.errors import ConfigError

MONTHS: Final = 12
MIDNIGHT: Final = dt.time()


@dataclass(frozen=True, slots=True)
class DateWords:
    """The words of dates in one language: templates of a date and of a moment, and the names of the months.

    Raises
    ------
    ConfigError
        If there are not twelve months.
    """

    date: str
    moment: str
    months: tuple[str, ...]
    months_short: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("months", "months_short"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if len(getattr(self, name)) != MONTHS:
                raise ConfigError(f"dates.{name} has {len(getattr(self, name))} months. Give {MONTHS}.")

    def format_date(self, day: dt.date) -> str:
        """Write a date in full, such as ``3. oktober 2026``."""
        return self._format(day, self.months)

    def format_short_date(self, day: dt.date) -> str:
        """Write a date with its month cut short, such as ``3. okt. 2026``."""
        return self._format(day, self.months_short)

    def format_moment(self, moment: dt.datetime) -> str:
        """Write a date and the time of day; registers that know days only say midnight, which is left out."""
        day = self.format_date(moment)
        if moment.time() == MIDNIGHT:
            return day
        return self.moment.format(date=day, hour=f"{moment:%H}", minute=f"{moment:%M}")

    def _format(self, day: dt.date, months: tuple[str, ...]) -> str:
        return self.date.format(day=day.day, month=months[day.month - 1], year=day.year)
