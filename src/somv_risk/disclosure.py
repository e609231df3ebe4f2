"""Disclosure: small counts of persons are hidden, and those from which they could be worked out.

A count below five could point at a person. Where the sum over groups is known, a single hidden group is what
the others leave over, so another is hidden with it (secondary suppression).
Source: Hundepool et al. 2012, Statistical Disclosure Control, doi 10.1002/9781118348239.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

SMALLEST: Final = 5
FEW: Final = f"Hidden: fewer than {SMALLEST} persons, or another hidden number would follow from it."

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def find_hidden(*counts: FloatArray, hidden: BoolArray | None = None) -> BoolArray:
    """Find the groups to hide, given one or several counts of each group, shape (groups,).

    A group is hidden if any of its counts is below five, or it is among the `hidden` already. While what is
    hidden adds up to less than five in any of the counts, as that of a single group does, the group with the
    next smallest count is hidden too.

    Examples
    --------
    >>> find_hidden(np.array([3.0, 40.0, 8.0])).tolist()
    [True, False, True]
    """
    table = np.stack(counts)
    found = np.asarray((table < SMALLEST).any(axis=0), dtype=np.bool_)
    if hidden is not None:
        found |= hidden
    while _can_be_worked_out(table, found):
        found[_find_next(table, found)] = True
    return found


def _can_be_worked_out(table: FloatArray, hidden: BoolArray) -> bool:
    if not hidden.any() or hidden.all():
        return False
    return bool((table[:, hidden].sum(axis=1) < SMALLEST).any())


def _find_next(table: FloatArray, hidden: BoolArray) -> int:
    smallest = np.where(hidden, np.inf, table.min(axis=0))
    return int(np.argmin(smallest))
