"""The engine: place events on the time line, keep those in the window, add them up per person.

What looks at the histories happens when the frame is collected, not before: `build_features` is lazy. The
index moments are then taken a chunk at a time, so that memory holds the events seen from few of them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from somv_risk.calls.arguments import list_values
from somv_risk.cohort.asof import NO_LAGS, Lags
from somv_risk.cohort.cohort_rows import CohortLike, KnownRows, check_rows, scan_cohort
from somv_risk.errors import ConfigError
from somv_risk.features._catalogue import load_catalogue
from somv_risk.features._chunks import Chunk, Lookout, list_lookouts, work_ahead
from somv_risk.features._definition import Definition, Feature
from somv_risk.features._events import Events
from somv_risk.features._loops import Integers
from somv_risk.features._texts import Coded
from somv_risk.features._timeline import Timeline
from somv_risk.features.measures import MEASURES, Column, choose
from somv_risk.features.views import VIEWS, build_view
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

# Below this, starting threads takes longer than the work.
FEW_MOMENTS: Final = 1_000
# Up to here, rows are put together one by one instead of column by column.
FEW_ROWS: Final = 8

Result = TypeVar("Result")
Columns = Iterator[tuple[Feature, Column]]
Keep = Callable[[slice, Columns], Result]


def build_features(
    histories: Histories,
    cohort: CohortLike,
    features: Sequence[Feature] | None = None,
    *,
    lags: Lags = NO_LAGS,
) -> pl.LazyFrame:
    """Build the features of each cohort row from what was known before its index moment.

    Parameters
    ----------
    cohort
        Rows of `person_id`, `index_time`, a cohort or a Polars, pandas or Arrow frame: any number of moments
        per person, regular or not. Repeated rows are answered as often as they are asked.
    features
        Which features, in this order; the whole catalogue by default.
    lags
        Days from an event to its arrival, by table.

    Returns
    -------
    One row per cohort row, in cohort order: `person_id`, `index_time`, then one column per feature.
    Counts are 0 and recencies, shares and means null where there are no events; every feature of a
    table that is absent is null. Only the features that are selected from the frame are computed.

    Raises
    ------
    InputError
        If the cohort cannot be read, or, once the frame is collected, names persons not in the histories.
    """
    chosen = load_catalogue() if features is None else _list_features(features)
    _check_names(chosen)
    rows = scan_cohort(histories, cohort)
    is_known = isinstance(cohort, KnownRows)
    collect_rows = partial(_collect_known, rows) if is_known else partial(_collect_checked, histories, rows)
    return register_io_source(
        partial(_stream, histories, collect_rows, chosen, lags),
        schema={s.PERSON_ID: pl.String(), s.INDEX_TIME: pl.Datetime("us")}
        | {feature.name: feature.measure.dtype for feature in chosen},
    )


def _list_features(features: Sequence[Feature]) -> tuple[Feature, ...]:
    listed = list_values(features)
    chosen = tuple(feature for feature in listed or () if isinstance(feature, Feature))
    if listed is None or len(chosen) < len(listed):
        raise ConfigError("features are no features in a list. Give some of load_catalogue().")
    return chosen


def _check_names(features: Sequence[Feature]) -> None:
    names = Counter(feature.name for feature in features)
    repeated = sorted(name for name, times in names.items() if times > 1)
    if repeated:
        raise ConfigError(f"Features {repeated} are asked for twice. Name each feature once.")


def _collect_known(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.collect(engine="in-memory")


def _collect_checked(histories: Histories, rows: pl.LazyFrame) -> pl.DataFrame:
    persons = histories.persons.select(s.PERSON_ID).collect(engine="in-memory")
    return check_rows(_collect_known(rows), persons.to_series())


def _stream(
    histories: Histories,
    collect_rows: Callable[[], pl.DataFrame],
    features: Sequence[Feature],
    lags: Lags,
    with_columns: list[str] | None,
    predicate: pl.Expr | None,
    n_rows: int | None,
    _batch_size: int | None,
) -> Iterator[pl.DataFrame]:
    """Compute what a collected query needs of the features: the columns it reads, then the rows it keeps."""
    cohort = collect_rows()
    named = None if with_columns is None else set(with_columns)
    wanted = [feature for feature in features if named is None or feature.name in named]
    kept = list(compute_features(histories, cohort, wanted, lags, _keep_columns))
    assemble = _assemble_rows if cohort.height <= FEW_ROWS else _assemble_columns
    frame = pl.concat([cohort, assemble(kept, wanted)], how="horizontal")
    asked = frame if with_columns is None else frame.select(with_columns)
    filtered = asked if predicate is None else asked.filter(predicate)
    yield filtered if n_rows is None else filtered.head(n_rows)


Kept = Sequence[tuple[Integers, list[Column]]]


def _keep_columns(_rows: slice, columns: Columns) -> list[Column]:
    return [column for _, column in columns]


def _assemble_columns(kept: Kept, features: Sequence[Feature]) -> pl.DataFrame:
    """Put the columns of all chunks together, in the order of the cohort's rows."""
    order = np.argsort(np.concatenate([cohort_rows for cohort_rows, _ in kept]), kind="stable")
    is_in_order = np.array_equal(order, np.arange(len(order)))
    columns = []
    for feature, *pieces in zip(features, *(columns for _, columns in kept), strict=True):
        series = [_to_series(piece, feature) for piece in pieces]
        whole = series[0] if len(series) == 1 else pl.concat(series)
        columns.append(whole if is_in_order else whole[order])
    return pl.DataFrame(columns)


