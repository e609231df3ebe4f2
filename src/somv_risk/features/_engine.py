"""The engine: place events on the time line, keep those in the window, add them up per person.

What looks at the histories happens when the frame is collected, not before: `build_features` is lazy. The
index moments are then taken in order of time, a chunk at a time, so that memory holds the events seen from
few chunks; the rows behind them are read and prepared once for all chunks.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from threading import Lock
from typing import Final, Generic, TypeVar

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from somv_risk import schema as s
from somv_risk.asof import KEY, NO_LAGS, Lags
from somv_risk.cohort import Cohort
from somv_risk.errors import ConfigError
from somv_risk.features._catalogue import load_catalogue
from somv_risk.features._events import Events, Integers
from somv_risk.features._measures import Column
from somv_risk.features._rows import LARGE_TABLES, PERSON, number_persons, prepare_rows
from somv_risk.features._spec import Feature
from somv_risk.features._timeline import MOMENT, Timeline, build_known_stays, look_back, number_moments
from somv_risk.features._views import VIEWS
from somv_risk.histories import Histories
from somv_risk.windows import Lookback

MOMENTS_PER_CHUNK: Final = 120_000
# An index time with this many moments is a chunk of its own: each person is then seen once, which is fastest.
MANY_MOMENTS: Final = 5_000
# Below this, starting threads takes longer than the work.
FEW_MOMENTS: Final = 1_000


Result = TypeVar("Result")
Named = Iterator[tuple[Feature, Column]]
Keep = Callable[[int, Named], Result]


@dataclass(frozen=True, slots=True)
class Chunk(Generic[Result]):
    """What was kept of the features of some cohort rows; `places` are the places of those rows."""

    places: Integers
    kept: Result


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
    rows = cohort.lazy().select(pl.col(s.PERSON_ID).cast(pl.String), pl.col(s.INDEX_TIME).cast(pl.Datetime("us")))
    return register_io_source(
        partial(_stream, histories, rows, chosen, lags),
        schema={s.PERSON_ID: pl.String(), s.INDEX_TIME: pl.Datetime("us")}
        | {feature.name: feature.measure.dtype for feature in chosen},
    )


def _check_names(features: Sequence[Feature]) -> None:
    names = [feature.name for feature in features]
    repeated = sorted({name for name in names if names.count(name) > 1})
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
    chunks = list(compute_features(histories, cohort, wanted, lags, _keep_series))
    frame = cohort.with_columns(_assemble(chunks, wanted))
    asked = frame if with_columns is None else frame.select(with_columns)
    kept = asked if predicate is None else asked.filter(predicate)
    yield kept if n_rows is None else kept.head(n_rows)


def _assemble(chunks: Sequence[Chunk[list[pl.Series]]], features: Sequence[Feature]) -> list[pl.Series]:
    """Put the columns of all chunks together, in the order of the cohort's rows."""
    if not chunks:
        return [pl.Series(feature.name, [], feature.measure.dtype) for feature in features]
    order = np.argsort(np.concatenate([chunk.places for chunk in chunks]), kind="stable")
    return [pl.concat(parts)[order] for parts in zip(*(chunk.kept for chunk in chunks), strict=True)]


def _keep_series(_size: int, columns: Named) -> list[pl.Series]:
    return [_to_series(column, feature) for feature, column in columns]


def _to_series(column: Column, feature: Feature) -> pl.Series:
    """Return a column with its name and type; NaN becomes null."""
    if isinstance(column, np.ndarray):
        column = pl.Series(column, nan_to_null=True)
    return column.cast(feature.measure.dtype).alias(feature.name)


def compute_features(
    histories: Histories,
    cohort: pl.DataFrame,
    features: Sequence[Feature],
    lags: Lags,
    keep: Keep[Result],
) -> Iterator[Chunk[Result]]:
    """Compute the features of all cohort rows, chunk by chunk; each cohort row stands in one of them.

    The parts of the histories are taken one after the other, and within each the index times. Of each
    chunk that is kept which `keep` makes of its number of rows and its columns, which come one by one, so
    that not all have to be held at once. NaN stands for null.
    """
    threads = pl.thread_pool_size() if cohort.height > FEW_MOMENTS else 1
    yield from _work_ahead(_list_tasks(histories, cohort, features, lags, keep), threads)


