"""Small counts: what a page, a card and the files beside them must not say of few persons."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import polars as pl

from somv_risk.disclosure import FEW, SMALLEST
from somv_risk.schema import INDEX_TIME

# Of fewer nothing is said "of 1,000".
LEAST_PER_1000: Final = 100
FEW_PER_1000: Final = f"Fewer than {LEAST_PER_1000} persons: nothing is said of 1,000."
_FOUND, _EVENTS, _LIST = "found", "events", ["population", "ranking", "capacity"]

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
    {"cases": _hide_cases, "capacity": _hide_capacity, "persistence": _hide_persistence}
)
