"""Chunks: the moments of a cohort in handy pieces, worked at by several threads and given in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Final, TypeVar

import numpy as np
import polars as pl

from somv_risk.cohort.asof import KEY, Lags
from somv_risk.features._definition import Feature
from somv_risk.features._loops import Integers
from somv_risk.features._reading import NUMBER, look_up, read_rows
from somv_risk.features._tables import Prepared
from somv_risk.features._timeline import Timeline, to_microseconds
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories

# A matrix of all features for so many moments is below 32 MB. The C library keeps such a piece of memory
# for the next one; a larger one is given back, and to get it anew took a fifth of the time it is worked at.
MOMENTS_PER_CHUNK: Final = 25_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some moments of a lookout, its `rows`; `cohort_rows` are the numbers of those that ask for them."""

    cohort_rows: Integers
    rows: slice
    lookout: "Lookout"

    def look_back(self) -> Timeline:
        """Look back from the moments of the chunk."""
        return self.lookout.look_back(self.rows)


class Lookout:
    """Moments and the histories they look back upon, read when first needed."""

    def __init__(
        self,
        histories: Histories,
        cohort: pl.DataFrame,
        cohort_rows: Integers,
        features: Sequence[Feature],
        lags: Lags,
    ) -> None:
        self._histories, self._features, self._lags = histories, features, lags
        self._moments, self._cohort_rows = cohort[list(KEY)], cohort_rows
        self._index = to_microseconds(cohort[s.INDEX_TIME])
        self._prepared: Prepared | None = None
        self._lock = Lock()

    def prepare(self) -> Prepared:
        """Read and prepare the rows, once; whoever needs them meanwhile waits."""
        with self._lock:
            if self._prepared is None:
                self._prepared = read_rows(self._histories, self._moments, self._features, self._lags)
            return self._prepared

    def look_back(self, rows: slice) -> Timeline:
        """Look back from some of the moments."""
        prepared = self.prepare()
        return Timeline(prepared, prepared.numbers[rows], self._index[rows])

    def list_chunks(self) -> Iterator[Chunk]:
        """List the chunks, of about the same size, in the order of the cohort.

        Where this is that of the persons, their rows are still at hand for the next index time.
        """
        chunks = -(-len(self._cohort_rows) // MOMENTS_PER_CHUNK)
        for first, last in pairwise(np.linspace(0, len(self._cohort_rows), chunks + 1).astype(int).tolist()):
            yield Chunk(self._cohort_rows[first:last], slice(first, last), self)


def list_lookouts(
    histories: Histories, cohort: pl.DataFrame, features: Sequence[Feature], lags: Lags
) -> Iterator[Lookout]:
    """List the lookouts of a cohort: one for each part of the histories that has any of its persons."""
    if len(histories.parts) == 1:
        yield Lookout(histories, cohort, np.arange(cohort.height), features, lags)
        return
    for part, cohort_rows in _split_cohort(histories, cohort):
        yield Lookout(part, cohort[cohort_rows], cohort_rows, features, lags)


def _split_cohort(histories: Histories, cohort: pl.DataFrame) -> Iterator[tuple[Histories, Integers]]:
    """Split cohort rows by the part of the histories that has the person; the first part has the unknown."""
    parts = histories.parts
    homes = pl.concat(
        part.persons.select(s.PERSON_ID, pl.lit(number, pl.Int32).alias(NUMBER))
        for number, part in enumerate(parts)
    )
    home = look_up(cohort[s.PERSON_ID], homes, 0)
    for number, part in enumerate(parts):
        cohort_rows = np.flatnonzero(home == number)
        if len(cohort_rows):
            yield part, cohort_rows


def work_ahead(tasks: Iterable[Callable[[], Result]], threads: int) -> Iterator[Result]:
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