def _list_tasks(
    histories: Histories,
    cohort: pl.DataFrame,
    features: Sequence[Feature],
    lags: Lags,
    keep: Keep[Result],
) -> Iterator[Callable[[], Chunk[Result]]]:
    for part, rows in _split_cohort(histories, cohort):
        lookout = _Lookout(part, cohort[rows], rows, features, lags)
        for first, last in lookout.list_chunks():
            yield partial(lookout.compute, first, last, keep)


def _split_cohort(histories: Histories, cohort: pl.DataFrame) -> Iterator[tuple[Histories, Integers]]:
    """Split cohort rows by the part of the histories that has the person; whoever is in none sees nothing."""
    parts = histories.parts
    if len(parts) == 1:
        yield parts[0], np.arange(cohort.height)
        return
    homes = pl.concat(
        part.persons.select(s.PERSON_ID, pl.lit(number, pl.Int64).alias("home"))
        for number, part in enumerate(parts)
    )
    found = cohort.lazy().select(s.PERSON_ID).join(homes, on=s.PERSON_ID, how="left", maintain_order="left")
    home = found.collect(engine="in-memory")["home"].fill_null(0).to_numpy()
    for number, part in enumerate(parts):
        if len(rows := np.flatnonzero(home == number)):
            yield part, rows


def _work_ahead(tasks: Iterable[Callable[[], Result]], threads: int) -> Iterator[Result]:
    """Do the tasks in threads, a few ahead of the one asked for, and give the results in order."""
    if threads == 1:
        for task in tasks:
            yield task()
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Lookout:
    """The moments of some cohort rows, and the histories they look back upon, prepared when first needed."""

    def __init__(
        self,
        histories: Histories,
        cohort: pl.DataFrame,
        rows: Integers,
        features: Sequence[Feature],
        lags: Lags,
    ) -> None:
        self._histories = histories
        self._rows = rows
        self._features = features
        self._present = [f for f in features if not set(f.definition.tables) & set(histories.absent)]
        self._lags = lags
        self._moments, self._numbers = number_moments(cohort)
        self._prepared: tuple[pl.DataFrame, dict[str, pl.DataFrame]] | None = None
        self._lock = Lock()

    def list_chunks(self) -> Iterator[tuple[int, int]]:
        """List the first and last (excluded) moment of each chunk: one index time, or several that have few."""
        times = self._moments[s.INDEX_TIME]
        ends = np.append(np.flatnonzero((times[1:] != times[:-1]).to_numpy()) + 1, len(times))
        first = 0
        for end in ends.tolist():
            if end - first < MANY_MOMENTS and end < len(times):
                continue
            yield from pairwise([*range(first, end, MOMENTS_PER_CHUNK), end])
            first = end

    def compute(self, first: int, last: int, keep: Keep[Result]) -> Chunk[Result]:
        """Compute the features of the moments from `first` up to `last`."""
        moments = self._moments[first:last]
        timeline = _hold(_look_back(moments, *self._prepare(), self._present, self._lags))
        chosen = np.flatnonzero((self._numbers >= first) & (self._numbers < last))
        numbers = self._numbers[chosen] - first
        measured = _measure(timeline, moments.height, self._features, self._present)
        return Chunk(self._rows[chosen], keep(len(chosen), _spread(measured, numbers, moments.height)))

    def _prepare(self) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
        with self._lock:
            if self._prepared is None:
                self._prepared = _prepare(self._histories, self._moments, self._present, self._lags)
            return self._prepared


def look_back_upon(
    histories: Histories, moments: pl.DataFrame, features: Sequence[Feature], lags: Lags
) -> Timeline:
    """Look back from moments (`person_id`, `index_time`) upon the rows that the features need."""
    numbered, _ = number_moments(moments)
    return _look_back(numbered, *_prepare(histories, numbered, features, lags), features, lags)


