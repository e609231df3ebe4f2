"""Reasons: which themes moved a person's score, each with the feature that says it best."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
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
) -> list[list[Reason]]:
    """Build the reasons of each row, at most `count` themes.

    A person above the base value is told first what raises the score, one below it what lowers it.

    Parameters
    ----------
    frame
        The features of the rows, as built.
    contributions
        Shape (rows, features + 1), log-odds, the last column the base value.
    """
    if not len(contributions):
        return []
    themes, totals = sum_themes(features, contributions)
    leaning = np.where(contributions[:, :-1].sum(axis=1) >= 0, 1.0, -1.0)
    ranked = np.argsort(-leaning[:, None] * totals, axis=1, kind="stable")[:, :count]
    return [
        list(_tell_row(features, themes, row, totals[place], contributions[place], ranked[place], language))
        for place, row in enumerate(frame.iter_rows(named=True))
    ]


def _tell_row(
    features: tuple[Feature, ...],
    themes: list[str],
    row: dict[str, Any],
    totals: FloatArray,
    contributions: FloatArray,
    ranked: npt.NDArray[np.intp],
    language: str,
) -> Iterator[Reason]:
    for place in ranked:
        theme, total = themes[place], float(totals[place])
        if total != 0:
            told = _pick_features(features, contributions, theme, total)
            findings = [(feature, row[feature.name]) for feature in told]
            text = render_reason(findings, total, language)
            yield Reason(
                theme, told[0].name, _to_number(findings[0][1]), total, text, tuple(f.name for f in told)
            )


def _to_number(value: float | str | None) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _pick_features(
    features: tuple[Feature, ...], contributions: FloatArray, theme: str, total: float
) -> list[Feature]:
    """Pick the one or two features that say the theme best, in the theme's direction.

    The same thing counted over several windows shares its weight among them, so definitions are weighed by
    the sum over their windows, and each is told by its weightiest window. Of those that carry at least a
    tenth of the heaviest, the ones whose direction is beyond dispute come first: that somebody was in
    treatment is a poor thing to be told as a reason for concern.
    """
    pulls: dict[str, list[tuple[float, int]]] = {}
    for place, feature in enumerate(features):
        if feature.definition.theme == theme:
            pull = float(np.sign(total) * contributions[place])
            pulls.setdefault(feature.definition.id, []).append((pull, place))
    weights = {identity: sum(pull for pull, _ in windows) for identity, windows in pulls.items()}
    told = [identity for identity in weights if weights[identity] >= LEAST_SHARE * max(weights.values())]
    best = {identity: features[max(pulls[identity])[1]] for identity in told}
    ranked = sorted(told, key=lambda identity: (best[identity].definition.monotone == 0, -weights[identity]))
    return [best[identity] for identity in ranked[:TOLD_PER_THEME]]
