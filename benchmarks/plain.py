"""The plain way to count: one filtered `group_by` per feature, joined one after the other."""

from collections.abc import Sequence

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY
from somv_risk.features import Feature, load_catalogue
from somv_risk.windows import MICROSECONDS_PER_DAY

START_AGE, END_AGE = "start_age", "end_age"


def choose_count_features() -> tuple[Feature, ...]:
    """Choose the features that count admissions."""
    return tuple(
        feature
        for feature in load_catalogue()
        if (feature.definition.events, feature.definition.measure) == (s.ADMISSIONS, "count")
    )


def count_plainly(admissions: pl.DataFrame, rows: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """Count prepared admissions as somebody would who writes the features by hand, one after the other."""
    wide = rows
    for feature in features:
        age = pl.col(END_AGE if feature.definition.anchor == "end" else START_AGE)
        counted = (
            admissions.filter(
                age > 0,
                age <= feature.lookback.days * MICROSECONDS_PER_DAY,
                *(pl.col(flag) for flag in feature.definition.where),
            )
            .group_by(KEY)
            .agg(pl.len().cast(pl.Int32).alias(feature.name))
        )
        wide = wide.join(counted, on=KEY, how="left", maintain_order="left")
    return wide.with_columns(pl.col(feature.name).fill_null(0) for feature in features)
