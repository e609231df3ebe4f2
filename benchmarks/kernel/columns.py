"""Columns: where in the matrix each feature stands, over which windows, and what is there at first.

The kernel takes places and windows from the catalogue and types neither. A feature that the catalogue does
not have stops the import, and so does one that no part of the kernel has asked for.
"""

import hashlib
import tomllib
from collections.abc import Callable
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import config, njit

from somv_risk.cohort.windows import MICROSECONDS_PER_DAY as DAY

# What these measures give without any event; the others give null.
_ZERO_WITHOUT_EVENTS = frozenset(
    (
        *("count", "any", "days", "distinct", "most_within", "now", "distinct_now"),
        *("decayed", "trend", "days_trend", "longest_inside"),
    )
)
_CATALOGUE_FILE = resources.files("somv_risk.features") / "catalogue.toml"
_CATALOGUE: dict[str, dict[str, Any]] = tomllib.loads(_CATALOGUE_FILE.read_text(encoding="utf-8"))
_WIDTHS = [len(row.get("windows", [None])) for row in _CATALOGUE.values()]
_FIRST = dict(zip(_CATALOGUE, accumulate(_WIDTHS, initial=0), strict=False))
_asked_for: set[str] = set()

FEATURE_NAMES = tuple(
    identity if days is None else f"{identity}_{days}d"
    for identity, row in _CATALOGUE.items()
    for days in row.get("windows", [None])
)
WITHOUT_EVENTS = np.repeat(
    [np.float32(0 if row["measure"] in _ZERO_WITHOUT_EVENTS else np.nan) for row in _CATALOGUE.values()],
    _WIDTHS,
)


class Column(NamedTuple):
    """The place of a feature's first window, its ascending windows and the span of a burst (microseconds)."""

    first: int
    windows: npt.NDArray[np.int64]
    span: int


def find_column(identity: str) -> Column:
    """Find a feature of the catalogue by its id, and note that the kernel fills it."""
    row = _CATALOGUE[identity]
    _asked_for.add(identity)
    windows = np.array(sorted(row.get("windows", ())), dtype=np.int64) * DAY
    return Column(_FIRST[identity], windows, row.get("within_days", 0) * DAY)


def find_single(identity: str) -> Column:
    """Find a feature that the kernel fills over one window only."""
    column = find_column(identity)
    if len(column.windows) != 1:
        raise RuntimeError(f"The kernel fills {identity} over one window. Teach it more, or take them away.")
    return column


def find_columns(*identities: str) -> tuple[Column, ...]:
    """Find several features that are filled alike."""
    return tuple(map(find_column, identities))


def check_all_are_filled() -> None:
    """Check that the kernel has asked for every feature of the catalogue."""
    if missing := set(_CATALOGUE) - _asked_for:
        raise RuntimeError(f"The kernel does not fill {sorted(missing)}. Write them, or take them away.")
    unsorted = [
        name for name, row in _CATALOGUE.items() if sorted(row.get("windows", ())) != row.get("windows", [])
    ]
    if unsorted:
        raise RuntimeError(f"The windows of {unsorted} do not ascend. The kernel needs them to.")


def _name_cache() -> Path:
    """Name a folder by all that compiled code depends on; numba itself looks at one file only."""
    own = Path(__file__).parent
    texts = [file.read_bytes() for file in sorted(own.glob("*.py"))]
    texts += [
        file.read_bytes()
        for file in (_CATALOGUE_FILE, _CATALOGUE_FILE.parent.parent / "codes" / "icd10_groups.toml")
    ]
    return own / "__pycache__" / hashlib.blake2b(b"".join(texts), digest_size=8).hexdigest()


CACHE = str(_name_cache())


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function to machine code that runs without the interpreter's lock, and keep it on disk.

    It cannot make arrays (`_nrt`): counting who holds each array, in every call, took 60 % of the time.
    """
    before, config.CACHE_DIR = config.CACHE_DIR, CACHE
    try:
        return njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function)
    finally:
        config.CACHE_DIR = before
