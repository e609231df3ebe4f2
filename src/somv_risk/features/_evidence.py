"""Evidence: the very events that make up the value of a feature."""

from typing import Final

import polars as pl

from somv_risk.cohort.asof import KEY, NO_LAGS, Lags
from somv_risk.features._definition import Feature
from somv_risk.features._events import END_AGE, START_AGE, Events
from somv_risk.features._kinds import Extent
from somv_risk.features._reading import read_rows
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import MOMENT, Timeline, to_microseconds
from somv_risk.features.measures.selection import IS_WHERE
from somv_risk.features.views import build_view
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

EVENTS: Final = "events"
EVENT_ROW: Final = "event_row"
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
    is_fixed = feature.definition.view.extent is Extent.FIXED
    if is_fixed or set(feature.definition.tables) & set(histories.absent):
        return pl.DataFrame(schema=_SCHEMA)
    keys = moments.select(KEY).unique(maintain_order=True)
    prepared = read_rows(histories, keys, [feature], lags)
    timeline = Timeline(prepared, prepared.numbers, to_microseconds(keys[s.INDEX_TIME]))
    events = build_view(feature.definition.events, timeline)
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

    Without all others the value is the same. Without one of these it is another one, unless another event
    is equal to it or the measure cannot show it, as `any` of several events.

    Returns
    -------
    The rows of `Events.to_frame`, with the number of each among the events (`event_row`).
    """
    definition = feature.definition
    numbered = events.to_frame().with_columns(
        pl.Series(IS_WHERE, events.having((*definition.of, *definition.where), definition.match)),
        pl.int_range(pl.len()).alias(EVENT_ROW),
    )
    asked = numbered.filter(_find_asked(feature, events)).lazy()
    kept = feature.measure.keep_evidence(asked.filter(_is_behind(feature)), feature)
    selected = kept.collect(engine="in-memory")
    return selected.filter(_is_known(feature, events).gather(selected[MOMENT])).drop(IS_WHERE)


def _is_known(feature: Feature, events: Events) -> pl.Series:
    """Whether the value is not null, by moment."""
    windows = [] if feature.window is None else [feature.window]
    (column,) = feature.measure.compute(feature.definition, events, windows)
    values = column.codes if isinstance(column, Coded) else column
    return pl.Series(values, nan_to_null=True).is_not_null()


def _find_asked(feature: Feature, events: Events) -> pl.Series:
    """Find which events have what is asked of those looked at: `of`, where a measure takes some of them."""
    definition = feature.definition
    if feature.measure.needs_where:
        return pl.Series(events.having(definition.of))
    return pl.Series(events.having(definition.where, definition.match))


def _is_behind(feature: Feature) -> pl.Expr:
    """Whether the measure looks at an event: in the window, and with a value if it takes one."""
    value = feature.definition.value
    has_value = pl.lit(value=True) if value is None else pl.col(value).is_not_null()
    return feature.measure.in_window(feature) & has_value
