"""Small counts: what a page, a card and the files beside them must not say of few persons."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.metrics import compute_wilson
from somv_risk.registers.schema import INDEX_TIME

# Of fewer nothing is said "of 1,000".
LEAST_PER_1000: Final = 100
FEW_PER_1000: Final = f"Fewer than {LEAST_PER_1000} persons: nothing is said of 1,000."
_FOUND, _EVENTS, _LIST = "found", "events", ["population", "ranking", "capacity"]

_JOINED: Final = "joined"
_NUMBERS: Final = ("rows", "events", "mean_risk", "observed", "low", "high")
_IS_EVERYBODY: Final = pl.col("grouping") == "all"

Tables = Mapping[str, pl.DataFrame]


def hide_small_counts(tables: Tables) -> dict[str, pl.DataFrame]:
    """Hide what the tables of an evaluation would say of fewer than five persons.

    These are persons with the outcome, without it, or with it and missed by a list, and those from whose
    numbers theirs would follow. What is hidden is null, and its note says so.
    """
    return {name: _RULES[name](frame, tables) if name in _RULES else frame for name, frame in tables.items()}


def is_per_1000(persons: float | None) -> bool:
    """Whether there are enough persons to say something of 1,000."""
    return persons is not None and persons >= LEAST_PER_1000


def _hide_cases(cases: pl.DataFrame, _tables: Tables) -> pl.DataFrame:
    """Hide populations with small counts; and new persons, if few are left who are known."""
    rows, events = (
        (pl.col(name).filter(population="all").first().over(INDEX_TIME) - pl.col(name))
        for name in ("rows", "events")
    )
    is_left_over = ((rows > 0) & (rows < SMALLEST)) | ((events > 0) & (events < SMALLEST))
    is_few = _is_few(pl.col("rows"), pl.col("events")) | is_left_over
    return _blank(cases, is_few, ["rows", "events", "base_rate", "low", "high"])


def _hide_capacity(capacity: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Hide lists that hold few with or without the outcome, or miss few who had it."""
    key = [INDEX_TIME, *_LIST] if INDEX_TIME in capacity.columns else _LIST
    shared = [name for name in key if name not in {"ranking", "capacity"}]
    found = capacity.filter(metric="precision").select(
        *key, (pl.col("value") * pl.col("persons")).round().alias(_FOUND)
    )
    cases = tables["cases"] if "cases" in tables else capacity.select(*shared, pl.lit(None).alias(_EVENTS))
    placed = capacity.join(
        found.unique(key), on=key, how="left", maintain_order="left", nulls_equal=True
    ).join(cases.select(*shared, _EVENTS).unique(shared), on=shared, how="left", maintain_order="left")
    is_few = _is_few(pl.col("persons"), pl.col(_FOUND)) | (pl.col(_EVENTS) - pl.col(_FOUND) < SMALLEST)
    return _blank(placed, is_few, ["value", "low", "high"]).select(capacity.columns)


def _hide_persistence(persistence: pl.DataFrame, _tables: Tables) -> pl.DataFrame:
    """Hide parts with small counts, and with a part on the list the one off it, which adds up to all."""
    is_few = _is_few(pl.col("rows"), pl.col("events"))
    is_part = pl.col("flagged").is_not_null()
    of_parts = (is_few & is_part).any().over(INDEX_TIME, "ranking", "known_or_new")
    return _blank(persistence, is_few | (of_parts & is_part), ["rows", "events", "value", "low", "high"])


def _hide_calibration(calibration: pl.DataFrame, _tables: Tables) -> pl.DataFrame:
    """Hide the calibration of everybody, if few have the outcome; groups hide where they are measured."""
    is_few = _IS_EVERYBODY & _is_few(pl.col("rows"), pl.col(_EVENTS))
    return _blank(calibration, is_few, ["rows", _EVENTS, "value", "low", "high"])


def _join_bins(reliability: pl.DataFrame, _tables: Tables) -> pl.DataFrame:
    """Join neighbouring bins of everybody until each holds five with the outcome and five without."""
    key = [name for name in (INDEX_TIME, "ranking", "grouping", "group") if name in reliability.columns]
    is_binned = _IS_EVERYBODY & pl.all_horizontal(pl.col("bin", *_NUMBERS[:4]).is_not_null())
    joined = [
        _join(bins.sort("bin"), key)
        for bins in reliability.filter(is_binned).partition_by(key, maintain_order=True)
    ]
    others = reliability.filter(~is_binned.fill_null(value=False))
    return pl.concat([*joined, others], how="diagonal").select(reliability.columns)


