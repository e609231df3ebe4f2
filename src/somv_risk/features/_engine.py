"""The engine: place events on the time line, mask them by window, aggregate per person."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import polars as pl
from polars.lazyframe.group_by import LazyGroupBy

from somv_risk import schema as s
from somv_risk.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort import Cohort
from somv_risk.errors import ConfigError
from somv_risk.features._catalogue import load_catalogue
from somv_risk.features._measures import divide_exactly
from somv_risk.features._spec import Feature
from somv_risk.features._timeline import START_AGE, Timeline
from somv_risk.features._views import VIEWS
from somv_risk.histories import Histories
from somv_risk.windows import MICROSECONDS_PER_DAY

EVENTS = "events"
# Entropy sums n ln(n) over units; as whole billionths the sum is the same in any order.
ENTROPY_SCALE = 1_000_000_000


def build_features(
    histories: Histories,
    cohort: Cohort | pl.LazyFrame | pl.DataFrame,
    features: Sequence[Feature] | None = None,
    *,
    lags: Lags = NO_LAGS,
) -> pl.LazyFrame:
    """Build the features of each cohort row from what was known before its index moment.

    Parameters
    ----------
    cohort
        Rows of `person_id`, `index_time`; repeated rows are answered as often as they are asked.
    features
        Which features, in this order; the whole catalogue by default.
    lags
        Days from an event to its arrival, by table.

    Returns
    -------
    One row per cohort row, in cohort order: `person_id`, `index_time`, then one column per feature.
    Counts are 0 and recencies, shares and means null where there are no events; every feature of a
    table that is absent is null.
    """
    chosen = tuple(features) if features is not None else load_catalogue()
    _check_names(chosen)
    rows = cohort.lazy().select(pl.col(s.PERSON_ID), pl.col(s.INDEX_TIME).cast(pl.Datetime("us")))
    timeline = Timeline(histories, rows.unique(), lags)
    present = [feature for feature in chosen if not set(feature.definition.tables) & set(histories.absent)]
    wide = rows
    for part in _build_parts(timeline, present):
        wide = wide.join(part, on=KEY, how="left", maintain_order="left")
    return wide.select(*KEY, *(_finish(feature, is_present=feature in present) for feature in chosen))


def _check_names(features: Sequence[Feature]) -> None:
    names = [feature.name for feature in features]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"Features {repeated} are asked for twice. Name each feature once.")


def _build_parts(timeline: Timeline, features: Sequence[Feature]) -> list[pl.LazyFrame]:
    wanted = {events: [f for f in features if f.definition.events == events] for events in VIEWS}
    return [
        part
        for events, features_of_view in wanted.items()
        if features_of_view
        for part in _measure_view(VIEWS[events].build(timeline), features_of_view)
    ]


def _measure_view(placed: pl.LazyFrame, features: Sequence[Feature]) -> list[pl.LazyFrame]:
    plain = [feature for feature in features if feature.definition.measure not in _OWN_FRAME]
    special = [_OWN_FRAME[f.definition.measure](placed, f) for f in features if f not in plain]
    if not plain:
        return special
    return [placed.group_by(KEY).agg(f.measure.express(f).alias(f.name) for f in plain), *special]


def _finish(feature: Feature, *, is_present: bool) -> pl.Expr:
    measure = feature.measure
    column = pl.col(feature.name) if is_present else pl.lit(None)
    typed = column.cast(measure.dtype)
    filled = typed.fill_null(measure.when_none) if is_present and measure.when_none is not None else typed
    return filled.alias(feature.name)


def _keep_selected(placed: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    return placed.filter(
        feature.lookback.contains(pl.col(START_AGE)), *(pl.col(f) for f in feature.definition.where)
    )


def build_most_within(placed: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Count the events in the fullest span of `within_days` that lies inside the window.

    A span is half-open, so two events exactly `within_days` apart are not in the same one.
    """
    span = f"{(feature.definition.within_days or 0) * MICROSECONDS_PER_DAY}i"
    selected = _keep_selected(placed, feature).select(*KEY, START_AGE).sort(*KEY, START_AGE)
    within = selected.rolling(START_AGE, period=span, closed="right", group_by=KEY).agg(
        pl.len().alias(EVENTS)
    )
    return within.group_by(KEY).agg(pl.col(EVENTS).max().alias(feature.name))


def _count_by_value(placed: pl.LazyFrame, feature: Feature) -> LazyGroupBy:
    valued = _keep_selected(placed, feature).filter(pl.col(feature.value).is_not_null())
    return valued.group_by(*KEY, feature.value).agg(pl.len().cast(pl.Int64).alias(EVENTS)).group_by(KEY)


def build_continuity(placed: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Compute the Bice-Boxerman continuity of care: 1 if all contacts are with one unit, 0 if all differ.

    With n contacts per unit and N in all: (sum n^2 - N) / (N (N - 1)); null below two contacts.
    Source: Bice and Boxerman, Medical Care 1977, doi:10.1097/00005650-197704000-00010.
    """
    n = pl.col(EVENTS)
    total = n.sum()
    index = ((n * n).sum() - total) / (total * (total - 1))
    return _count_by_value(placed, feature).agg(pl.when(total > 1).then(index).alias(feature.name))


def build_entropy(placed: pl.LazyFrame, feature: Feature) -> pl.LazyFrame:
    """Compute the Shannon entropy (nats) of contacts over units: 0 if all are with one unit.

    Equal to ln N - (sum n ln n) / N for n contacts per unit and N in all.
    """
    n = pl.col(EVENTS)
    weighted = divide_exactly((n * n.log() * ENTROPY_SCALE).round().cast(pl.Int64).sum(), ENTROPY_SCALE)
    entropy = (n.sum().log() - weighted / n.sum()).clip(lower_bound=0.0)
    return _count_by_value(placed, feature).agg(entropy.alias(feature.name))


_OWN_FRAME: Final[Mapping[str, Callable[[pl.LazyFrame, Feature], pl.LazyFrame]]] = MappingProxyType(
    {"most_within": build_most_within, "continuity": build_continuity, "entropy": build_entropy}
)
