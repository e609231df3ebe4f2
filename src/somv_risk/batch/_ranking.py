"""Ranking: the places of all buckets' persons in the region, a slice of the order at a time."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.files.parquet import read_parquet, scan_parquet
from somv_risk.registers import schema as s
from somv_risk.scoring.score import PLACE, RAW, rank_persons

Ranks = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RANKED_AT_ONCE: Final = 500_000
_PART: Final = "part"


def rank_parts(parts: Sequence[Path], at_once: int = RANKED_AT_ONCE) -> list[Ranks]:
    """Rank the persons of all parts, from 1: the highest raw score first, equals by their id.

    Memory holds the raw scores of all, and the ids of as many as asked for; those whose raw scores are equal
    are looked at together.

    Returns
    -------
    For each part the ranks of its rows, as they stand there.
    """
    raws = [read_parquet(part, [RAW])[RAW].to_numpy() for part in parts]
    ranks = [np.zeros(len(raw), dtype=np.int64) for raw in raws]
    first = 1
    for high, low in _cut(np.concatenate([np.empty(0), *raws]), at_once):
        taken = [np.flatnonzero((raw <= high) & (raw > low)) for raw in raws]
        order = _order([_read(*cut) for cut in zip(parts, taken, range(len(parts)), strict=True)])
        number, place = order[_PART].to_numpy(), order[PLACE].to_numpy()
        following = np.arange(first, first + len(order))
        for part, own in enumerate(ranks):
            is_own = number == part
            own[place[is_own]] = following[is_own]
        first += len(order)
    return ranks


def _cut(raws: Floats, at_once: int) -> Iterator[tuple[float, float]]:
    """Cut the raw scores into intervals that leave out their lower end, the highest first."""
    raws.sort()
    edges = np.unique(raws[::-at_once])[::-1]
    yield from pairwise([*edges.tolist(), -np.inf])


def _read(part: Path, rows: npt.NDArray[np.intp], number: int) -> pl.DataFrame:
    # A part lies in order of the raw score, so that those wanted stand together.
    columns = scan_parquet(part).select(RAW, s.PERSON_ID).slice(int(rows[0]) if len(rows) else 0, len(rows))
    told = columns.collect()
    return told.with_columns(pl.Series(PLACE, rows, pl.Int64), pl.lit(number, pl.Int64).alias(_PART))


def _order(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return rank_persons(pl.concat(parts)).select(PLACE, _PART)
