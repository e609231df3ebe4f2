"""Drift: how far counts by bin have moved since the reference, and how far chance alone moves them."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from somv_risk.disclosure import SMALLEST

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BINS: Final = 10
LEAST_IN_BIN: Final = 20  # the chi-square law needs some; disclosure asks for five
_DIGITS: Final = 6
_ADDED: Final = 0.5  # to each bin, so that an empty one is not infinitely far away


@dataclass(frozen=True, slots=True)
class Drift:
    """Distance of two sets of counts by bin, each with the band that chance stays below.

    `psi` is the population stability index (in nats), `jensen_shannon` the distance (0 to 1).
    """

    psi: float
    psi_band: float
    jensen_shannon: float
    jensen_shannon_band: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the index lies above its band."""
        return self.psi > self.psi_band


def learn_edges(values: npt.NDArray[np.floating], *, bins: int = BINS) -> FloatArray:
    """Learn the inner edges of bins with about equally many values, none with fewer than 20.

    A value that many share has a bin of its own. An edge lies between two values, so it is none of them.

    Examples
    --------
    >>> learn_edges(np.repeat([0.0, 1.0, 2.0, 7.0], [900, 50, 30, 20])).tolist()
    [0.5, 1.5, 4.5]
    """
    distinct, counts = np.unique(values, return_counts=True)
    is_heavy = counts * bins >= counts.sum()
    light = np.where(is_heavy, 0, counts)
    wanted = max(1, bins - int(is_heavy.sum()))
    place = (np.cumsum(light) - light) * wanted // max(1, int(light.sum()))
    starts = (np.diff(place) > 0) | is_heavy[1:] | is_heavy[:-1]
    middles = (distinct[1:].astype(np.float64) + distinct[:-1]) / 2
    edges = np.unique([float(f"{edge:.{_DIGITS}g}") for edge in middles[starts]])
    return _merge_small(edges, count_bins(values, edges))


def _merge_small(edges: FloatArray, counts: IntArray) -> FloatArray:
    """Drop edges until no bin holds too few: the smallest joins the smaller of its neighbours."""
    left, held = list(edges), [int(count) for count in counts]
    while len(held) > 1 and min(held) < LEAST_IN_BIN:
        place = held.index(min(held))
        neighbours = [other for other in (place - 1, place + 1) if 0 <= other < len(held)]
        other = min(neighbours, key=held.__getitem__)
        first = min(place, other)
        held[first : first + 2] = [held[place] + held[other]]
        del left[first]
    return np.array(left, dtype=np.float64)


def count_bins(values: npt.NDArray[np.floating], edges: FloatArray) -> IntArray:
    """Count values by bin; a value on an edge belongs above it."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def measure_drift(
    reference: npt.NDArray[np.number],
    counts: npt.NDArray[np.number],
    *,
    confidence: float,
    persons: float | None = None,
) -> Drift:
    """Measure how far counts by bin are from those of the reference.

    Parameters
    ----------
    reference, counts
        Of the same bins, two or more.
    confidence
        Share of pairs of samples of one population that stay below the band.
    persons
        How many persons the reference comes from, where they are fewer than its rows.

    Notes
    -----
    Without drift the index follows chi-square with one degree less than bins, times `1/n + 1/m`
    (Yurdakul and Naranjo 2020, doi 10.21314/JRMV.2020.227); near it, the Jensen-Shannon divergence in bits is
    the index divided by 8 ln 2. Where persons are in both samples the band is too wide, not too narrow.
    """
    sizes = 1 / min(float(reference.sum()), persons or np.inf) + 1 / float(counts.sum())
    psi_band = compute_chi_square(len(counts) - 1, confidence) * sizes
    first, second = _share(reference), _share(counts)
    return Drift(
        psi=float(np.sum((first - second) * np.log(first / second))),
        psi_band=psi_band,
        jensen_shannon=_measure_distance(first, second),
        jensen_shannon_band=math.sqrt(psi_band / (8 * math.log(2))),
    )


def _share(counts: npt.NDArray[np.number]) -> FloatArray:
    added = counts + _ADDED
    return np.asarray(added / added.sum(), dtype=np.float64)


def _measure_distance(first: FloatArray, second: FloatArray) -> float:
    middle = (first + second) / 2
    divergence = np.sum(first * np.log2(first / middle) + second * np.log2(second / middle)) / 2
    return math.sqrt(max(0.0, float(divergence)))


def compute_chi_square(degrees: int, probability: float) -> float:
    """Compute a quantile of the chi-square distribution.

    Exact for 1 and 2 degrees of freedom, else within 2 % (Wilson and Hilferty 1931,
    doi 10.1073/pnas.17.12.684).

    Examples
    --------
    >>> round(compute_chi_square(1, 0.95), 3), round(compute_chi_square(9, 0.95), 1)
    (3.841, 16.9)
    """
    if degrees == 1:
        return NormalDist().inv_cdf((1 + probability) / 2) ** 2
    if degrees == 2:
        return -2 * math.log(1 - probability)
    spread = 2 / (9 * degrees)
    cubed: float = (1 - spread + NormalDist().inv_cdf(probability) * math.sqrt(spread)) ** 3
    return degrees * cubed


def is_small(count: int) -> bool:
    """Whether a count could point at a person: one to four."""
    return 0 < count < SMALLEST


def compare_shares(count: int, of: int, share: float, reference_of: int) -> float:
    """Compare a share with that of the reference: how many standard errors it lies above.

    Examples
    --------
    >>> round(compare_shares(30, 100, 0.2, 100), 2)
    1.63
    """
    pooled = (count + share * reference_of) / (of + reference_of)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / reference_of))
    return (count / of - share) / error if error else 0.0
