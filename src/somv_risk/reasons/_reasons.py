"""Reasons: which themes moved a person's score, each with the feature that says it best."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features import THEMES, Feature
from somv_risk.reasons._sentences import render_reason

FloatArray = npt.NDArray[np.float64]

TOLD_PER_THEME: Final = 2
LEAST_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Reason:
    """One theme of one person.

    `contribution` is the theme's total in log-odds; `feature` what in the theme moves the score most in
    the theme's direction, `value` its value (null if unknown or a category); `text` tells the features in
    `told`, and the direction.
    """

    theme: str
    feature: str
    value: float | None
    contribution: float
    text: str
    told: tuple[str, ...]


def sum_themes(features: tuple[Feature, ...], contributions: FloatArray) -> tuple[list[str], FloatArray]:
    """Sum contributions of shape (rows, features + 1) per theme; returns the themes and (rows, themes)."""
    themes = np.array([THEMES.index(feature.definition.theme) for feature in features])
    order = np.argsort(themes, kind="stable")
    starts = [next(places)[0] for _, places in groupby(enumerate(themes[order]), key=lambda pair: pair[1])]
    totals = np.add.reduceat(contributions[:, order], starts, axis=1)
    return [THEMES[themes[order][start]] for start in starts], np.asarray(totals, dtype=np.float64)


def build_reasons(
    features: tuple[Feature, ...],
    frame: pl.DataFrame,
    contributions: FloatArray,
    *,
    count: int,
    language: str,
    absent: Collection[str] = (),
) -> list[list[Reason]]:
    """Build the reasons of each row, at most `count` themes.

    A person above the base value is told first what raises the score, one below it what lowers it.

    Parameters
    ----------
    frame
        The features of the rows, as built.
    contributions
        Shape (rows, features + 1), log-odds, the last column the base value.
    absent
        Tables that were not delivered: what nobody can know of a person is a warning, never a reason.
    """
    if not len(contributions):
        return []
    themes, totals = sum_themes(features, contributions)
    leaning = np.where(contributions[:, :-1].sum(axis=1) >= 0, 1.0, -1.0)
    ranked = np.argsort(-leaning[:, None] * totals, axis=1, kind="stable")
    places = _list_places(features, absent)
    return [
        list(
            islice(
                _tell_row(features, places, row, values, zip(themes, total, strict=True), order, language),
                count,
            )
        )
        for row, values, total, order in zip(
            frame.iter_rows(named=True), contributions, totals.tolist(), ranked, strict=True
        )
    ]


def _list_places(features: tuple[Feature, ...], absent: Collection[str]) -> dict[str, dict[str, list[int]]]:
    """List the columns that can be told: theme -> definition -> places of its windows."""
    places: dict[str, dict[str, list[int]]] = {}
    for place, feature in enumerate(features):
        if not set(feature.definition.tables) & set(absent):
            theme = places.setdefault(feature.definition.theme, {})
            theme.setdefault(feature.definition.id, []).append(place)
    return places


def _tell_row(
    features: tuple[Feature, ...],
    places: dict[str, dict[str, list[int]]],
    row: dict[str, Any],
    contributions: FloatArray,
    totals: Iterable[tuple[str, float]],
    order: npt.NDArray[np.intp],
    language: str,
) -> Iterator[Reason]:
    listed = list(totals)
    for theme, total in (listed[number] for number in order):
        pulls = np.sign(total) * contributions
        told = [features[place] for place in _pick_places(features, places.get(theme, {}), pulls)]
        if told:
            findings = [(feature, row[feature.name]) for feature in told]
            text = render_reason(findings, total, language)
            names = tuple(feature.name for feature in told)
            yield Reason(theme, names[0], _to_number(findings[0][1]), total, text, names)


def _to_number(value: float | str | None) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _pick_places(features: tuple[Feature, ...], places: dict[str, list[int]], pulls: FloatArray) -> list[int]:
    """Pick the one or two features that say the theme best, in the theme's direction.

    The same thing counted over several windows shares its weight among them, so definitions are weighed by
    the sum over their windows, and each is told by its weightiest window. Of those that carry at least a
    tenth of the heaviest, the ones whose direction is beyond dispute come first: that somebody was in
    treatment is a poor thing to be told as a reason for concern.
    """
    weights = {identity: float(sum(pulls[place] for place in own)) for identity, own in places.items()}
    heaviest = max(weights.values(), default=0.0)
    if heaviest <= 0:
        return []
    told = [identity for identity in places if weights[identity] >= LEAST_SHARE * heaviest]
    best = {identity: max(places[identity], key=lambda place: float(pulls[place])) for identity in told}
    is_disputed = {identity: features[best[identity]].definition.monotone == 0 for identity in told}
    ranked = sorted(told, key=lambda identity: (is_disputed[identity], -weights[identity]))
    return [best[identity] for identity in ranked[:TOLD_PER_THEME]]
