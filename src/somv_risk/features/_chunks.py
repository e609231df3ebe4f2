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

from somv_risk import schema as s
from somv_risk.asof import Lags
from somv_risk.features._loops import Integers
from somv_risk.features._reading import read_rows
from somv_risk.features._spec import Feature
from somv_risk.features._tables import Prepared
from somv_risk.features._timeline import Timeline, number_moments
from somv_risk.histories import Histories

MOMENTS_PER_CHUNK: Final = 120_000
# An index time with this many moments is a chunk of its own: each person is then seen once, which is fastest.
MANY_MOMENTS: Final = 5_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Cohort rows whose moments lie together: `places` are those rows, `numbers` the moments they ask for."""

    places: Integers
    numbers: Integers
    span: slice
    lookout: "Lookout"

    @property
    def size(self) -> int:
        """How many moments are looked back from."""
        return int(self.span.stop - self.span.start)

    def look_back(self) -> Timeline:
        """Look back from the moments of the chunk."""
        return self.lookout.look_back(self.span)


class Lookout:
    """The moments of cohort rows and the histories they look back upon, read when first needed."""

    def __init__(
        self,
        histories: Histories,
        cohort: pl.DataFrame,
        places: Integers,
        features: Sequence[Feature],
        lags: Lags,
    ) -> None:
        self._histories, self._features, self._lags = histories, features, lags
        self._places = places
        self._moments, self._numbers = number_moments(cohort)
        self._prepared: Prepared | None = None
        self._lock = Lock()

    @property
    def prepared(self) -> Prepared:
        """The rows read and prepared, once, by whichever thread comes first."""
        with self._lock:
            if self._prepared is None:
                self._prepared = read_rows(self._histories, self._moments, self._features, self._lags)
            return self._prepared

    def look_back(self, span: slice) -> Timeline:
        """Look back from some of the moments."""
        prepared = self.prepared
        index = self._moments[s.INDEX_TIME][span].cast(pl.Int64).to_numpy()
        return Timeline(prepared, prepared.numbers[span], index)

    def list_chunks(self) -> Iterator[Chunk]:
        """List the chunks in order of time: one index time each, or several that have few moments."""
        for first, last in self._list_spans():
            chosen = np.flatnonzero((self._numbers >= first) & (self._numbers < last))
            yield Chunk(self._places[chosen], self._numbers[chosen] - first, slice(first, last), self)

    def _list_spans(self) -> Iterator[tuple[int, int]]:
        times = self._moments[s.INDEX_TIME]
        ends = np.append(np.flatnonzero((times[1:] != times[:-1]).to_numpy()) + 1, len(times))
        first = 0
        for end in ends.tolist():
            if end - first >= MANY_MOMENTS or end == len(times):
                yield from pairwise([*range(first, end, MOMENTS_PER_CHUNK), end])
                first = end


def list_chunks(
    histories: Histories, cohort: pl.DataFrame, features: Sequence[Feature], lags: Lags
) -> Iterator[Chunk]:
    """List the chunks of a cohort: the parts of the histories one after the other, each in order of time."""
    for part, places in _split_cohort(histories, cohort):
        yield from Lookout(part, cohort[places], places, features, lags).list_chunks()


def _split_cohort(histories: Histories, cohort: pl.DataFrame) -> Iterator[tuple[Histories, Integers]]:
    """Split cohort rows by the part of the histories that has the person; the first part has the unknown."""
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
        places = np.flatnonzero(home == number)
        if len(places):
            yield part, places


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
