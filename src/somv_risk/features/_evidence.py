"""Evidence: the very events that make up the value of a feature."""

from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY
from somv_risk.features._spec import Feature
from somv_risk.features._timeline import END_AGE, START_AGE, Timeline
from somv_risk.features._views import VIEWS
from somv_risk.windows import MICROSECONDS_PER_DAY

EVENTS: Final = "events"
_SPAN: Final = "events_in_span"


def list_evidence(timeline: Timeline, feature: Feature) -> pl.LazyFrame:
    """List the events behind a feature's value, latest first.

    Returns
    -------
    One row per event: `person_id`, `index_time`, `events` (the kind of event), `started_at`,
    `ended_at` (null while the end was not known). A feature without events behind it, such as age,
    gives no rows.
    """
    view = VIEWS[feature.definition.events]
    if START_AGE not in (placed := view.build(timeline)).collect_schema():
        return placed.select(KEY).clear().with_columns(*_as_moments(feature, pl.lit(0), pl.lit(0)))
    selected = _narrow(placed.filter(_behind(feature)), feature)
    moments = _as_moments(feature, pl.col(START_AGE), pl.col(END_AGE))
    return selected.select(*KEY, *moments).sort(*KEY, s.STARTED_AT, descending=[False, False, True])


def _as_moments(feature: Feature, start_age: pl.Expr, end_age: pl.Expr) -> list[pl.Expr]:
    index = pl.col(s.INDEX_TIME)
    return [
        pl.lit(feature.definition.events).alias(EVENTS),
        (index - pl.duration(microseconds=start_age)).alias(s.STARTED_AT),
        (index - pl.duration(microseconds=end_age)).alias(s.ENDED_AT),
    ]


def _behind(feature: Feature) -> pl.Expr:
    """Events the measure looks at: open ones, overlapping ones, or those whose anchor is in the window."""
    definition = feature.definition
    flags = pl.all_horizontal(pl.lit(value=True), *(definition.of or definition.where))
    if not feature.measure.has_window:
        return flags & pl.col(END_AGE).is_null()
    if definition.measure == "days":
        return flags & (pl.col(END_AGE).fill_null(0) < feature.lookback.microseconds)
    return flags & feature.lookback.contains(_anchor(feature))


def _narrow(selected: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Keep, of the events looked at, those that decide the value."""
    if feature.definition.measure == "distinct":
        latest_first = selected.sort(*KEY, START_AGE, END_AGE)
        return latest_first.unique([*KEY, feature.value], keep="first", maintain_order=True)
    rule = _DECISIVE.get(feature.definition.measure)
    if rule is not None:
        return selected.filter(rule(feature).over(KEY))
    return _keep_fullest_span(selected, feature) if feature.definition.measure == "most_within" else selected


def _anchor(feature: Feature) -> pl.Expr:
    return pl.col(END_AGE if feature.definition.anchor == "end" else START_AGE)


def _is_latest(feature: Feature) -> pl.Expr:
    return _anchor(feature) == _anchor(feature).min()


def _is_largest(feature: Feature) -> pl.Expr:
    return pl.col(feature.value) == pl.col(feature.value).max()


def _is_smallest(feature: Feature) -> pl.Expr:
    return pl.col(feature.value) == pl.col(feature.value).min()


_DECISIVE: Final = MappingProxyType(
    {
        "days_since": _is_latest,
        "last": _is_latest,
        "days_open": _is_latest,
        "longest": _is_largest,
        "smallest": _is_smallest,
    }
)


def _keep_fullest_span(selected: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Keep the events of the fullest span; of several equally full, the latest."""
    span = (feature.definition.within_days or 0) * MICROSECONDS_PER_DAY
    spans = (
        selected.sort(*KEY, START_AGE)
        .rolling(START_AGE, period=f"{span}i", closed="right", group_by=KEY)
        .agg(pl.len().alias(_SPAN))
        .filter(pl.col(_SPAN) == pl.col(_SPAN).max().over(KEY))
        .group_by(KEY)
        .agg(pl.col(START_AGE).min().alias(_SPAN))
    )
    begins_before = pl.col(START_AGE) - pl.col(_SPAN)
    return selected.join(spans, on=KEY).filter(begins_before <= 0, begins_before > -span)
