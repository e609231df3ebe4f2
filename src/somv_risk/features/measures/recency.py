"""Measures of how long ago events were."""

from collections.abc import Mapping, Sequence
from typing import Final

from somv_risk.cohort.windows import Lookback
from somv_risk.features._events import Events
from somv_risk.features._kinds import BY_START_OR_END
from somv_risk.features.measures.measure import NO_EVENT, NUMBER, Column, Measure
from somv_risk.features.measures.question import Question
from somv_risk.features.measures.selection import is_earliest, is_latest, keep_decisive
from somv_risk.features.measures.sums import choose, find_least, find_most, list_in_days


def compute_days_since(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days from the latest event in the window to the index."""
    chosen = choose(question, events)
    return list_in_days(find_least(chosen, chosen.age, windows, events.size))


def compute_days_since_first(question: Question, events: Events, windows: Sequence[Lookback]) -> list[Column]:
    """Days from the earliest event in the window to the index."""
    chosen = choose(question, events)
    return list_in_days(find_most(chosen, chosen.age, windows, events.size), least=0)


MEASURES: Final[Mapping[str, Measure]] = {
    "days_since": Measure(
        compute_days_since,
        NUMBER,
        None,
        NO_EVENT,
        shape="how_long_ago",
        anchors=BY_START_OR_END,
        keep_evidence=keep_decisive(is_latest),
    ),
    "days_since_first": Measure(
        compute_days_since_first,
        NUMBER,
        None,
        NO_EVENT,
        shape="how_long_ago",
        anchors=BY_START_OR_END,
        keep_evidence=keep_decisive(is_earliest),
    ),
}
