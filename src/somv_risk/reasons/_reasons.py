"""Reasons: which themes moved a person's score, each with the feature that says it best."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features import THEMES, Feature
from somv_risk.reasons._sentences import write_sentence

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reason:
    """One theme of one person.

    `contribution` is the theme's total in log-odds; `feature` the one in the theme that moves the score
    most in the theme's direction, `value` its value (null if unknown or a category), `text` a sentence.
    """

    theme: str
    feature: str
    value: float | None
    contribution: float
    text: str


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
    row: dict[str, object],
    totals: FloatArray,
    contributions: FloatArray,
    ranked: npt.NDArray[np.intp],
    language: str,
) -> Iterator[Reason]:
    for place in ranked:
        theme, total = themes[place], float(totals[place])
        if total == 0:
            continue
        feature = _pick_feature(features, contributions, theme, total)
        value = row[feature.name]
        number = None if value is None or isinstance(value, str) else float(value)  # type: ignore[arg-type]
        told = value if isinstance(value, str) else number
        yield Reason(theme, feature.name, number, total, write_sentence(feature, told, total, language))


def _pick_feature(
    features: tuple[Feature, ...], contributions: FloatArray, theme: str, total: float
) -> Feature:
    """Pick the feature of the theme that moves the score most in the theme's direction."""
    places = [place for place, feature in enumerate(features) if feature.definition.theme == theme]
    return features[max(places, key=lambda place: float(np.sign(total) * contributions[place]))]
