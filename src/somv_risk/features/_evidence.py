"""Evidence: the very events that make up the value of a feature."""

from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk import schema as s
from somv_risk.asof import KEY, NO_LAGS, Lags
from somv_risk.features._events import END_AGE, START_AGE, Events
from somv_risk.features._reading import read_rows
from somv_risk.features._spec import Definition, Feature
from somv_risk.features._timeline import MOMENT, Timeline, to_microseconds
from somv_risk.features._views import BACKGROUND, build_view
from somv_risk.histories import Histories
from somv_risk.windows import MICROSECONDS_PER_DAY

EVENTS: Final = "events"
# Both sides of a gap lie in the window, the end of the event before as well as the start of this one.
_OF_GAPS: Final = ("smallest", "median_gap", "burstiness", "pair_share")
_SPAN: Final = "events_in_span"
_SCHEMA: Final = {
    s.PERSON_ID: pl.String(),
    s.INDEX_TIME: pl.Datetime("us"),
    EVENTS: pl.String(),
    s.STARTED_AT: pl.Datetime("us"),
    s.ENDED_AT: pl.Datetime("us"),
}


def list_evidence(
    histories: Histories, moments: pl.DataFrame, feature: Feature, lags: Lags = NO_LAGS
) -> pl.DataFrame:
    """List the events behind a feature's value, latest first.

    Parameters
    ----------
    moments
        Rows of `person_id`, `index_time`.

    Returns
    -------
    One row per event: `person_id`, `index_time`, `events` (the kind of event), `started_at`,
    `ended_at` (null while the end was not known). A feature without events behind it, such as age, gives
    no rows, and so does one of an absent table.
    """
    if set(feature.definition.tables) & set(histories.absent):
        return pl.DataFrame(schema=_SCHEMA)
    keys = moments.select(KEY).unique(maintain_order=True)
    prepared = read_rows(histories, keys, [feature], lags)
    timeline = Timeline(prepared, prepared.numbers, to_microseconds(keys[s.INDEX_TIME]))
    events = build_view(feature.definition.events, timeline)
    if feature.definition.events == BACKGROUND:
        return pl.DataFrame(schema=_SCHEMA)
    placed = events.to_frame().filter(_asked(feature.definition, events)).lazy()
    selected = _narrow(placed.filter(_behind(feature)), feature)
    index_time = pl.col(s.INDEX_TIME)
    return (
        selected.join(keys.lazy().with_row_index(MOMENT), on=MOMENT)
        .select(
            *KEY,
            pl.lit(feature.definition.events).alias(EVENTS),
            (index_time - pl.duration(microseconds=START_AGE)).alias(s.STARTED_AT),
            (index_time - pl.duration(microseconds=END_AGE)).alias(s.ENDED_AT),
        )
        .sort(*KEY, s.STARTED_AT, descending=[False, False, True])
        .collect(engine="in-memory")
    )


def _asked(definition: Definition, events: Events) -> pl.Series:
    """Which events have what is asked of those looked at; the last one decides whatever it is."""
    if definition.of or definition.measure == "last":
        return pl.Series(events.having(definition.of))
    return pl.Series(events.having(definition.where, definition.match))


def _behind(feature: Feature) -> pl.Expr:
    """Events the measure looks at: open ones, overlapping ones, or those whose anchor is in the window."""
    definition = feature.definition
    if not feature.measure.has_window:
        return pl.col(END_AGE).is_null()
    reaches_in = pl.col(END_AGE).fill_null(0) < feature.lookback.microseconds
    if feature.measure.counts_days:
        return reaches_in
    begins_inside = feature.lookback.contains(_anchor(feature))
    if definition.measure in _OF_GAPS:
        return pl.col(START_AGE) + pl.col(definition.measured) <= feature.lookback.microseconds
    return begins_inside | reaches_in if definition.anchor == "part" else begins_inside


def _narrow(selected: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Keep, of the events looked at, those that decide the value."""
    if feature.definition.measure == "distinct":
        counted = selected.filter(pl.col(feature.definition.measured).is_not_null())
        latest_first = counted.sort(MOMENT, START_AGE, END_AGE)
        return latest_first.unique([MOMENT, feature.definition.measured], keep="first", maintain_order=True)
    rule = _DECISIVE.get(feature.definition.measure)
    if rule is not None:
        return selected.filter(rule(feature).over(MOMENT))
    return _keep_fullest_span(selected, feature) if feature.definition.measure == "most_within" else selected


def _anchor(feature: Feature) -> pl.Expr:
    return pl.col(END_AGE if feature.definition.anchor == "end" else START_AGE)


def _is_latest(feature: Feature) -> pl.Expr:
    return _anchor(feature) == _anchor(feature).min()


def _is_earliest(feature: Feature) -> pl.Expr:
    return _anchor(feature) == _anchor(feature).max()


def _is_largest(feature: Feature) -> pl.Expr:
    return pl.col(feature.definition.measured) == pl.col(feature.definition.measured).max()


def _is_smallest(feature: Feature) -> pl.Expr:
    return pl.col(feature.definition.measured) == pl.col(feature.definition.measured).min()


def _is_longest_inside(feature: Feature) -> pl.Expr:
    inside = pl.min_horizontal(START_AGE, feature.lookback.microseconds) - pl.col(END_AGE).fill_null(0)
    return inside == inside.max()


_DECISIVE: Final = MappingProxyType(
    {
        "days_since": _is_latest,
        "days_since_first": _is_earliest,
        "last": _is_latest,
        "days_open": _is_latest,
        "longest": _is_largest,
        "longest_inside": _is_longest_inside,
        "smallest": _is_smallest,
    }
)


def _keep_fullest_span(selected: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Keep the events of the fullest span; of several equally full, the latest."""
    span = (feature.definition.within_days or 0) * MICROSECONDS_PER_DAY
    spans = (
        selected.sort(MOMENT, START_AGE)
        .rolling(START_AGE, period=f"{span}i", closed="right", group_by=MOMENT)
        .agg(pl.len().alias(_SPAN))
        .filter(pl.col(_SPAN) == pl.col(_SPAN).max().over(MOMENT))
        .group_by(MOMENT)
        .agg(pl.col(START_AGE).min().alias(_SPAN))
    )
    begins_before = pl.col(START_AGE) - pl.col(_SPAN)
    return selected.join(spans, on=MOMENT).filter(begins_before <= 0, begins_before > -span)
