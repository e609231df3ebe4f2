"""Doubts: what has to be said with every number about a ranking."""

import polars as pl

from somv_risk.metrics._cases import Cases
from somv_risk.metrics._measures import NOTE
from somv_risk.metrics._rankings import RANKING


def note_doubts(cases: Cases, table: pl.DataFrame) -> pl.DataFrame:
    """Add what is doubtful of a ranking to the notes of its rows."""
    if not cases.doubts or not {RANKING, NOTE} <= set(table.columns):
        return table
    doubt = pl.col(RANKING).replace_strict(dict(cases.doubts), default=None, return_dtype=pl.String)
    both = pl.concat_str(doubt, pl.col(NOTE).cast(pl.String), separator=" ", ignore_nulls=True)
    return table.with_columns(both.replace("", None).alias(NOTE))