def _join(bins: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    rows, events = pl.col("rows").sum(), pl.col(_EVENTS).sum()
    counts = bins.select(_EVENTS, pl.col("rows") - pl.col(_EVENTS)).rows()
    numbered = bins.with_columns(pl.Series(_JOINED, _number_joined(counts)))
    sums = numbered.group_by(_JOINED, maintain_order=True).agg(
        pl.col([*key, "bin", "note"]).first(),
        (pl.col("mean_risk") * pl.col("rows")).sum() / rows,
        rows,
        events,
    )
    low, high = compute_wilson(sums[_EVENTS].to_numpy().astype(float), sums["rows"].to_numpy().astype(float))
    told = sums.with_columns(
        (pl.col(_EVENTS) / pl.col("rows")).alias("observed"), pl.Series("low", low), pl.Series("high", high)
    )
    return _blank(told, _is_few(pl.col("rows"), pl.col(_EVENTS)), [*_NUMBERS]).drop(_JOINED)


def _number_joined(counts: Sequence[Sequence[int]]) -> list[int]:
    """Number the bins, those that are joined alike; the last ones join those before if they are too few."""
    numbers, number, held = [], 0, [0] * 2
    for bin_counts in counts:
        numbers.append(number)
        held = [sum(pair) for pair in zip(held, bin_counts, strict=True)]
        if min(held) >= SMALLEST:
            number, held = number + 1, [0] * 2
    return [min(each, max(number - 1, 0)) for each in numbers]


def _hide_distribution(distribution: pl.DataFrame, _tables: Tables) -> pl.DataFrame:
    """Hide the smallest counts of a distribution, at least two of them, as all of them add up."""
    of = [name for name in (INDEX_TIME, "ranking", "outcome") if name in distribution.columns]
    rows = pl.when(pl.col("rows") > 0).then("rows")
    is_small = rows < SMALLEST
    hidden = pl.when(is_small).then(rows)
    is_next = (rows == rows.filter(~is_small).min().over(of)) & (
        hidden.sum().over(of).is_between(1, SMALLEST - 1)
    )
    return _blank(distribution, is_small | is_next, ["rows", "share"])


def _hide_hidden(hidden: pl.DataFrame, _tables: Tables) -> pl.DataFrame:
    """Hide what the national rule hides and counts, if either is few."""
    of = [name for name in (INDEX_TIME, "ranking") if name in hidden.columns]
    is_part = pl.col("measure").is_in(["persons_counted", "persons_hidden"])
    is_few = (is_part & pl.col("value").is_between(0, SMALLEST, closed="none")).any().over(of)
    is_whole = pl.col("measure") == "persons_with_outcome"
    whole_is_few = is_whole & pl.col("value").is_between(0, SMALLEST, closed="none")
    return _blank(hidden, (is_few & ~is_whole) | whole_is_few, ["value", "low", "high"])


def _is_few(rows: pl.Expr, events: pl.Expr) -> pl.Expr:
    """Whether few have the outcome, or few have it not; of nobody there is nothing to hide."""
    return (rows > 0) & ((events < SMALLEST) | (rows - events < SMALLEST))


def _blank(frame: pl.DataFrame, is_few: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    is_hidden = is_few.fill_null(value=False)
    return frame.with_columns(
        pl.when(~is_hidden).then(pl.col(columns)),
        pl.when(is_hidden).then(pl.lit(FEW)).otherwise(pl.col("note")).alias("note"),
    )


_RULES: Final[Mapping[str, Callable[[pl.DataFrame, Tables], pl.DataFrame]]] = MappingProxyType(
    {
        "cases": _hide_cases,
        "capacity": _hide_capacity,
        "persistence": _hide_persistence,
        "calibration": _hide_calibration,
        "reliability": _join_bins,
        "risk_distribution": _hide_distribution,
        "hidden": _hide_hidden,
    }
)
