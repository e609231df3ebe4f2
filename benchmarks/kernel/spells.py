"""Spells: rows of one kind that overlap or adjoin, joined."""

from typing import NamedTuple

import numpy as np

from benchmarks.kernel.columns import compiled
from benchmarks.kernel.events import Events, find_end_age, find_start_age, is_seen
from benchmarks.kernel.loading import SmallCodes
from benchmarks.kernel.measures import Integers
from somv_risk.registers import schema as s


class Spells(NamedTuple):
    """Spells of one person in order of start; `latest` is the last spell of each kind so far."""

    start_age: Integers
    end_age: Integers
    kind: Integers
    latest: Integers


KINDS = max(map(len, (s.SUBSTANCES, s.BENEFITS, s.SERVICES)))
SKIPPED = -1
EACH_ALONE = np.arange(KINDS)
ALL_AS_ONE = np.zeros(KINDS, np.int64)


def make_spells(most: int) -> Spells:
    return Spells(
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(KINDS, np.int64),
    )


@compiled
def join_spells(spells: Spells, events: Events, codes: SmallCodes, kinds: Integers) -> int:
    """Join the visible rows of a kind, and return how many spells there are; `kinds` tells each code's."""
    spells.latest[:] = -1
    found = 0
    for r in range(events.begin, events.end):
        kind = kinds[codes[r]]
        if kind == SKIPPED or not is_seen(events, r):
            continue
        start_age, end_age = find_start_age(events, r), find_end_age(events, r)
        latest = spells.latest[kind]
        if latest >= 0 and start_age >= spells.end_age[latest]:
            spells.end_age[latest] = min(spells.end_age[latest], end_age)
            continue
        spells.start_age[found] = start_age
        spells.end_age[found] = end_age
        spells.kind[found] = kind
        spells.latest[kind] = found
        found += 1
    return found


@compiled
def order_ties(spells: Spells, found: int) -> None:
    """Order spells that start together by their kind."""
    for i in range(1, found):
        j = i
        while (
            j > 0 and spells.start_age[j - 1] == spells.start_age[j] and spells.kind[j - 1] > spells.kind[j]
        ):
            for values in (spells.start_age, spells.end_age, spells.kind):
                values[j - 1], values[j] = values[j], values[j - 1]
            j -= 1


@compiled
def reaches(window: int, start_age: int, end_age: int) -> bool:
    """Tell whether an event started in the window or had not ended before it."""
    return start_age <= window or end_age < window
