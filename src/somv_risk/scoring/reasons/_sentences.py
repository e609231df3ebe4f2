"""Sentences: one feature's value, its window and its direction, in plain words."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import isnan
from types import MappingProxyType
from typing import Final

from somv_risk.errors import ConfigError
from somv_risk.features import Feature, load_definitions
from somv_risk.registers.codes import load_municipalities
from somv_risk.registers.schema import MUNICIPALITY
from somv_risk.scoring.reasons._numbers import NumberWords, round_half_up
from somv_risk.scoring.reasons._shapes import choose_yes_or_no, get_shape
from somv_risk.scoring.reasons._texts import Texts, load_texts


def render_sentence(feature: Feature, value: float | str | None, contribution: float, language: str) -> str:
    """Write what a feature found in one person's history, and which way it pulls the risk.

    It never says why: neither why the value is what it is, nor that it brings anything about. A feature
    without texts of its own is named by its title.

    Parameters
    ----------
    value
        The feature's value: a number, 0 or 1 for no and yes, the text of a category, or None (or NaN)
        for null.
    contribution
        In log-odds; only its sign matters.

    Raises
    ------
    ConfigError
        If there are no texts in that language, or a feature that is a number is given a text.

    Examples
    --------
    >>> from somv_risk.features import load_catalogue
    >>> feature = {feature.name: feature for feature in load_catalogue()}["acute_admissions_365d"]
    >>> render_sentence(feature, 12, 0.8, "en")
    '12 acute admissions in the past year. This raises the estimated risk.'
    >>> render_sentence(feature, 0, -0.3, "da")
    'Ingen akutte indlæggelser det seneste år. Det trækker den beregnede risiko ned.'
    """
    return render_reason([(feature, value)], contribution, language)


def render_reason(
    findings: Sequence[tuple[Feature, float | str | None]], contribution: float, language: str
) -> str:
    """Write several findings of one person, and then which way they pull the risk together.

    Two findings that read alike are written once.
    """
    sentences = [render_finding(feature, value, language) for feature, value in findings]
    return " ".join([*dict.fromkeys(sentences), load_texts(language).direction(contribution)])


def render_finding(feature: Feature, value: float | str | None, language: str) -> str:
    """Write what a feature found in one person's history, and nothing about the risk."""
    finding = _format_finding(feature, _read_value(feature, value), load_texts(language))
    return f"{finding[0].upper()}{finding[1:]}"


def _read_value(feature: Feature, value: float | str | None) -> float | str | None:
    if value is None or feature.is_category:
        return None if value is None else str(value)
    if isinstance(value, str):
        raise ConfigError(f"Feature {feature.name!r} is a number but got a text. Give its value as built.")
    return None if isnan(value) else float(value)


def _format_finding(feature: Feature, value: float | str | None, texts: Texts) -> str:
    forms = _find_forms(feature, texts)
    template = forms.get(_choose_form(feature, value, texts)) or texts.fallback[_choose_fallback(feature)]
    return template.format(**_list_words(feature, value, texts))


def _find_forms(feature: Feature, texts: Texts) -> Mapping[str, str]:
    """Find the texts of a feature; one that only shares an id with the catalogue has none."""
    is_ours = _list_measures().get(feature.definition.id) == feature.definition.measure
    return texts.features.get(feature.definition.id, {}) if is_ours else {}


@cache
def _list_measures() -> Mapping[str, str]:
    return MappingProxyType({definition.id: definition.measure for definition in load_definitions()})


def _choose_fallback(feature: Feature) -> str:
    return "windowed" if feature.window else "plain"


def _list_words(feature: Feature, value: float | str | None, texts: Texts) -> dict[str, str]:
    shape = get_shape(feature)
    words = {
        "title": feature.definition.title_in(texts.language),
        "value": _format_value(feature, value, shape.written_as or shape.placeholder, texts),
        **_list_windows(feature, texts),
    }
    if shape.placeholder:
        words[shape.placeholder] = _format_value(feature, _drop_sign(value), shape.placeholder, texts)
    return words


def _drop_sign(value: float | str | None) -> float | str | None:
    # Only differences have a sign, and their forms say which way they go.
    return abs(value) if isinstance(value, float) else value


def _list_windows(feature: Feature, texts: Texts) -> dict[str, str]:
    if not feature.window:
        return {"window": ""}
    days, half = feature.window.days, feature.window.days // 2
    return {"window": texts.window(days), "recent": texts.window(half), "earlier": texts.window_before(half)}


def _format_value(feature: Feature, value: float | str | None, written_as: str | None, texts: Texts) -> str:
    if value is None:
        return texts.fallback["null"]
    if isinstance(value, str):
        is_code = feature.definition.value == MUNICIPALITY
        return load_municipalities().get(value, value) if is_code else value
    return _format_number(written_as, value, texts)


def _format_number(written_as: str | None, value: float, texts: Texts) -> str:
    match written_as:
        case "n":
            return str(round_half_up(value))
        case "yes_or_no":
            return texts.fallback[choose_yes_or_no(value)]
    return _WRITERS.get(written_as, NumberWords.format_number)(texts.numbers, value)


_WRITERS: Final[Mapping[str | None, Callable[[NumberWords, float], str]]] = MappingProxyType(
    {
        "days": NumberWords.format_days,
        "duration": NumberWords.format_duration,
        "percent": NumberWords.format_percent,
        "signed": NumberWords.format_signed,
    }
)


def _choose_form(feature: Feature, value: float | str | None, texts: Texts) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if value in texts.features.get(feature.definition.id, {}) else "other"
    shape = get_shape(feature)
    if shape.least is not None:
        return _choose_band(texts.bands[feature.definition.measure], value)
    return _choose_days(value, feature.lookback.days) if shape.fills_window else shape.choose(value)


def _choose_band(bands: Mapping[str, float], value: float) -> str:
    # An entropy of nothing but one unit can come out a hair below 0, where its bands start.
    lowest, *_ = bands
    return [lowest, *(name for name, start in bands.items() if start <= value)][-1]


def _choose_days(days: float, window: int) -> str:
    if days >= window - 0.5:
        return "all"
    return "zero" if days <= 0 else "other"
