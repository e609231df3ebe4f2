"""Repeatable: sums with the same bits on any number of processors."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_on_any_threads() -> Iterator[None]:
    """Let one thread add up in linear algebra: the last bits of a sum hang on how many threads share it.

    It serves as a decorator, too. Polars, LightGBM and numba keep their threads: their sums do not hang on
    these. Bits still differ between kinds of processors, for which the linear algebra has code of their own.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn

    with threadpool_limits(1, user_api="blas"):
        yield
