"""Evidence compared: which events came, went, or turned out otherwise between two moments."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.features import EVENTS, Feature, list_evidence
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.scoring.reasons import Note


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has become of the events behind a feature since an earlier moment, latest first.

    `kept` are those that are the same, end and all.
    """

    new: pl.DataFrame
    gone: pl.DataFrame
    altered: pl.DataFrame
    kept: pl.DataFrame

    @property
    def note(self) -> Note | None:
        """What to say of the events: the same, or only fewer; nothing if there are others, or none at all."""
        if len(self.new) or len(self.altered):
            return None
        if len(self.gone):
            return "left"
        return "time" if len(self.kept) else None


def compare_evidence(own: Histories, rows: pl.DataFrame, feature: Feature, lags: Lags = NO_LAGS) -> Evidence:
    """Compare the events behind a feature at two moments, the rows of one person in order of time."""
    listed = list_evidence(own, rows, feature, lags)
    then, now = (listed.filter(pl.col(s.INDEX_TIME) == moment).drop(KEY) for moment in rows[s.INDEX_TIME])
    gone, new, kept = _match(then, now, _WHOLE)
    gone, new, altered = _match(gone, new, _START)
    return Evidence(new, gone, altered, kept)


_START: Final = (EVENTS, s.STARTED_AT)
_WHOLE: Final = (*_START, s.ENDED_AT)


def _match(
    then: pl.DataFrame, now: pl.DataFrame, columns: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Match events one to one by some columns: those only then, those only now, those of now also then."""
    number = pl.int_range(pl.len()).over(columns).alias("number")
    then, now, on = then.with_columns(number), now.with_columns(number), [*columns, "number"]
    parts = (
        then.join(now, on=on, how="anti", nulls_equal=True),
        now.join(then, on=on, how="anti", nulls_equal=True),
        now.join(then, on=on, how="semi", nulls_equal=True),
    )
    gone, new, both = (part.drop("number").sort(s.STARTED_AT, s.ENDED_AT, descending=True) for part in parts)
    return gone, new, both
