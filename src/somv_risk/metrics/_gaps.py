"""Gaps: plain sentences about groups that fare otherwise than everybody else."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import polars as pl

from somv_risk.errors import ConfigError
from somv_risk.metrics._calibration import RATIO
from somv_risk.toml import load_packaged

DECIMAL_MARKS = {"en": ".", "da": ","}


def add_sentences(gaps: pl.DataFrame) -> pl.DataFrame:
    """Add the column `text`, a sentence in English for each gap."""
    text = [render_gap(row, "en") for row in gaps.iter_rows(named=True)]
    return gaps.with_columns(pl.Series("text", text, pl.String))


def render_gap(gap: Mapping[str, Any], language: str, name: str | None = None) -> str:
    """Write what differs for a group.

    Parameters
    ----------
    gap
        `grouping`, `group`, `metric`, the group's `value` and its `difference` to everybody else.
    language
        "en" or "da".
    name
        What the group is called; by default its grouping and its own name.

    Raises
    ------
    ConfigError
        If there are no sentences in that language.

    Examples
    --------
    >>> gap = {"grouping": "sex", "group": "male", "metric": "precision", "value": 0.25, "difference": -0.1}
    >>> render_gap(gap, "en")
    'sex male: of those on the list 25.0% had the outcome, against 35.0% of everybody else on it.'
    """
    texts = _load()
    if language not in texts:
        raise ConfigError(f"There are no sentences in language {language!r}. Known are {', '.join(texts)}.")
    value, other = gap["value"], gap["value"] - gap["difference"]
    write = _write_ratio if gap["metric"] == RATIO else _write_share
    return texts[language][gap["metric"]].format(
        name=name or f"{gap['grouping']} {gap['group']}",
        value=write(value, language),
        other=write(other, language),
    )


def _write_share(share: float, language: str) -> str:
    sign = "%" if language == "en" else " %"
    return f"{100 * share:.1f}".replace(".", DECIMAL_MARKS[language]) + sign


def _write_ratio(ratio: float, language: str) -> str:
    return f"{ratio:.2f}".replace(".", DECIMAL_MARKS[language])


@cache
def _load() -> dict[str, dict[str, str]]:
    return load_packaged("somv_risk.metrics", "gaps.toml")
