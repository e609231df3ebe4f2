"""Draws: seeded streams and the few distributions that the simulator uses."""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

DAYS_APART: Final = 100_000.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Seed:
    """The seed of one block of a region."""

    region: int
    block: int = 0

    def open_stream(self, name: str) -> np.random.Generator:
        """A stream of its own for each part, so that a change in one part leaves the others as they were."""
        return np.random.default_rng([self.region, self.block, crc32(name.encode())])


def pick(rng: np.random.Generator, weights: Floats, size: int) -> Ints:
    """Positions drawn with the given weights."""
    bounds = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(bounds, rng.random(size), side="right"), len(weights) - 1)


def pick_per_row(rng: np.random.Generator, weights: Floats) -> Ints:
    """One position per row, drawn with the weights of that row."""
    bounds = np.cumsum(weights, axis=1)
    marks = rng.random(len(weights)) * bounds[:, -1]
    return np.asarray(np.minimum((bounds <= marks[:, None]).sum(axis=1), weights.shape[1] - 1))


def draw_skewed(
    rng: np.random.Generator, median: Floats | float, spread: Floats | float, size: int
) -> Floats:
    """Log-normal values by median and log-spread."""
    return np.asarray(median * np.exp(spread * rng.standard_normal(size)), dtype=np.float64)


def draw_events(rng: np.random.Generator, rates: Floats) -> tuple[Ints, Floats]:
    """Rows and times, in steps, of events whose expected number per row and step is `rates`."""
    counts = rng.poisson(rates).ravel()
    cells = np.repeat(np.arange(counts.size), counts)
    steps = rates.shape[1]
    return cells // steps, cells % steps + rng.random(cells.size)


def spread_out(counts: Ints) -> Ints:
    """Positions repeated as often as `counts` says."""
    return np.repeat(np.arange(counts.size), counts)


def number_within(counts: Ints) -> Ints:
    """For each repeated position, its number within the repetition, from 0."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def place_on_line(persons: Ints, days: Floats) -> Floats:
    """Days of all persons laid end to end on one line, so that one sorted search serves everybody."""
    return persons * DAYS_APART + days
