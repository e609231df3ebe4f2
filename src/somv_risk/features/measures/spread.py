"""Measures of how events are spread over different values, such as contacts over units."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from somv_risk.cohort.windows import Lookback
from somv_risk.features import _loops as loops
from somv_risk.features._events import Events
from somv_risk.features._kinds import BY_START_OR_END, ValueKind
from somv_risk.features._loops import Integers, Moments
from somv_risk.features.measures.measure import NUMBER, WITHOUT_VALUE, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.sums import ALL_TIME, choose, gather_codes, list_quotients

# Far finer than one contact more, far coarser than what logarithms of different libraries differ by.
ENTROPY_DECIMALS: Final = 9


def _count_by_value(
    question: Question, events: Events, windows: Sequence[Lookback]
) -> list[tuple[Moments, Integers]]:
    """Count the chosen events of each moment and value, for each window: moments and numbers."""
    chosen, coded = choose(question, events), events.coded[question.measured]
    moment, code, age = gather_codes(chosen, coded.codes)
    return [loops.count_by_code(moment, code, len(coded), age, window.microseconds) for window in windows]


def _add_all(moment: Moments, values: Integers, size: int) -> Integers:
    """Add up values per moment, without a window."""
    return loops.add(moment, np.zeros(len(moment), dtype=np.int64), values, ALL_TIME, size)


def _find_most_of_all(moment: Moments, values: Integers, size: int) -> Integers:
    return loops.find_most(moment, np.zeros(len(moment), dtype=np.int64), values, ALL_TIME, size)


def compute_continuity(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the Bice-Boxerman continuity of care: 1 if all contacts are with one unit, 0 if all differ.

    With n contacts per unit and N in all: (sum n^2 - N) / (N (N - 1)); null below two contacts.
    Source: Bice and Boxerman, Medical Care 1977, doi:10.1097/00005650-197704000-00010.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(question, events, windows):
        total = _add_all(moment, n, events.size)
        columns += list_quotients(_add_all(moment, n * n, events.size) - total, total * (total - 1))
    return columns


def compute_concentration(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the usual provider continuity (UPC): the share of contacts with the most frequent unit.

    Source: Breslau and Reeb, Journal of Medical Education 1975, doi:10.1097/00001888-197510000-00006.
    """
    columns: list[Column] = []
    for moment, n in _count_by_value(question, events, windows):
        most = _find_most_of_all(moment, n, events.size)
        columns += list_quotients(most, _add_all(moment, n, events.size))
    return columns


def compute_entropy(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Compute the Shannon entropy (nats) of contacts over units: 0 if all are with one unit.

    Equal to ln N - (sum n ln n) / N for n contacts per unit and N in all; rounded to nine decimals.
    """
    counted = _count_by_value(question, events, windows)
    return [np.round(loops.find_entropy(*counts, events.size), ENTROPY_DECIMALS) for counts in counted]


_NAMES: Final = (ValueKind.NAME,)

MEASURES: Final[Mapping[str, Measure]] = {
    "continuity": Measure(
        compute_continuity,
        NUMBER,
        None,
        "fewer than two such events with a value in the window",
        shape="variety",
        value_kinds=_NAMES,
        anchors=BY_START_OR_END,
    ),
    "concentration": Measure(
        compute_concentration,
        NUMBER,
        None,
        WITHOUT_VALUE,
        shape="largest_percent",
        value_kinds=_NAMES,
        anchors=BY_START_OR_END,
    ),
    # 2: what is equal by the words is equal to the bit.
    "entropy": Measure(
        compute_entropy,
        NUMBER,
        None,
        WITHOUT_VALUE,
        shape="variety",
        value_kinds=_NAMES,
        anchors=BY_START_OR_END,
        version=2,
    ),
}
