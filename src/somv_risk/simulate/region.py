"""The made-up region as histories."""

from datetime import date, datetime

from somv_risk.histories import Histories
from somv_risk.simulate.tables import FIRST_DAY, LAST_DAY, simulate_tables


def simulate(
    persons: int = 100_000, seed: int = 7, *, start: date = FIRST_DAY, end: date = LAST_DAY
) -> Histories:
    """Make up a region: all tables, with bursts, unfinished stays and the troubles behind them.

    Parameters
    ----------
    persons
        How many persons ever live in the region during the period.
    seed
        The same seed gives the same region.
    start, end
        First day, and the day after the last; the data end at `end`.

    Raises
    ------
    ConfigError
        If an argument is out of its range.

    Examples
    --------
    >>> simulate(persons=50, seed=1).absent
    ()
    """
    tables = simulate_tables(persons, seed, start=start, end=end)
    data_end = datetime(end.year, end.month, end.day)
    return Histories({name: frame.lazy() for name, frame in tables.items()}, data_end=data_end)
