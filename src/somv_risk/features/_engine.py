"""The engine: place events on the time line, keep those in the window, add them up per person.

What looks at the histories happens when the frame is collected, not before: `build_features` is lazy. The
index moments are then taken a chunk at a time, so that memory holds the events seen from few of them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final, TypeVar

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from somv_risk import schema as s
from somv_risk.asof import NO_LAGS, Lags
from somv_risk.cohort import Cohort
from somv_risk.errors import ConfigError
from somv_risk.features._catalogue import load_catalogue
from somv_risk.features._chunks import Chunk, list_chunks, work_ahead
from somv_risk.features._events import Events, Integers
from somv_risk.features._measures import Column
from somv_risk.features._reading import collect
from somv_risk.features._spec import Feature
from somv_risk.features._timeline import Timeline
from somv_risk.features._views import VIEWS
from somv_risk.histories import Histories
from somv_risk.windows import Lookback

# Below this, starting threads takes longer than the work.
FEW_MOMENTS: Final = 1_000

Result = TypeVar("Result")
Columns = Iterator[tuple[Feature, Column]]
Keep = Callable[[slice, Columns], Result]


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
        Rows of `person_id`, `index_time`: any number of moments per person, regular or not. Repeated rows
        are answered as often as they are asked.
    features
        Which features, in this order; the whole catalogue by default.
    lags
        Days from an event to its arrival, by table.

    Returns
    -------
    One row per cohort row, in cohort order: `person_id`, `index_time`, then one column per feature.
    Counts are 0 and recencies, shares and means null where there are no events; every feature of a
    table that is absent is null. Only the features that are selected from the frame are computed.
    """
    chosen = tuple(features) if features is not None else load_catalogue()
    _check_names(chosen)
    rows = cohort.lazy().select(
        pl.col(s.PERSON_ID).cast(pl.String), pl.col(s.INDEX_TIME).cast(pl.Datetime("us"))
    )
    return register_io_source(
        partial(_stream, histories, rows, chosen, lags),
        schema={s.PERSON_ID: pl.String(), s.INDEX_TIME: pl.Datetime("us")}
        | {feature.name: feature.measure.dtype for feature in chosen},
    )


def _check_names(features: Sequence[Feature]) -> None:
    names = Counter(feature.name for feature in features)
    repeated = sorted(name for name, times in names.items() if times > 1)
    if repeated:
        raise ConfigError(f"Features {repeated} are asked for twice. Name each feature once.")


def _stream(
    histories: Histories,
    rows: pl.LazyFrame,
    features: Sequence[Feature],
    lags: Lags,
    with_columns: list[str] | None,
    predicate: pl.Expr | None,
    n_rows: int | None,
    _batch_size: int | None,
) -> Iterator[pl.DataFrame]:
    """Compute what a collected query needs of the features: the columns it reads, then the rows it keeps."""
    cohort = rows.collect(engine="in-memory")
    wanted = [f for f in features if with_columns is None or f.name in with_columns]
    kept = list(compute_features(histories, cohort, wanted, lags, _keep_series))
    frame = cohort.with_columns(_assemble(kept, wanted))
    asked = frame if with_columns is None else frame.select(with_columns)
    filtered = asked if predicate is None else asked.filter(predicate)
    yield filtered if n_rows is None else filtered.head(n_rows)


def _keep_series(_rows: slice, columns: Columns) -> list[pl.Series]:
    return [_to_series(column, feature) for feature, column in columns]


def _to_series(column: Column, feature: Feature) -> pl.Series:
    """Return a column with its name and type; NaN becomes null."""
    dtype = feature.measure.dtype
    if isinstance(column, np.ndarray):
        series = pl.Series(feature.name, column, nan_to_null=True)
    else:
        series = column.rename(feature.name)
    return series if series.dtype == dtype else series.cast(dtype)


def _assemble(
    kept: Sequence[tuple[Integers, list[pl.Series]]], features: Sequence[Feature]
) -> list[pl.Series]:
    """Put the columns of all chunks together, in the order of the cohort's rows."""
    if not kept:
        return [pl.Series(feature.name, [], feature.measure.dtype) for feature in features]
    if len(kept) == 1:
        places, columns = kept[0]
        if np.array_equal(places, np.arange(len(places))):
            return columns
    order = np.argsort(np.concatenate([places for places, _ in kept]), kind="stable")
    return [pl.concat(parts)[order] for parts in zip(*(columns for _, columns in kept), strict=True)]


def compute_features(
    histories: Histories,
    cohort: pl.DataFrame,
    features: Sequence[Feature],
    lags: Lags,
    keep: Keep[Result],
) -> Iterator[tuple[Integers, Result]]:
    """Compute the features of all cohort rows, chunk by chunk; each cohort row stands in one of them.

    Gives, of each chunk, the places of its cohort rows, and what `keep` makes of the place among all rows
    given so far and of the columns. The columns come one by one, so that not all have to be held at once;
    NaN stands for null.
    """
    present = [f for f in features if not set(f.definition.tables) & set(histories.absent)]

    def list_tasks() -> Iterator[Callable[[], tuple[Integers, Result]]]:
        first = 0
        for chunk in list_chunks(histories, cohort, present, lags):
            last = first + len(chunk.places)
            yield partial(_compute, chunk, features, present, partial(keep, slice(first, last)))
            first = last

    threads = pl.thread_pool_size() if cohort.height > FEW_MOMENTS else 1
    yield from work_ahead(list_tasks(), threads)


def _compute(
    chunk: Chunk, features: Sequence[Feature], present: Sequence[Feature], keep: Callable[[Columns], Result]
) -> tuple[Integers, Result]:
    measured = _measure(chunk.look_back(), chunk.size, features, present)
    return chunk.places, keep(_spread(measured, chunk))


def _measure(
    timeline: Timeline, size: int, features: Sequence[Feature], present: Sequence[Feature]
) -> Columns:
    """Measure the features from each moment of the time line; one of an absent table is null."""
    views = _build_views(timeline, size, present)
    for definition, group in groupby(features, lambda feature: feature.definition):
        same = list(group)
        if views.get(definition.events):
            windows = [feature.window for feature in same if feature.window is not None]
            columns = same[0].measure.compute(definition, views[definition.events], windows)
            yield from zip(same, columns, strict=True)
        else:
            yield from ((feature, _fill(feature, size, definition.events in views)) for feature in same)


def _fill(feature: Feature, size: int, is_present: bool) -> Column:  # noqa: FBT001 - a fact, not a switch
    """Return the column of a feature of which nobody has an event: what stands for none, or null."""
    none = feature.measure.when_none if is_present else None
    return np.full(size, np.nan if none is None else none, dtype=np.float64)


def _build_views(timeline: Timeline, size: int, features: Sequence[Feature]) -> dict[str, Events]:
    """Build the kinds of events that the features ask for, as far back as their windows reach."""
    asked: dict[str, list[Lookback | None]] = defaultdict(list)
    for feature in features:
        asked[feature.definition.events].append(feature.window)
    plans = []
    for name, windows in asked.items():
        longest = max((window.days for window in windows if window is not None), default=None)
        narrowed = timeline.reaching(None if longest is None else Lookback(longest))
        plans.append(narrowed.keep_reachable(VIEWS[name].build(narrowed)))
    return {name: Events(frame, size) for name, frame in zip(asked, collect(plans), strict=True)}


def _spread(columns: Columns, chunk: Chunk) -> Columns:
    """Give each cohort row the values of its moment."""
    is_in_order = np.array_equal(chunk.numbers, np.arange(chunk.size))
    for feature, column in columns:
        yield feature, column if is_in_order else column[chunk.numbers]
