"""Workers: the tasks of a run done here, or by several processes."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Final, TypeVar

import polars as pl

from somv_risk.errors import ConfigError, SourceError

Result = TypeVar("Result")

_THREADS: Final = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")


class Workers:
    """Does tasks one by one in this process, or several at a time in others."""

    def __init__(self, pool: ProcessPoolExecutor | None, size: int = 1) -> None:
        self._pool = pool
        self.size = size

    def run(self, tasks: Iterable[Callable[[], Result]]) -> Iterator[Result]:
        """Give the results as they come.

        Raises
        ------
        SourceError
            If a process was ended from outside.
        """
        if self._pool is None:
            for task in tasks:
                yield task()
            return
        try:
            for future in as_completed([self._pool.submit(task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool:
            raise SourceError(
                "A worker process was ended from outside, perhaps for want of memory. Start again to go on "
                "where the run stopped; fewer workers need less memory."
            ) from None


@contextmanager
def start_workers(workers: int) -> Iterator[Workers]:
    """Start the workers; one is this process itself, which uses all cores by its threads.

    Raises
    ------
    ConfigError
        If their number is not a whole number from 1.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"workers is {workers!r}. Give a whole number from 1.")
    if workers == 1:
        yield Workers(None)
        return
    # A forked process would share locks of threads it does not have.
    with _share_threads(workers):
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)
        try:
            yield Workers(pool, workers)
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _share_threads(workers: int) -> Iterator[None]:
    """Share the threads among processes that are started meanwhile, which read this when they load Polars."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(max(1, pl.thread_pool_size() // workers))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however it ended."""
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
