"""Scores: the raw scores of trees for any number of rows, to the bit those of LightGBM."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import polars as pl

from somv_risk.calls.arguments import read_count
from somv_risk.calls.shown import show_type
from somv_risk.errors import ModelError
from somv_risk.machine_code import can_compile
from somv_risk.trees.forest import Forest, UnsupportedForestError, draw_probes, read_forest
from somv_risk.trees.masks import Codes, Places, Room, code_rows, find_different_rows, make_room, score_forest
from somv_risk.trees.rows import take_rows

if TYPE_CHECKING:
    from lightgbm import Booster

# So many rows share most of their masks, and what is worked at still fits into the processor's cache.
ROWS_PER_CHUNK: Final = 16_384
# Below this share of different rows, it pays to leave out the repeated ones.
WORTH_MERGING: Final = 0.9

Floats = npt.NDArray[np.float64]
AnyMatrix = npt.NDArray[Any]


def score_trees(booster: "Booster", matrix: AnyMatrix, *, threads: int | None = None) -> Floats:
    """Compute the raw scores of any number of rows, to the bit those of LightGBM's `predict`.

    Raises
    ------
    ModelError
        If the model has no trees, several scores per row or linear leaves, or the matrix other features or
        something other than numbers.
    """
    forest = read_once(booster)
    given = take_rows(matrix, booster)
    raw = np.empty(len(given))

    def score(rows: slice) -> None:
        raw[rows] = _score(booster, forest, given[rows])

    work(score, len(given), threads)
    return raw


def _score(booster: "Booster", forest: Forest | None, matrix: AnyMatrix) -> Floats:
    return score_by_lightgbm(booster, matrix) if forest is None else _score_by_masks(forest, matrix)


def score_by_lightgbm(booster: "Booster", matrix: AnyMatrix) -> Floats:
    """Compute raw scores as LightGBM does."""
    return np.asarray(booster.predict(matrix, raw_score=True), dtype=np.float64)


def _score_by_masks(forest: Forest, matrix: AnyMatrix) -> Floats:
    coded = code_matrix(forest, matrix)
    raw = np.zeros(coded.codes.shape[1])
    score_forest(coded.codes, forest.trees, coded.room, raw)
    return raw if coded.which is None else raw[coded.which]


@dataclass(frozen=True, slots=True)
class Coded:
    """Rows by codes; where many are the same, the different ones only, and which of them each row is."""

    codes: Codes
    room: Room
    which: Places | None


def code_matrix(forest: Forest, matrix: AnyMatrix) -> Coded:
    """Replace the values of rows by their places among the thresholds of a forest."""
    codes = np.empty((forest.width, len(matrix)), dtype=forest.codes)
    others = forest.trees.sets.shape[1] - 1
    code_rows(
        np.asfortranarray(matrix),
        forest.is_used,
        forest.bounds,
        forest.thresholds,
        forest.by_category,
        others,
        codes,
    )
    room = make_room(forest, len(matrix))
    if len(matrix) < 2:
        return Coded(codes, room, None)
    found = find_different_rows(codes, forest.is_used, room)
    if found > WORTH_MERGING * len(matrix):
        return Coded(codes, room, None)
    different = np.ascontiguousarray(codes[:, room.different[:found]])
    return Coded(different, make_room(forest, found), room.which)


def read_once(booster: "Booster") -> Forest | None:
    """Read the trees of a booster; none where they cannot be read, or LightGBM scores a row otherwise.

    They are read again if there are other ones: more, fewer, or of other extreme leaves.
    """
    if not hasattr(booster, "model_to_string"):
        raise ModelError(f"The booster is {show_type(booster)}. Give one of LightGBM.")
    state = (booster.num_trees(), booster.best_iteration, booster.lower_bound(), booster.upper_bound())
    known = _KNOWN.get(booster)
    if known is None or known[0] != state:
        known = (state, _read(booster))
        _KNOWN[booster] = known
    return known[1]


def _read(booster: "Booster") -> Forest | None:
    try:
        forest = read_forest(booster.model_to_string())
    except UnsupportedForestError:
        return None
    if not can_compile():
        return None
    probes = draw_probes(forest)
    is_same = np.array_equal(_score_by_masks(forest, probes), score_by_lightgbm(booster, probes))
    return forest if is_same else None


_Known = tuple[tuple[int, int, float, float], Forest | None]
_KNOWN: "Final[WeakKeyDictionary[Booster, _Known]]" = WeakKeyDictionary()


def work(task: Callable[[slice], None], rows: int, threads: int | None) -> None:
    """Do a task for all rows, chunk by chunk."""
    chunks = [slice(first, min(first + ROWS_PER_CHUNK, rows)) for first in range(0, rows, ROWS_PER_CHUNK)]
    workers = pl.thread_pool_size() if threads is None else read_count("threads", threads, least=1)
    if workers == 1 or len(chunks) <= 1:
        for chunk in chunks:
            task(chunk)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(task, chunks))