def _prepare(
    histories: Histories, moments: pl.DataFrame, features: Sequence[Feature], lags: Lags
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Read and prepare, once for all chunks, the persons and the rows that some feature may need."""
    numbers = moments.select(s.PERSON_ID, PERSON)
    if moments[s.INDEX_TIME].n_unique() > 1:
        numbers = numbers.unique()
    earliest, latest = moments[s.INDEX_TIME].min(), moments[s.INDEX_TIME].max()
    tables = _list_tables(features)
    scans = [
        _keep_reachable(histories.table(table), table, features, earliest, latest) for table in tables
    ]
    people = histories.persons.join(numbers.lazy(), on=s.PERSON_ID, how="semi")
    persons, *read = _collect([people, *scans])
    numbered = {
        table: number_persons(frame, numbers).lazy() for table, frame in zip(tables, read, strict=True)
    }
    prepared = prepare_rows(numbered, lags)
    return persons, dict(zip(prepared, _collect(prepared.values()), strict=True))


def _collect(frames: Iterable[pl.LazyFrame]) -> list[pl.DataFrame]:
    return pl.collect_all(list(frames), engine="in-memory")


def _list_tables(features: Sequence[Feature]) -> list[str]:
    views = {feature.definition.events for feature in features}
    read = {table for name in views for table in (*VIEWS[name].tables, *VIEWS[name].also)}
    return [table for table in s.EVENT_TABLES if table in read]


def _keep_reachable(
    rows: pl.LazyFrame,
    table: str,
    features: Sequence[Feature],
    earliest: datetime,
    latest: datetime,
) -> pl.LazyFrame:
    """Keep the rows that start before the latest index and, of a large table, within reach of a window.

    A large table is only counted, row by row, so that older rows cannot matter.
    """
    kept = rows.filter(pl.col(s.STARTED_AT) < latest)
    if table not in LARGE_TABLES:
        return kept
    windows = [f.window for f in features if table in VIEWS[f.definition.events].tables]
    if any(window is None for window in windows):
        return kept
    reach = timedelta(days=max(window.days for window in windows if window is not None))
    return kept.filter(pl.col(s.STARTED_AT) >= earliest - reach)


def _look_back(
    moments: pl.DataFrame,
    persons: pl.DataFrame,
    rows: Mapping[str, pl.DataFrame],
    features: Sequence[Feature],
    lags: Lags,
) -> Timeline:
    """Look back from some of the moments, upon the rows they may see."""
    earliest, latest = moments[s.INDEX_TIME].min(), moments[s.INDEX_TIME].max()
    reachable = {
        table: _keep_reachable(frame.lazy(), table, features, earliest, latest)
        for table, frame in rows.items()
    }
    renumbered = moments.drop(MOMENT).with_row_index(MOMENT)
    seen = dict(zip(reachable, _collect(reachable.values()), strict=True))
    return look_back(renumbered, seen, persons, lags)


def _hold(timeline: Timeline) -> Timeline:
    """Hold in memory what several views are built from."""
    known = {
        table: frame.lazy()
        for table, frame in zip(timeline.known, _collect(timeline.known.values()), strict=True)
    }
    (stays,) = _collect([build_known_stays(known)]) if s.ADMISSIONS in known else [pl.DataFrame()]
    return replace(timeline, known=known, stays=stays.lazy())


def _measure(
    timeline: Timeline, size: int, features: Sequence[Feature], present: Sequence[Feature]
) -> Named:
    """Measure the features from each moment of the time line; one of an absent table is null."""
    views = _build_views(timeline, size, present)
    nothing = np.full(size, np.nan)
    known = {feature.name for feature in present}
    for definition, group in groupby(features, lambda feature: feature.definition):
        same = list(group)
        if same[0].name not in known:
            yield from ((feature, nothing) for feature in same)
            continue
        windows = [feature.window for feature in same if feature.window is not None]
        yield from zip(same, same[0].measure.compute(definition, views[definition.events], windows), strict=True)


def _spread(columns: Named, numbers: Integers, size: int) -> Named:
    """Give each cohort row the values of its moment."""
    is_in_order = len(numbers) == size and bool((numbers == np.arange(size)).all())
    for feature, column in columns:
        yield feature, column if is_in_order else column[numbers]


def _build_views(timeline: Timeline, size: int, features: Sequence[Feature]) -> dict[str, Events]:
    """Build the kinds of events that the features ask for, as far back as their windows reach."""
    windows: dict[str, list[Lookback | None]] = defaultdict(list)
    for feature in features:
        windows[feature.definition.events].append(feature.window)
    plans = []
    for name, asked in windows.items():
        reach = max((window for window in asked if window is not None), key=lambda w: w.days, default=None)
        narrowed = replace(timeline, reach=reach)
        placed = VIEWS[name].build(narrowed)
        plans.append(placed if reach is None else narrowed.keep_reachable(placed))
    return {name: Events(frame, size) for name, frame in zip(windows, _collect(plans), strict=True)}
