"""Sentences: one feature's value, its window and its direction, in plain words."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from types import MappingProxyType
from typing import Final

from somv_risk.codes import load_municipalities
from somv_risk.errors import ConfigError
from somv_risk.features import Feature
from somv_risk.reasons._numbers import round_half_up
from somv_risk.reasons._texts import (
    AGE,
    BANDED,
    CATEGORY,
    COUNTED,
    DAYS,
    GAP,
    LENGTH,
    RECENCY,
    SHAPES,
    SHARE,
    YES_OR_NO,
    Shape,
    Texts,
    load_texts,
)
from somv_risk.schema import MUNICIPALITY


def render_sentence(feature: Feature, value: float | str | None, contribution: float, language: str) -> str:
    """Write what a feature found in one person's history, and which way it pulls the risk.

    It never says why: neither why the value is what it is, nor that it brings anything about. A feature
    without texts of its own is told by its title.

    Parameters
    ----------
    value
        The feature's value: a number, 0 or 1 for no and yes, the text of a category, or None (or NaN)
        for null.
    contribution
        In log-odds; only its sign is told.

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
    """Tell several findings of one person, and then which way they pull the risk together."""
    texts = load_texts(language)
    told = [_tell_finding(feature, _read_value(feature, value), texts) for feature, value in findings]
    sentences = [f"{finding[0].upper()}{finding[1:]}" for finding in told]
    return " ".join([*sentences, texts.direction(contribution)])


def _read_value(feature: Feature, value: float | str | None) -> float | str | None:
    if value is None or feature.is_category:
        return None if value is None else str(value)
    if isinstance(value, str):
        raise ConfigError(f"Feature {feature.name!r} is a number but got a text. Give its value as built.")
    return None if isnan(value) else float(value)


def _tell_finding(feature: Feature, value: float | str | None, texts: Texts) -> str:
    forms = texts.features.get(feature.definition.id, {})
    template = forms.get(_choose_form(feature, value, texts)) or texts.fallback[_choose_fallback(feature)]
    return template.format(**_list_words(feature, value, texts))


def _choose_fallback(feature: Feature) -> str:
    return "windowed" if feature.window else "plain"


def _list_words(feature: Feature, value: float | str | None, texts: Texts) -> dict[str, str]:
    written = _format_value(feature, value, texts)
    return {
        "title": feature.definition.title[texts.language],
        "value": written,
        "window": texts.window(feature.window.days) if feature.window else "",
        _shape(feature).placeholder or "value": written,
    }


def _shape(feature: Feature) -> Shape:
    return SHAPES[feature.definition.measure]


def _format_value(feature: Feature, value: float | str | None, texts: Texts) -> str:
    if value is None:
        return texts.fallback["null"]
    if isinstance(value, str):
        is_code = feature.definition.value == MUNICIPALITY
        return load_municipalities().get(value, value) if is_code else value
    if _shape(feature) is YES_OR_NO:
        return texts.fallback[_choose_yes_or_no(value)]
    return _format_number(_shape(feature).placeholder, value, texts)


def _format_number(placeholder: str | None, value: float, texts: Texts) -> str:
    match placeholder:
        case "n":
            return str(round_half_up(value))
        case "days":
            return texts.numbers.format_days(value)
        case "duration":
            return texts.numbers.format_duration(value)
        case "percent":
            return texts.numbers.format_percent(value)
    return texts.numbers.format_number(value)


def _choose_form(feature: Feature, value: float | str | None, texts: Texts) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if value in texts.features.get(feature.definition.id, {}) else "other"
    if _shape(feature) is BANDED:
        return _choose_band(texts.bands[feature.definition.measure], value)
    if _shape(feature) is DAYS:
        return _choose_days(value, feature.lookback.days)
    return _CHOOSERS[_shape(feature)](value)


def _choose_band(bands: Mapping[str, float], value: float) -> str:
    # An entropy of nothing but one unit can come out a hair below 0.
    return [name for name, start in bands.items() if start <= max(value, 0)][-1]


def _choose_days(days: float, window: int) -> str:
    if days >= window - 0.5:
        return "all"
    return "zero" if days <= 0 else "other"


def _choose_counted(value: float) -> str:
    return {0: "zero", 1: "one"}.get(round_half_up(value), "other")


def _choose_age(value: float) -> str:
    return "one" if round_half_up(value) == 1 else "other"


def _choose_recency(days: float) -> str:
    return "today" if days < 1 else "other"


def _choose_share(share: float) -> str:
    if share >= 1:
        return "all"
    return "zero" if share <= 0 else "other"


def _choose_yes_or_no(value: float) -> str:
    return "yes" if value >= 0.5 else "no"


def _choose_other(_: float) -> str:
    return "other"


_CHOOSERS: Final[Mapping[Shape, Callable[[float], str]]] = MappingProxyType(
    {
        COUNTED: _choose_counted,
        RECENCY: _choose_recency,
        LENGTH: _choose_other,
        GAP: _choose_other,
        SHARE: _choose_share,
        YES_OR_NO: _choose_yes_or_no,
        AGE: _choose_age,
        CATEGORY: _choose_other,
    }
)
