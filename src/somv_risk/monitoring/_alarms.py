"""Alarms: what is beyond its limit, each with a sentence in the languages of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.report.wording import Wording, load_wording
from somv_risk.toml import load_packaged

NOTHING: Final[Mapping[str, float | datetime]] = MappingProxyType({})
# How the numbers of a kind are written; the others with the digits that matter.
SHARES: Final = frozenset(
    (
        "persons",
        "set_aside",
        "column_nulls",
        "stopped",
        "weeks_low",
        "weeks_high",
        "arrivals_stopped",
        "feature_nulls",
        "precision",
        "turnover",
    )
)
SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "kind": pl.String,
    "what": pl.String,
    "value": pl.Float64,
    "limit": pl.Float64,
    "text": pl.String,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing beyond its limit: a kind of `alarms.toml`, what it is about, the value and the limit."""

    kind: str
    what: str
    value: float | None = None
    limit: float | None = None
    more: Mapping[str, float | datetime] = field(default_factory=lambda: NOTHING)

    def say(self, language: str = "en") -> str:
        """Say it in a sentence."""
        words = load_wording(language)
        style = "share" if self.kind in SHARES else "significant"
        told = {name: _write(words, name, given) for name, given in self.more.items()}
        numbers = {"value": words.quantity(self.value, style), "limit": words.quantity(self.limit, style)}
        return _read_texts()[language][self.kind].format(what=self.what, **numbers, **told)


def _write(words: Wording, name: str, given: float | datetime) -> str:
    if isinstance(given, datetime):
        return words.date(given)
    return words.quantity(given, "share" if name == "before" else "decimal1")


def tabulate_alarms(alarms: Sequence[Alarm]) -> pl.DataFrame:
    """Tabulate alarms in English: `kind`, `what`, `value`, `limit`, `text`."""
    rows = [(alarm.kind, alarm.what, alarm.value, alarm.limit, alarm.say()) for alarm in alarms]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@cache
def _read_texts() -> dict[str, dict[str, str]]:
    return load_packaged("somv_risk.monitoring", "alarms.toml")
