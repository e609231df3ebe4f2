"""Evidence: the very events that make up the value of a feature."""

from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort.windows import MICROSECONDS_PER_DAY
from somv_risk.features._events import END_AGE, START_AGE, Events
from somv_risk.features._measures import MEASURES
from somv_risk.features._reading import read_rows
from somv_risk.features._spec import Definition, Feature
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import MOMENT, Timeline, to_microseconds
from somv_risk.features._views import BACKGROUND, build_view
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

EVENTS: Final = "events"
PLACE: Final = "place"
# Both sides of a gap lie in the window, the end of the event before as well as the start of this one.
_OF_GAPS: Final = ("smallest", "median_gap", "burstiness", "pair_share")
_OF_DAYS: Final = ("days", "days_trend", "longest_inside")
_OF_DIFFERENT: Final = ("distinct", "distinct_now")
_SPAN: Final = "events_in_span"
_IS_WHERE: Final = "is_where"
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
    """List the events that make a feature's value, latest first; of those that start together, open ones.

    Parameters
    ----------
    moments
        Rows of `person_id`, `index_time`.

    Returns
    -------
    One row per event: `person_id`, `index_time`, `events` (the kind of event), `started_at`,
    `ended_at` (null while the end was not known). A feature without events behind it, such as age, gives
    no rows, and so does one that is null, counts none, or is of an absent table.
    """
    if set(feature.definition.tables) & set(histories.absent):
        return pl.DataFrame(schema=_SCHEMA)
    keys = moments.select(KEY).unique(maintain_order=True)
    prepared = read_rows(histories, keys, [feature], lags)
    timeline = Timeline(prepared, prepared.numbers, to_microseconds(keys[s.INDEX_TIME]))
    events = build_view(feature.definition.events, timeline)
    if feature.definition.events == BACKGROUND:
        return pl.DataFrame(schema=_SCHEMA)
    index_time = pl.col(s.INDEX_TIME)
    return (
        select_evidence(feature, events)
        .lazy()
        .join(keys.lazy().with_row_index(MOMENT), on=MOMENT)
        .select(
            *KEY,
            pl.lit(feature.definition.events).alias(EVENTS),
            (index_time - pl.duration(microseconds=START_AGE)).alias(s.STARTED_AT),
            (index_time - pl.duration(microseconds=END_AGE)).alias(s.ENDED_AT),
        )
        .sort(*KEY, s.STARTED_AT, s.ENDED_AT, descending=[False, False, True, True], nulls_last=False)
        .collect(engine="in-memory")
    )


def select_evidence(feature: Feature, events: Events) -> pl.DataFrame:
    """Select the events that make the value of a feature, at each moment where it is not null.

    Without all others the value is the same. Without one of these it is another one, unless a tied one takes
    its place or the measure cannot show it, as `any` of several events.

    Returns
    -------
    The rows of `Events.to_frame`, with the `place` of each among the events.
    """
    definition = feature.definition
    placed = events.to_frame().with_columns(
        pl.Series(_IS_WHERE, events.having((*definition.of, *definition.where), definition.match)),
        pl.int_range(pl.len()).alias(PLACE),
    )
    asked = placed.filter(_asked(definition, events)).lazy()
    selected = _narrow(asked.filter(_behind(feature)), feature).collect(engine="in-memory")
    return selected.filter(_is_known(feature, events).gather(selected[MOMENT])).drop(_IS_WHERE)


def _is_known(feature: Feature, events: Events) -> pl.Series:
    """Whether the value is not null, by moment."""
    windows = [] if feature.window is None else [feature.window]
    (column,) = feature.measure.compute(feature.definition, events, windows)
    values = column.codes if isinstance(column, Coded) else column
    return pl.Series(values, nan_to_null=True).is_not_null()


def _asked(definition: Definition, events: Events) -> pl.Series:
    """Which events have what is asked of those looked at; a share, a last one and never look at all `of`."""
    if MEASURES[definition.measure].needs_where:
        return pl.Series(events.having(definition.of))
    return pl.Series(events.having(definition.where, definition.match))


def _behind(feature: Feature) -> pl.Expr:
    """Events that the measure looks at: those in the window, and with a value if it takes one."""
    definition = feature.definition
    has_value = pl.lit(value=True) if definition.value is None else pl.col(definition.value).is_not_null()
    return _lies_in_window(feature) & has_value


def _lies_in_window(feature: Feature) -> pl.Expr:
    definition = feature.definition
    if not feature.measure.has_window:
        return pl.col(END_AGE).is_null()
    if definition.measure in _OF_DAYS:
        return _inside(feature) > 0
    if definition.measure in _OF_GAPS:
        return pl.col(START_AGE) + pl.col(definition.measured) <= feature.lookback.microseconds
    begins_inside = feature.lookback.contains(_anchor(feature))
    if definition.anchor == "part" or definition.measure == "never":
        return begins_inside | (pl.col(END_AGE).fill_null(0) < feature.lookback.microseconds)
    return begins_inside


def _inside(feature: Feature) -> pl.Expr:
    """How long an interval was inside the window."""
    return pl.min_horizontal(START_AGE, feature.lookback.microseconds) - pl.col(END_AGE).fill_null(0)


def _narrow(selected: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Keep, of the events looked at, those that decide the value."""
    measure = feature.definition.measure
    if measure in _OF_DIFFERENT:
        latest_first = selected.sort(MOMENT, START_AGE, END_AGE, nulls_last=False)
        return latest_first.unique([MOMENT, feature.definition.measured], keep="first", maintain_order=True)
    for rule in _DECISIVE.get(measure, ()):
        selected = selected.filter(rule(feature).over(MOMENT))
    return _keep_fullest_span(selected, feature) if measure == "most_within" else selected


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
    return _inside(feature) == _inside(feature).max()


def _is_where_if_any(_feature: Feature) -> pl.Expr:
    """The events that are also `where` make a yes; if there are none, all together make a no."""
    return pl.col(_IS_WHERE) | ~pl.col(_IS_WHERE).any()


_DECISIVE: Final = MappingProxyType(
    {
        "days_since": (_is_latest,),
        "days_since_first": (_is_earliest,),
        "last": (_is_latest, _is_where_if_any),
        "never": (_is_where_if_any,),
        "days_open": (_is_latest,),
        "longest": (_is_largest,),
        "longest_inside": (_is_longest_inside,),
        "smallest": (_is_smallest,),
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
