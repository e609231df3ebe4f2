"""Change: what a feature said of a person then and says now, and which way it has pulled the risk since."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from somv_risk.features import Feature
from somv_risk.scoring.reasons._sentences import render_finding
from somv_risk.scoring.reasons._texts import load_texts
from somv_risk.toml import load_packaged

Value = float | str | None
Note = Literal["rest", "time", "left"]


@dataclass(frozen=True, slots=True)
class ChangeTexts:
    """The words of one language about what has changed.

    `moved`, `alike` and `same` tell a finding that reads otherwise than then, that reads alike though its
    value is another, and whose value is the same. `rest`, `time` and `left` are notes: that what has changed
    is the company it is seen in, or that the events behind it are the same, or only fewer. `raises` and
    `lowers` say which way it pulls; `new`, `gone` and `altered` label events.
    """

    review: str
    moved: str
    alike: str
    same: str
    rest: str
    time: str
    left: str
    raises: str
    lowers: str
    new: str
    gone: str
    altered: str


def load_change_texts(language: str) -> ChangeTexts:
    """Load the packaged words of a language.

    Raises
    ------
    ConfigError
        If there are no texts in that language.
    """
    load_texts(language)  # refuses a language that there is not
    return _load()[language]


@cache
def _load() -> Mapping[str, ChangeTexts]:
    texts = load_packaged("somv_risk.scoring.reasons", "change.toml")
    return {language: ChangeTexts(**words) for language, words in texts.items()}


def render_change(
    feature: Feature, then: Value, now: Value, contribution: float, language: str, *, note: Note | None
) -> str:
    """Write what a feature said then and says now, and which way that has pulled the estimated risk.

    Like every reason it never says why.

    Parameters
    ----------
    then, now
        The feature's values: a number, the text of a category, or None for null.
    contribution
        How much more is contributed now than then, in log-odds; only its sign is told.
    note
        What is to be said besides, if anything: see `ChangeTexts`.

    Raises
    ------
    ConfigError
        If there are no texts in that language.

    Examples
    --------
    >>> from somv_risk.features import load_catalogue
    >>> feature = {feature.name: feature for feature in load_catalogue()}["acute_admissions_365d"]
    >>> print(render_change(feature, 2, 5, 0.7, "en", note=None))
    Then: 2 acute admissions in the past year. Now: 5 acute admissions in the past year. Compared with then, \
this pulls the estimated risk up.
    """
    texts = load_change_texts(language)
    told_then, told_now = (render_finding(feature, value, language) for value in (then, now))
    form = texts.same if then == now else texts.moved if told_then != told_now else texts.alike
    parts = [
        form.format(then=told_then, now=told_now),
        *([getattr(texts, note)] if note else []),
        texts.raises if contribution > 0 else texts.lowers,
    ]
    return " ".join(parts)
