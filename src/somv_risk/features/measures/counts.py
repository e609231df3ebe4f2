"""Measures that count events."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY, Lookback
from somv_risk.features._events import Events
from somv_risk.features._kinds import ANCHORS, BY_START_OR_END
from somv_risk.features._loops import Integers
from somv_risk.features.measures.measure import NEVER_NULL, NUMBER, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.sums import add_values, choose, count_chosen

HALF_LIFE_DAYS: Final = 100
# A weight has 24 binary digits and is halved exactly; weights are summed as whole parts of the scale, so that
# the sum has no order, and two events of half the weight are as much as one.
WEIGHT_DIGITS: Final = 24
DECAY_DIGITS: Final = 42


def compute_count(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Events in the window."""
    return [*count_chosen(choose(question, events), windows, events.size)]


def compute_any(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Whether there is any event in the window."""
    return [*(count_chosen(choose(question, events), windows, events.size) > 0)]


def compute_trend(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Events in the younger half of the window minus those in its older half."""
    halves = [window.half() for window in windows]
    counts = count_chosen(choose(question, events), [*windows, *halves], events.size)
    return [*(2 * counts[len(windows) :] - counts[: len(windows)])]


def compute_decayed(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Sum, over the events in the window, of one half to the power of age over 100 days."""
    chosen = choose(question, events)
    weights = _weigh(chosen.age)
    return [*(add_values(chosen, weights, windows, events.size) / 2**DECAY_DIGITS)]


def _weigh(age: Integers) -> Integers:
    """Weigh events by their age, in parts of which an event of this very moment has `2**DECAY_DIGITS`."""
    half_life = HALF_LIFE_DAYS * MICROSECONDS_PER_DAY
    halvings, since = np.divmod(age, half_life)
    within = np.rint(np.exp2(-since / half_life) * 2**WEIGHT_DIGITS)
    weights = np.rint(np.ldexp(within, DECAY_DIGITS - WEIGHT_DIGITS - halvings))
    return np.asarray(weights, dtype=np.int64)


MEASURES: Final[Mapping[str, Measure]] = {
    "count": Measure(compute_count, pl.Int32(), 0, NEVER_NULL, shape="number", anchors=ANCHORS),
    "any": Measure(
        compute_any,
        pl.Boolean(),
        when_none=False,
        null_means=NEVER_NULL,
        shape="yes_or_no",
        anchors=ANCHORS,
    ),
    "trend": Measure(
        compute_trend,
        pl.Int32(),
        0,
        NEVER_NULL,
        shape="difference",
        anchors=BY_START_OR_END,
        has_halves=True,
    ),
    # 2: what is equal by the words is equal to the bit.
    "decayed": Measure(
        compute_decayed,
        NUMBER,
        0,
        NEVER_NULL,
        shape="faded_number",
        anchors=BY_START_OR_END,
        version=2,
    ),
}
