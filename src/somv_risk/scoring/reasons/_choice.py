"""Choice: which one or two features of a theme say it best."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from somv_risk.features import Feature
from somv_risk.scoring.reasons._shapes import Shape, get_shape

TOLD_PER_THEME: Final = 2
LEAST_SHARE: Final = 0.1
PLAINER_SHARE: Final = 0.5


class _Candidate(NamedTuple):
    """A definition that may tell a theme: its weightiest column, and what speaks for it."""

    place: int
    weight: float
    is_disputed: bool
    shape: Shape
    counted: tuple[object, ...]


def pick_places(
    features: tuple[Feature, ...], places: dict[str, list[int]], pulls: npt.NDArray[np.float64]
) -> list[int]:
    """Pick the one or two features that say the theme best, in the theme's direction.

    The ones whose direction is beyond dispute come first: that somebody was in treatment is a poor thing
    to be told as a reason for concern. Of these the heaviest, unless something plainer is half as heavy;
    and what only repeats it is left out.
    """
    candidates = sorted(
        _list_candidates(features, places, pulls), key=lambda each: (each.is_disputed, -each.weight)
    )
    told: list[int] = []
    while candidates and len(told) < TOLD_PER_THEME:
        chosen = _choose_plainest(candidates)
        told.append(chosen.place)
        candidates = [each for each in candidates if each is not chosen and not _repeats(each, chosen)]
    return told


def _list_candidates(
    features: tuple[Feature, ...], places: dict[str, list[int]], pulls: npt.NDArray[np.float64]
) -> list[_Candidate]:
    """List the definitions that carry at least a tenth of the heaviest.

    The same thing counted over several windows shares its weight among them, so definitions are weighed by
    the sum over their windows, and each is told by its weightiest window.
    """
    weights = {identity: float(sum(pulls[place] for place in own)) for identity, own in places.items()}
    heaviest = max(weights.values(), default=0.0)
    if heaviest <= 0:
        return []
    best = {
        identity: max(own, key=lambda place: float(pulls[place]))
        for identity, own in places.items()
        if weights[identity] >= LEAST_SHARE * heaviest
    }
    return [
        _Candidate(
            place,
            weights[identity],
            feature.definition.monotone == 0,
            get_shape(feature),
            _list_counted(feature),
        )
        for identity, place in best.items()
        for feature in [features[place]]
    ]


def _list_counted(feature: Feature) -> tuple[object, ...]:
    """List what tells which events a feature looks at."""
    definition = feature.definition
    return definition.events, definition.where, *sorted(definition.match.items())


def _repeats(candidate: _Candidate, told: _Candidate) -> bool:
    return candidate.shape.repeats and candidate.counted == told.counted


def _choose_plainest(candidates: list[_Candidate]) -> _Candidate:
    """Choose the plainest of the first and of those as sure as it that carry half its weight."""
    first = candidates[0]
    near = [
        each
        for each in candidates
        if each.is_disputed == first.is_disputed and each.weight >= PLAINER_SHARE * first.weight
    ]
    return min(near, key=lambda each: each.shape.rank)
