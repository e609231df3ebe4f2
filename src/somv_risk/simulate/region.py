"""The made-up region as histories, in memory or as a store."""

from collections.abc import Collection, Iterator
from datetime import date, datetime
from pathlib import Path

from somv_risk.calls.progress import Progress, ignore_progress
from somv_risk.registers.histories import Histories
from somv_risk.simulate.period import Period
from somv_risk.simulate.plan import FIRST_DAY, LAST_DAY, Plan
from somv_risk.simulate.tables import Tables, build_tables, draw_blocks
from somv_risk.store import DEFAULT_BUCKETS, write_blocks


def simulate(
    persons: int = 100_000,
    seed: int = 7,
    *,
    start: date = FIRST_DAY,
    end: date = LAST_DAY,
    municipalities: Collection[str] | None = None,
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
    municipalities
        Codes of those in which people live; None for all of the region.

    Raises
    ------
    ConfigError
        If an argument is out of its range.

    Examples
    --------
    >>> simulate(persons=50, seed=1).persons.collect().height
    50
    """
    return build_region(Plan(persons, seed, Period(start, end), municipalities))


def build_region(plan: Plan) -> Histories:
    """Build the region of a plan in memory; see `simulate`."""
    tables = {name: frame.lazy() for name, frame in build_tables(plan).items()}
    return Histories(tables, data_end=_midnight(plan.period.end))


def simulate_store(
    path: str | Path,
    persons: int = 100_000,
    seed: int = 7,
    *,
    start: date = FIRST_DAY,
    end: date = LAST_DAY,
    municipalities: Collection[str] | None = None,
    buckets: int = DEFAULT_BUCKETS,
    threads: int | None = None,
    progress: Progress = ignore_progress,
) -> None:
    """Make up the same region as `simulate` and write it as a store, 10,000 persons at a time.

    Parameters
    ----------
    path
        New folder for the store.
    persons, seed, start, end, municipalities
        As in `simulate`.
    buckets, threads
        Into how many buckets, and on how many threads (None: one per core); the rows do not depend on it.
    progress
        Called with the step, how many blocks of persons are done, and their total.

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    SourceError
        If the folder exists already or cannot be written.
    """
    plan = Plan(persons, seed, Period(start, end), municipalities)
    write_region(plan, path, buckets=buckets, threads=threads, progress=progress)


def write_region(
    plan: Plan,
    path: str | Path,
    *,
    buckets: int = DEFAULT_BUCKETS,
    threads: int | None = None,
    progress: Progress = ignore_progress,
) -> None:
    """Write the region of a plan as a store; see `simulate_store`."""
    watched = _watch(draw_blocks(plan, threads), len(plan.list_blocks()), progress)
    write_blocks(watched, path, data_end=_midnight(plan.period.end), buckets=buckets)


def _watch(blocks: Iterator[Tables], total: int, progress: Progress) -> Iterator[Tables]:
    progress("simulating", 0, total)
    for done, block in enumerate(blocks, start=1):
        yield block
        progress("simulating", done, total)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)
