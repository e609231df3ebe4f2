"""Events: the rows of one person in one table, and what may be seen of them from the index."""

from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.kernel.columns import Column, compiled
from benchmarks.kernel.measures import Integers, Row, Tally, clear, count, is_new


class Table(Protocol):
    """A table of `loading`, with or without further columns."""

    offsets: Integers
    started: Integers
    known: Integers
    ended: Integers


class Events(NamedTuple):
    """Rows `begin` to `end` of a table, looked at from the index; they lie in order of start."""

    started: Integers
    known: Integers
    ended: Integers
    begin: int
    end: int
    index: int


@compiled
def look_at(table: Table, person: int, index: int) -> Events:
    begin, end = table.offsets[person], table.offsets[person + 1]
    return Events(table.started, table.known, table.ended, begin, end, index)


@compiled
def is_seen(events: Events, r: int) -> bool:
    return events.known[r] < events.index


@compiled
def is_end_seen(events: Events, r: int) -> bool:
    """Tell whether the row is seen and so is what is learnt at its end."""
    return events.known[r] < events.index and events.ended[r] < events.index


@compiled
def find_start_age(events: Events, r: int) -> int:
    return events.index - events.started[r]


@compiled
def find_end_age(events: Events, r: int) -> int:
    """Find the age of the end, 0 if it is not known yet."""
    return max(events.index - events.ended[r], 0)


# Different codes


@compiled
def count_different(row: Row, column: Column, tally: Tally, events: Events, codes: Integers) -> None:
    """Count different codes: going back in time, each counts where it is met first."""
    met = 0
    for r in range(events.end - 1, events.begin - 1, -1):
        if is_seen(events, r) and is_new(tally, met, codes[r]):
            count(row, column, find_start_age(events, r))
            met += 1
    clear(tally, met)


@compiled
def count_newcomers(row: Row, column: Column, tally: Tally, events: Events, codes: Integers) -> None:
    """Count codes where they are first seen, if that was later than the first seen of any."""
    met = 0
    first_age = np.int64(0)
    for r in range(events.begin, events.end):
        if is_seen(events, r) and is_new(tally, met, codes[r]):
            age = find_start_age(events, r)
            if met == 0:
                first_age = age
            elif age < first_age:
                count(row, column, age)
            met += 1
    clear(tally, met)
