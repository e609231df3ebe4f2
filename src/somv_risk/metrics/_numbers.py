"""Numbers: division where there may be nothing to divide by, and score intervals of shares."""

from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

Z: Final = 1.959963984540054


def divide(above: FloatArray | float, below: FloatArray | float) -> FloatArray:
    """Divide; NaN where there is nothing to divide by."""
    parts, wholes = np.broadcast_arrays(
        np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    )
    quotient = np.full(parts.shape, np.nan)
    np.divide(parts, wholes, out=quotient, where=wholes > 0)
    return quotient


def compute_wilson(counts: FloatArray, totals: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the 95 % score interval of shares; NaN where the total is 0.

    Source: Wilson 1927, doi 10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> low, high = compute_wilson(np.array([10.0]), np.array([100.0]))
    >>> round(low.item(), 4), round(high.item(), 4)
    (0.0552, 0.1744)
    """
    totals = np.where(totals > 0, totals, np.nan)
    share = counts / totals
    middle = share + Z**2 / (2 * totals)
    reach = Z * np.sqrt(share * (1 - share) / totals + Z**2 / (4 * totals**2))
    return (middle - reach) / (1 + Z**2 / totals), (middle + reach) / (1 + Z**2 / totals)
