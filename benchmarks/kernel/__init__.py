"""The limit: the whole feature catalogue as hand-written machine code, to compare the library with.

The idea: load the tables of a bucket once, as arrays in which the rows of a person stand together and in
order of time. Then go through the persons, one after the other, and through each one's few rows, and write
straight into the person's line of the matrix. Nothing is joined, sorted or grouped, and the line stays in
the fastest memory until it is full. What may be seen, and what is unknown of an open end, is decided row by
row, as in `asof`.

It gives the same numbers as `build_features` and `Encoding.to_matrix`, bit for bit, and can do nothing else:
no lags, no other features, no absent tables, no evidence, no reasons.
"""

from benchmarks.kernel.columns import CACHE, FEATURE_NAMES
from benchmarks.kernel.loading import Arrays, load_bucket
from benchmarks.kernel.matrix import build_matrix, fill_matrix, list_eligible, load_buckets

__all__ = [
    "CACHE",
    "FEATURE_NAMES",
    "Arrays",
    "build_matrix",
    "fill_matrix",
    "list_eligible",
    "load_bucket",
    "load_buckets",
]
