"""Repeatable: sums with the same bits on any number of processors."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_on_any_threads() -> Iterator[None]:
    """Let one thread add up in linear algebra: the last bits of a sum depend on how many threads share it.

    It serves as a decorator, too. Polars, LightGBM and numba keep their threads: their results do not depend
    on how many there are. Bits still differ between kinds of processors: linear algebra has code for each.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn

    with threadpool_limits(1, user_api="blas"):
        yield
