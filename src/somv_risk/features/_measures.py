"""Measures: how the events of a view become one number per person and index moment.

Sums run over integers and are divided once at the end, so the result does not depend on the order in
which an engine adds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl

from somv_risk.features._timeline import END_AGE, START_AGE
from somv_risk.windows import MICROSECONDS_PER_DAY

if TYPE_CHECKING:
    from somv_risk.features._spec import Feature

NEVER_NULL = "never null while the tables it needs are present"
NO_EVENT = "no such event in the window"


@dataclass(frozen=True, slots=True)
class Measure:
    """One way of measuring: its expression, type, what stands for "no events", and what null means."""

    express: "Callable[[Feature], pl.Expr]"
    dtype: pl.DataType
    when_none: int | bool | None
    null_means: str
    has_window: bool = True
    needs_value: bool = False
    needs_where: bool = False


def _flags(names: tuple[str, ...]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(value=True), *names)


def _age(feature: "Feature") -> pl.Expr:
    return pl.col(END_AGE if feature.definition.anchor == "end" else START_AGE)


def _in_window(feature: "Feature") -> pl.Expr:
    return feature.lookback.contains(_age(feature))


def _selected(feature: "Feature") -> pl.Expr:
    return _in_window(feature) & _flags(feature.definition.where)


def divide_exactly(numerator: pl.Expr, denominator: int) -> pl.Expr:
    """Divide by a constant so that one row gives the same bits as a million.

    Polars multiplies a long column by the reciprocal of a scalar, but divides a column of one row; a
    denominator that is itself a column is always divided by.
    """
    return numerator / (numerator * 0 + denominator)


def _in_days(microseconds: pl.Expr) -> pl.Expr:
    return divide_exactly(microseconds, MICROSECONDS_PER_DAY)


def _is_open(feature: "Feature") -> pl.Expr:
    return pl.col(END_AGE).is_null() & _flags(feature.definition.where)


def express_count(feature: "Feature") -> pl.Expr:
    """Events in the window."""
    return _selected(feature).sum().cast(pl.Int32)


def express_any(feature: "Feature") -> pl.Expr:
    """Whether there is any event in the window."""
    return _selected(feature).any()


def express_days(feature: "Feature") -> pl.Expr:
    """Days of the part of the intervals that lies inside the window; an open one lasts until the index."""
    inside = pl.min_horizontal(START_AGE, pl.lit(feature.lookback.microseconds)) - pl.col(END_AGE).fill_null(
        0
    )
    return _in_days(pl.when(_flags(feature.definition.where) & (inside > 0)).then(inside).otherwise(0).sum())


def express_days_since(feature: "Feature") -> pl.Expr:
    """Days from the latest event in the window to the index."""
    return _in_days(pl.when(_selected(feature)).then(_age(feature)).min())


def express_longest(feature: "Feature") -> pl.Expr:
    """Largest value in the window, in days."""
    return _in_days(pl.when(_selected(feature)).then(pl.col(feature.value)).max())


def express_mean(feature: "Feature") -> pl.Expr:
    """Mean value in the window, in days."""
    values = pl.when(_selected(feature)).then(pl.col(feature.value))
    events = values.count().cast(pl.Int64)
    return pl.when(events > 0).then(values.sum() / (events * MICROSECONDS_PER_DAY))


def express_smallest(feature: "Feature") -> pl.Expr:
    """Smallest gap, in days, between an event and the end of the one before it, both in the window."""
    gap = pl.col(feature.value)
    is_inside = _selected(feature) & (pl.col(START_AGE) + gap <= feature.lookback.microseconds)
    return _in_days(pl.when(is_inside).then(gap).min())


def express_share(feature: "Feature") -> pl.Expr:
    """Share of the events `of` that are also `where`."""
    base = _in_window(feature) & _flags(feature.definition.of)
    events = base.sum().cast(pl.Int64)
    return pl.when(events > 0).then((base & _flags(feature.definition.where)).sum().cast(pl.Int64) / events)


def express_last(feature: "Feature") -> pl.Expr:
    """Whether the latest of the events `of` in the window is `where`."""
    base = _in_window(feature) & _flags(feature.definition.of)
    return _flags(feature.definition.where).filter(base).sort_by(_age(feature).filter(base)).first()


def express_distinct(feature: "Feature") -> pl.Expr:
    """Number of different values in the window."""
    return pl.col(feature.value).filter(_selected(feature)).drop_nulls().n_unique().cast(pl.Int32)


def express_now(feature: "Feature") -> pl.Expr:
    """Whether such an interval is open at the index."""
    return _is_open(feature).any()


def express_distinct_now(feature: "Feature") -> pl.Expr:
    """Number of different values among the intervals open at the index."""
    return pl.col(feature.value).filter(_is_open(feature)).drop_nulls().n_unique().cast(pl.Int32)


def express_days_open(feature: "Feature") -> pl.Expr:
    """Days since the start of the interval open at the index that started latest."""
    return _in_days(pl.when(_is_open(feature)).then(pl.col(START_AGE)).min())


def express_value(feature: "Feature") -> pl.Expr:
    """Return the value itself; there is one row per person and index moment."""
    return pl.col(feature.value).first()


def _express_elsewhere(feature: "Feature") -> pl.Expr:
    raise NotImplementedError(f"{feature.name} is built from a frame of its own")


_COUNTED = (pl.Int32(), 0, NEVER_NULL)
_DAYS = pl.Float64()

MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "count": Measure(express_count, *_COUNTED),
        "any": Measure(express_any, pl.Boolean(), when_none=False, null_means=NEVER_NULL),
        "days": Measure(express_days, _DAYS, 0, NEVER_NULL),
        "days_since": Measure(express_days_since, _DAYS, None, NO_EVENT),
        "longest": Measure(express_longest, _DAYS, None, NO_EVENT, needs_value=True),
        "mean": Measure(express_mean, _DAYS, None, NO_EVENT, needs_value=True),
        "smallest": Measure(
            express_smallest, _DAYS, None, "fewer than two such events in the window", needs_value=True
        ),
        "share": Measure(express_share, _DAYS, None, NO_EVENT, needs_where=True),
        "last": Measure(express_last, pl.Boolean(), None, NO_EVENT, needs_where=True),
        "distinct": Measure(express_distinct, *_COUNTED, needs_value=True),
        "most_within": Measure(_express_elsewhere, *_COUNTED),
        "continuity": Measure(
            _express_elsewhere, _DAYS, None, "fewer than two contacts in the window", needs_value=True
        ),
        "entropy": Measure(_express_elsewhere, _DAYS, None, NO_EVENT, needs_value=True),
        "now": Measure(express_now, pl.Boolean(), when_none=False, null_means=NEVER_NULL, has_window=False),
        "distinct_now": Measure(express_distinct_now, *_COUNTED, has_window=False, needs_value=True),
        "days_open": Measure(
            express_days_open, _DAYS, None, "no such interval is open at the index", has_window=False
        ),
        "age": Measure(express_value, pl.Int32(), None, "never null", has_window=False, needs_value=True),
        "category": Measure(
            express_value, pl.String(), None, "not recorded", has_window=False, needs_value=True
        ),
    }
)
