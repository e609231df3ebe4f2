"""Sums: what measures share. Choose events, keep those in the window, add each to the number of its moment.

Sums run over integers and are divided once at the end, so the result depends neither on the order of the
events nor on who else is measured, and what is equal by the words of a measure is equal to the bit.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from somv_risk.cohort.windows import Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Array, Chosen, Events
from somv_risk.features._loops import NEVER, Codes, Integers, Mask, Moments, Places
from somv_risk.features.measures.measure import Column
from somv_risk.features.measures.question import Question

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

ALL_TIME: Final = np.array([NEVER], dtype=np.int64)
ALL_TIME.flags.writeable = False


def choose(question: Question, events: Events) -> Chosen:
    """Choose the events that have the flags `where` and match the texts."""
    return events.choose(question.where, question.match, question.anchor)


def choose_base(question: Question, events: Events) -> Chosen:
    """Choose the events with the flags `of`, of which a share or a last one is taken."""
    return events.choose(question.of, anchor=question.anchor)


def choose_asked(question: Question, events: Events) -> Chosen:
    """Choose, of the events `of`, those that are also `where`."""
    return events.choose((*question.of, *question.where), question.match, question.anchor)


def keep_chosen(chosen: Chosen, kept: Mask, values: Integers) -> tuple[Chosen, Integers]:
    """Keep some of those chosen, and their values."""
    rows = np.flatnonzero(kept)
    return Chosen(None, chosen.moment[rows], chosen.age[rows]), values[rows]


# The following work on all windows at once: their results have the shape (windows, moments).


def count_chosen(chosen: Chosen, windows: Sequence[Lookback], size: int) -> Counts:
    """Count those chosen in each window."""
    order, lengths = _sort_lengths(tuple(windows))
    return loops.count(chosen.moment, chosen.age, lengths, size)[order]


def add_values(chosen: Chosen, values: Integers, windows: Sequence[Lookback], size: int) -> Integers:
    """Add up the values of those chosen in each window."""
    return loops.add(chosen.moment, chosen.age, values, list_lengths(tuple(windows)), size)


def find_least(chosen: Chosen, values: Integers, windows: Sequence[Lookback], size: int) -> Integers:
    """Find the smallest of the values in each window, never if there is none."""
    return loops.find_least(chosen.moment, chosen.age, values, list_lengths(tuple(windows)), size)


def find_most(chosen: Chosen, values: Integers, windows: Sequence[Lookback], size: int) -> Integers:
    """Find the largest of the values in each window, -1 if there is none."""
    return loops.find_most(chosen.moment, chosen.age, values, list_lengths(tuple(windows)), size)


@cache
def _sort_lengths(windows: tuple[Lookback, ...]) -> tuple[Places | slice, Integers]:
    """Sort the lengths; returns where each window then stands, and the lengths."""
    lengths = list_lengths(windows)
    if (np.diff(lengths) >= 0).all():
        return slice(None), lengths
    order = np.argsort(lengths, kind="stable")
    in_order = lengths[order]
    in_order.flags.writeable = False
    return np.argsort(order), in_order


@cache
def list_lengths(windows: tuple[Lookback, ...]) -> Integers:
    """List the lengths of windows in microseconds."""
    lengths = np.array([window.microseconds for window in windows], dtype=np.int64)
    lengths.flags.writeable = False
    return lengths


def list_in_days(microseconds: Integers, least: int = -NEVER) -> list[Column]:
    """List the columns in days; what is below the least, or never, is null."""
    return [*loops.to_days(microseconds, least)]


def list_quotients(parts: Array, whole: Array) -> list[Column]:
    """List the quotients, null where there is nothing to divide by."""
    return [*loops.divide(parts, whole)]


# Values that are texts


def is_in_order(moment: Moments) -> bool:
    """Whether events lie in order of moment; those of several kinds lie one kind after the other."""
    return bool((moment[1:] >= moment[:-1]).all())


def gather_codes(chosen: Chosen, codes: Codes) -> tuple[Moments, Codes, Integers]:
    """Return moment, code and age of those chosen, with what is seen from a moment lying together."""
    moment, code, age = chosen.moment, chosen.take(codes), chosen.age
    if is_in_order(moment):
        return moment, code, age
    order = np.argsort(moment, kind="stable")
    return moment[order], code[order], age[order]


def find_youngest(chosen: Chosen, events: Events, measured: str) -> Chosen:
    """Find the youngest of those chosen for each moment and value."""
    coded = events.coded[measured]
    moment, code, age = gather_codes(chosen, coded.codes)
    return Chosen(None, *loops.find_youngest(moment, code, len(coded), age))
