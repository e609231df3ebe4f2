"""Loops: what is done event by event, compiled to machine code.

Each loop goes once through events that lie in order of moment, and within it in order of time where that
is said. Ages are microseconds before the index; -1 stands for no code. Nothing here knows what the events
are: meaning is given by the views and measures that call it.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY
from somv_risk.machine_code import compiled

Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Moments = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEVER: Final = int(np.iinfo(np.int64).max)
NO_VALUE: Final = -1


# Looking back


@compiled
def find_seen(
    person: Codes,
    index: Integers,
    offsets: Integers,
    started: Integers,
    ended: Integers,
    known: Integers,
    lag: int,
    reach: int,
    alive_until: Integers,
) -> tuple[Places, Moments, Integers, Integers]:
    """Find the rows that were known at each moment: their place, moment, and ages of start and end.

    The rows of person p, in order of start, are `offsets[p]` to `offsets[p + 1]`. A row is seen that started
    before the index, at most `reach` ago, not after the person died, and was known before it. An end is known
    if `ended + lag < index`; otherwise its age is 0. Once the person has died it is at least the age of the
    death.
    """
    most = 0
    for m in range(len(person)):
        most += offsets[person[m] + 1] - offsets[person[m]]
    row, moment = np.empty(most, np.int64), np.empty(most, np.int32)
    start_age, end_age = np.empty(most, np.int64), np.empty(most, np.int64)
    seen = 0
    for m in range(len(person)):
        now = index[m]
        death = alive_until[person[m]]
        age_of_death = now - death if death < now else 0
        for r in range(offsets[person[m]], offsets[person[m] + 1]):
            age = now - started[r]
            # A row that starts after the death and before the index is one of a death that is known.
            if age <= 0 or started[r] > death:
                break
            if age <= reach and known[r] < now:
                row[seen], moment[seen], start_age[seen] = r, m, age
                end_age[seen] = max(now - ended[r] if ended[r] < now - lag else 0, age_of_death)
                seen += 1
    return row[:seen], moment[:seen], start_age[:seen], end_age[:seen]


@compiled
def assume_ends(
    moment: Moments, start_age: Integers, end_age: Integers, rows: Places, bounds: Integers
) -> None:
    """Let some of the events end when the next one starts, or when they have lasted for their bound.

    All events lie in order of moment and start; the next one of those that start together is the same.
    """
    for i in range(len(rows)):
        row, n = rows[i], rows[i] + 1
        while n < len(moment) and moment[n] == moment[row] and start_age[n] == start_age[row]:
            n += 1
        end_age[row] = start_age[row] - bounds[i]
        if n < len(moment) and moment[n] == moment[row]:
            end_age[row] = max(end_age[row], start_age[n])


@compiled
def find_since(
    offsets: Integers,
    contact: Codes,
    other_offsets: Integers,
    other_contact: Codes,
    other_started: Integers,
    other_known: Integers,
    contacts: int,
    alive_until: Integers,
) -> Integers:
    """Find since when a row of the other table with the same person and contact was known, or never.

    A row of the other table that starts after the person died is none.
    """
    earliest = np.full(contacts, NEVER)
    found = np.full(len(contact), NEVER)
    for p in range(min(len(offsets), len(other_offsets)) - 1):
        for r in range(other_offsets[p], other_offsets[p + 1]):
            if other_contact[r] >= 0 and other_started[r] <= alive_until[p]:
                since = max(other_started[r], other_known[r])
                earliest[other_contact[r]] = min(earliest[other_contact[r]], since)
        for r in range(offsets[p], offsets[p + 1]):
            if contact[r] >= 0:
                found[r] = earliest[contact[r]]
        for r in range(other_offsets[p], other_offsets[p + 1]):
            if other_contact[r] >= 0:
                earliest[other_contact[r]] = NEVER
    return found


# How an event follows those before it; all events lie in order of time


@compiled
def join_spells(
    moment: Moments, key: Codes, keys: int, start_age: Integers, end_age: Integers, gap: int
) -> tuple[Places, Places, Places]:
    """Join events of one key that overlap or lie at most `gap` apart, directly or through others.

    Gives the spell of each event, and for each spell its first event and the one that reaches farthest (of
    several, the last). Spells are in order of their first event. Events of no key are of one kind, too.
    """
    spell = np.empty(len(moment), np.int64)
    first, farthest = np.empty(len(moment), np.int64), np.empty(len(moment), np.int64)
    current = np.full(keys + 1, -1)  # the last place, which is -1 as well, is that of no key
    spells = 0
    for i in range(len(moment)):
        s = current[key[i]]
        if s < 0 or moment[first[s]] != moment[i] or start_age[i] < end_age[farthest[s]] - gap:
            s = spells
            spells += 1
            current[key[i]], first[s], farthest[s] = s, i, i
        elif end_age[i] <= end_age[farthest[s]]:
            farthest[s] = i
        spell[i] = s
    return spell, first[:spells], farthest[:spells]


@compiled
def order_ties(moment: Moments, start_age: Integers, rank: Codes) -> Places:
    """Order events that start together by rank, and leave all others where they are."""
    order = np.arange(len(moment))
    for i in range(1, len(moment)):
        place = i
        while place > 0:
            other = order[place - 1]
            if moment[other] != moment[i] or start_age[other] != start_age[i] or rank[other] <= rank[i]:
                break
            order[place] = other
            place -= 1
        order[place] = i
    return order


@compiled
def find_before(moment: Moments, asked: Mask) -> Places:
    """Find, for each event asked for, the one before it that is, in the same moment; -1 if there is none."""
    before = np.full(len(moment), -1)
    latest = -1
    for i in range(len(moment)):
        if asked[i]:
            if latest >= 0 and moment[latest] == moment[i]:
                before[i] = latest
            latest = i
    return before


@compiled
def find_new(moment: Moments, code: Codes, codes: int, start_age: Integers) -> Mask:
    """Find which events are the first with their code, and later than the first with any."""
    is_new = np.zeros(len(moment), np.bool_)
    met = np.full(codes, -1, np.int32)
    first = -1
    for i in range(len(moment)):
        if code[i] < 0:
            continue
        if first < 0 or moment[first] != moment[i]:
            first = i
        if met[code[i]] != moment[i]:
            met[code[i]] = moment[i]
            is_new[i] = start_age[i] < start_age[first]
    return is_new


@compiled
def find_next(
    moment: Moments, age: Integers, other_moment: Moments, other_age: Integers, asked: Mask
) -> Integers:
    """Find the age of the first of the others asked for that is at or after each event; -1 for none."""
    found = np.full(len(moment), -1)
    o = 0
    for i in range(len(moment)):
        while o < len(other_moment) and other_moment[o] < moment[i]:
            o += 1
        while (
            o < len(other_moment) and other_moment[o] == moment[i] and (other_age[o] > age[i] or not asked[o])
        ):
            o += 1
        if o < len(other_moment) and other_moment[o] == moment[i]:
            found[i] = other_age[o]
    return found


@compiled
def mark_inside(
    moment: Moments, age: Integers, other_moment: Moments, start_age: Integers, end_age: Integers
) -> Mask:
    """Find which ages lie in one of the other intervals of the moment: at its start or later, before its end.

    An age of 0 is no moment in the past, and an interval with end 0 is open.
    """
    is_inside = np.zeros(len(moment), np.bool_)
    first = 0
    for i in range(len(moment)):
        while first < len(other_moment) and other_moment[first] < moment[i]:
            first += 1
        o = first
        while age[i] > 0 and o < len(other_moment) and other_moment[o] == moment[i]:
            if end_age[o] < age[i] <= start_age[o]:
                is_inside[i] = True
            o += 1
    return is_inside


# Adding up, for each window and moment; results have the shape (windows, size)


@compiled
def count(moment: Moments, age: Integers, windows: Integers, size: int) -> npt.NDArray[np.int32]:
    """Count the events in each window; the windows get longer.

    Each event is counted in the shortest window it lies in, or in none of them at the end, without a branch
    that the processor would have to guess; then the longer windows get what the shorter ones have.
    """
    counts = np.zeros((len(windows) + 1, size), np.int32)
    for i in range(len(moment)):
        shortest = 0
        for w in range(len(windows)):
            shortest += age[i] > windows[w]
        counts[shortest, moment[i]] += 1
    for w in range(1, len(windows)):
        longer, shorter = counts[w], counts[w - 1]
        for m in range(size):
            longer[m] += shorter[m]
    return counts[: len(windows)]


@compiled
def add(moment: Moments, age: Integers, values: Integers, windows: Integers, size: int) -> Integers:
    """Add up the values of the events in each window."""
    total = np.zeros((len(windows), size), np.int64)
    for i in range(len(moment)):
        for w in range(len(windows)):
            if age[i] <= windows[w]:
                total[w, moment[i]] += values[i]
    return total


@compiled
def find_least(moment: Moments, age: Integers, values: Integers, windows: Integers, size: int) -> Integers:
    """Find the smallest of the values of the events in each window, never if there is none."""
    least = np.full((len(windows), size), NEVER)
    for i in range(len(moment)):
        for w in range(len(windows)):
            if age[i] <= windows[w]:
                least[w, moment[i]] = min(least[w, moment[i]], values[i])
    return least


@compiled
def find_most(moment: Moments, age: Integers, values: Integers, windows: Integers, size: int) -> Integers:
    """Find the largest of the values of the events in each window, -1 if there is none."""
    most = np.full((len(windows), size), NO_VALUE)
    for i in range(len(moment)):
        for w in range(len(windows)):
            if age[i] <= windows[w]:
                most[w, moment[i]] = max(most[w, moment[i]], values[i])
    return most


@compiled
def add_inside(
    moment: Moments, start_age: Integers, end_age: Integers, windows: Integers, size: int
) -> Integers:
    """Add up the time that the events spent inside each window."""
    total = np.zeros((len(windows), size), np.int64)
    for i in range(len(moment)):
        for w in range(len(windows)):
            total[w, moment[i]] += max(min(start_age[i], windows[w]) - end_age[i], 0)
    return total


@compiled
def find_most_inside(
    moment: Moments, start_age: Integers, end_age: Integers, windows: Integers, size: int
) -> Integers:
    """Find the longest time that any of the events spent inside each window."""
    most = np.zeros((len(windows), size), np.int64)
    for i in range(len(moment)):
        for w in range(len(windows)):
            inside = min(start_age[i], windows[w]) - end_age[i]
            most[w, moment[i]] = max(most[w, moment[i]], inside)
    return most


@compiled
def count_in_span(moment: Moments, age: Integers, span: int) -> Integers:
    """Count, for each event, itself and those less than `span` younger; the oldest of a moment is first."""
    counts = np.empty(len(moment), np.int64)
    youngest = len(moment) - 1
    for i in range(len(moment) - 1, -1, -1):
        if moment[youngest] != moment[i]:
            youngest = i
        while age[i] - age[youngest] >= span:
            youngest -= 1
        counts[i] = youngest - i + 1
    return counts


# Different codes


@compiled
def find_youngest(moment: Moments, code: Codes, codes: int, age: Integers) -> tuple[Moments, Integers]:
    """Find the age of the youngest event with each code of a moment: pairs of moment and age.

    The events of a moment lie together.
    """
    pair = np.full(codes, -1, np.int32)
    found, youngest = np.empty(len(moment), np.int32), np.empty(len(moment), np.int64)
    pairs = 0
    for i in range(len(moment)):
        if code[i] < 0:
            continue
        p = pair[code[i]]
        if p < 0 or found[p] != moment[i]:
            pair[code[i]], found[pairs], youngest[pairs] = pairs, moment[i], age[i]
            pairs += 1
        else:
            youngest[p] = min(youngest[p], age[i])
    return found[:pairs], youngest[:pairs]


@compiled
def count_by_code(
    moment: Moments, code: Codes, codes: int, age: Integers, window: int
) -> tuple[Moments, Integers]:
    """Count the events in the window with each code of a moment: pairs of moment and number.

    The events of a moment lie together.
    """
    pair = np.full(codes, -1, np.int32)
    found, number = np.empty(len(moment), np.int32), np.empty(len(moment), np.int64)
    pairs = 0
    for i in range(len(moment)):
        if code[i] < 0 or age[i] > window:
            continue
        p = pair[code[i]]
        if p < 0 or found[p] != moment[i]:
            pair[code[i]], found[pairs], number[pairs] = pairs, moment[i], 1
            pairs += 1
        else:
            number[p] += 1
    return found[:pairs], number[:pairs]


@compiled
def _find_common(one: int, other: int) -> int:
    """Find the greatest number that divides both."""
    while other:
        one, other = other, one % other
    return one


@compiled
def find_entropy(moment: Moments, number: Integers, size: int) -> npt.NDArray[np.float64]:
    """Find the entropy, in nats, of the shares that the numbers of a moment have; null where there are none.

    The numbers of a moment lie together. They are divided by what divides them all and added up from the
    smallest, so that equal shares give the same bits whatever their total and order, and a single one 0.
    """
    entropy = np.full(size, np.nan)
    in_order = number.copy()
    first = 0
    while first < len(moment):
        last, common = first, 0
        while last < len(moment) and moment[last] == moment[first]:
            common = _find_common(number[last], common)
            place = last
            while place > first and in_order[place - 1] > number[last]:
                in_order[place] = in_order[place - 1]
                place -= 1
            in_order[place] = number[last]
            last += 1
        total, weighted = 0, 0.0
        for i in range(first, last):
            n = in_order[i] // common
            total += n
            if n > 1:
                weighted += n * np.log(n)
        entropy[moment[first]] = np.log(total) - weighted / total
        first = last
    return entropy


# Sums made numbers; NaN stands for null


@compiled
def to_days(microseconds: Integers, least: int) -> npt.NDArray[np.float64]:
    """Turn microseconds into days; what is below the least, or never, is null."""
    days = np.empty(microseconds.shape)
    for w in range(len(days)):
        given, row = microseconds[w], days[w]
        for m in range(len(row)):
            row[m] = given[m] / MICROSECONDS_PER_DAY if least <= given[m] < NEVER else np.nan
    return days


@compiled
def divide(parts: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Divide, null where there is nothing to divide by."""
    quotient = np.empty(parts.shape)
    for w in range(len(quotient)):
        part, base, row = parts[w], whole[w], quotient[w]
        for m in range(len(row)):
            row[m] = part[m] / base[m] if base[m] > 0 else np.nan
    return quotient


@compiled
def spread_bits(bits: Codes, most: int) -> npt.NDArray[np.bool_]:
    """Find, for each bit from the lowest, which numbers have it."""
    has = np.empty((most, len(bits)), np.bool_)
    for b in range(most):
        for i in range(len(bits)):
            has[b, i] = bits[i] >> b & 1
    return has
