"""Reasons: which themes and which features moved a person's score, each in a sentence."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.features import THEMES, Feature
from somv_risk.scoring.reasons._choice import pick_places
from somv_risk.scoring.reasons._sentences import render_reason, render_sentence

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reason:
    """One theme of one person.

    `contribution` is the theme's total in log-odds; `text` tells the features in `told`, and whether the
    theme raises or lowers; `feature` is the first of them, `value` its value (null if unknown or a
    category). `changeable` says that at least one of those told can be worked with, never that this would
    lower the risk.
    """

    theme: str
    feature: str
    value: float | None
    contribution: float
    changeable: bool
    text: str
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeatureReason:
    """One feature of one person.

    `value` is null if unknown or a category, `contribution` in log-odds, `text` the sentence that tells the
    value and whether it raises or lowers; `changeable` says whether it can be worked with.
    """

    feature: str
    theme: str
    value: float | None
    contribution: float
    changeable: bool
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
    absent: Collection[str] = (),
) -> list[list[Reason]]:
    """Build the reasons of each row, at most `count` themes, the largest contribution first.

    What raises and what lowers stand among each other: the size decides, and each reason says its direction.

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
    ranked = _rank_by_size(totals)
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


def build_feature_reasons(
    features: tuple[Feature, ...], frame: pl.DataFrame, contributions: FloatArray, *, language: str
) -> list[list[FeatureReason]]:
    """Build a reason per feature of each row: all whose contribution is not zero, the largest first.

    With the base value they sum to the raw score. So those of a table that was not delivered are among
    them, told as missing information.

    Parameters
    ----------
    frame
        The features of the rows, as built.
    contributions
        Shape (rows, features + 1), log-odds, the last column the base value.
    """
    pulls = contributions[:, :-1]
    return [
        [
            _tell_feature(features[place], row[features[place].name], float(values[place]), language)
            for place in order
            if values[place] != 0
        ]
        for row, values, order in zip(frame.iter_rows(named=True), pulls, _rank_by_size(pulls), strict=True)
    ]


def _rank_by_size(contributions: FloatArray) -> npt.NDArray[np.intp]:
    """Rank the places of each row, the largest first whatever its sign."""
    return np.argsort(-np.abs(contributions), axis=1, kind="stable")


def _tell_feature(
    feature: Feature, value: float | str | None, contribution: float, language: str
) -> FeatureReason:
    return FeatureReason(
        feature=feature.name,
        theme=feature.definition.theme,
        value=_to_number(value),
        contribution=contribution,
        changeable=feature.definition.changeable,
        text=render_sentence(feature, value, contribution, language),
    )


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
        told = [features[place] for place in pick_places(features, places.get(theme, {}), pulls)]
        if told:
            findings = [(feature, row[feature.name]) for feature in told]
            yield Reason(
                theme=theme,
                feature=told[0].name,
                value=_to_number(findings[0][1]),
                contribution=total,
                changeable=any(feature.definition.changeable for feature in told),
                text=render_reason(findings, total, language),
                told=tuple(feature.name for feature in told),
            )


def _to_number(value: float | str | None) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)
