"""Hours: at what time of which day things begin."""

import numpy as np

from somv_risk.simulate.draws import Flags, Floats
from somv_risk.simulate.period import Period

FIRST_WEEKEND_DAY = 5


def place_in_day(rng: np.random.Generator, period: Period, days: Floats, by_plan: Flags) -> Floats:
    """Moves planned events to the morning of a working day and half of the others into the waking hours."""
    planned = _move_to_workday(rng, period, days) + rng.triangular(7.0, 8.5, 13.0, days.size) / 24
    awake = np.floor(days) + rng.uniform(8.0, 23.0, days.size) / 24
    return np.where(by_plan, planned, np.where(rng.random(days.size) < 0.5, awake, days))


def place_in_office_hours(rng: np.random.Generator, period: Period, days: Floats) -> Floats:
    """From 8 to 16 on a working day."""
    return np.asarray(_move_to_workday(rng, period, days) + rng.uniform(8.0, 16.0, days.size) / 24)


def place_on_call(rng: np.random.Generator, period: Period, days: Floats) -> Floats:
    """Outside office hours: from 16 to 8, and all day at weekends."""
    night = np.floor(days) + rng.uniform(16.0, 32.0, days.size) / 24
    return np.where(period.weekdays(days) >= FIRST_WEEKEND_DAY, days, night)


def _move_to_workday(rng: np.random.Generator, period: Period, days: Floats) -> Floats:
    """Whole days; what falls on a weekend comes on any working day of the week before it."""
    weekday = period.weekdays(days)
    back = weekday - rng.integers(0, FIRST_WEEKEND_DAY, days.size)
    return np.asarray(np.floor(days) - np.where(weekday >= FIRST_WEEKEND_DAY, back, 0))