def _to_series(column: Column, feature: Feature) -> pl.Series:
    """Return a column with its name and type; NaN becomes null."""
    dtype = feature.measure.dtype
    if isinstance(column, Coded):
        return pl.Series(feature.name, column.list_texts(), dtype)
    series = pl.Series(feature.name, column, nan_to_null=True)
    return series if series.dtype == dtype else series.cast(dtype)


def _assemble_rows(kept: Kept, features: Sequence[Feature]) -> pl.DataFrame:
    """Put rows together one by one: for few of them, a series per feature would take longer than all else."""
    schema = {feature.name: feature.measure.dtype for feature in features}
    rows = {}
    for cohort_rows, columns in kept:
        listed = [_list_values(column, dtype) for column, dtype in zip(columns, schema.values(), strict=True)]
        for number, row in enumerate(cohort_rows.tolist()):
            values = (column[number] for column in listed)
            rows[row] = dict(zip(schema, values, strict=True))
    return pl.from_dicts([rows[row] for row in sorted(rows)], schema=schema)


def _list_values(column: Column, dtype: pl.DataType) -> list[object]:
    """List the values of a column, none instead of NaN."""
    if isinstance(column, Coded):
        return [*column.list_texts()]
    listed: list[object] = column.tolist()
    if column.dtype.kind != "f":
        return listed
    convert = _PYTHON_TYPES[type(dtype)]
    return [None if value != value else convert(value) for value in listed]  # noqa: PLR0124 - NaN


_PYTHON_TYPES: Final = MappingProxyType({pl.Int32: int, pl.Float64: float, pl.Boolean: bool})


def compute_features(
    histories: Histories,
    cohort: pl.DataFrame,
    features: Sequence[Feature],
    lags: Lags,
    keep: Keep[Result],
) -> Iterator[tuple[Integers, Result]]:
    """Compute the features of all cohort rows, chunk by chunk; each cohort row stands in one of them.

    Gives, of each chunk, the numbers of its cohort rows, and what `keep` makes of its slice of all rows given
    so far and of its columns. The columns come one by one, so that not all have to be held at once; NaN
    stands for null.
    """
    absent = {name for name, view in VIEWS.items() if set(view.tables) & set(histories.absent)}
    present = [feature for feature in features if feature.definition.events not in absent]

    def list_tasks() -> Iterator[Callable[[], tuple[Integers, Result] | None]]:
        first = 0
        for lookout, following in _look_ahead(list_lookouts(histories, cohort, present, lags)):
            if following is not None:
                yield partial(_prepare, following)
            for chunk in lookout.list_chunks():
                last = first + len(chunk.cohort_rows)
                yield partial(_compute, chunk, features, absent, partial(keep, slice(first, last)))
                first = last

    threads = pl.thread_pool_size() if cohort.height > FEW_MOMENTS else 1
    for computed in work_ahead(list_tasks(), threads):
        if computed is not None:
            yield computed


def _prepare(lookout: Lookout) -> None:
    """Let a lookout read its rows before anybody has to wait for them."""
    lookout.prepare()


def _look_ahead(lookouts: Iterator[Lookout]) -> Iterator[tuple[Lookout, Lookout | None]]:
    """Give each lookout with the one that follows it; of the past ones none is kept."""
    current = next(lookouts, None)
    while current is not None:
        following = next(lookouts, None)
        yield current, following
        current = following


def _compute(
    chunk: Chunk, features: Sequence[Feature], absent: Collection[str], keep: Callable[[Columns], Result]
) -> tuple[Integers, Result]:
    return chunk.cohort_rows, keep(_measure(chunk.look_back(), features, absent))


def _measure(timeline: Timeline, features: Sequence[Feature], absent: Collection[str]) -> Columns:
    """Measure the features from each moment of the time line; one of absent events is null."""
    for definition, group in groupby(features, lambda feature: feature.definition):
        same = list(group)
        events = None if definition.events in absent else build_view(definition.events, timeline)
        if events and not _finds_nothing(definition, events):
            windows = [feature.window for feature in same if feature.window is not None]
            yield from zip(same, same[0].measure.compute(definition, events, windows), strict=True)
        else:
            column = timeline.repeat(None if events is None else same[0].measure.when_none)
            yield from ((feature, column) for feature in same)


def _finds_nothing(definition: Definition, events: Events) -> bool:
    """Whether no event is what is asked for; of one citizen few events are, and nothing need be added up."""
    if not len(events):
        return True
    return not MEASURES[definition.measure].needs_where and not len(choose(definition, events))
