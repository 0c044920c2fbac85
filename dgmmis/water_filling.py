"""How to share a total by counts when shares have limits."""

from __future__ import annotations

import numpy as np

from dgmmis.packed import Array

__all__ = ["share_within_limits"]


def share_within_limits(total: float, counts: Array, lowest: Array, highest: Array) -> Array:
    """Maximise sum_i c_i ln x_i where sum_i x_i = total and lowest <= x <= highest.

    The function is concave, so x is its maximum where a scale s exists with x_i = s c_i, but those at a
    limit are at lowest_i >= s c_i or at highest_i <= s c_i (Karush, Kuhn & Tucker).  The sum of these
    clipped shares grows with s.  So share without limits; if the excesses above `highest` outweigh what
    is missing below `lowest`, clipping loses some of the total, the final s is larger than this one, and
    whoever is above `highest` now will be there at the end: set it there.  Otherwise the same holds below
    `lowest`.  Each round sets one at least, and the rest is shared again (Bitran & Hax 1981, Management
    Science 27, 431).

    Parameters
    ----------
    total : float
        At least the sum of `lowest`, at most that of `highest`.
    counts : (n,)
        c >= 0.  Not all of those that no limit holds may be 0.
    lowest, highest : (n,)

    Returns
    -------
    (n,)
    """
    shares = np.empty(len(counts))
    shared = np.ones(len(counts), dtype=bool)
    while shared.any():
        shares[shared] = total * (counts[shared] / counts[shared].sum())
        excess, lack = shares - highest, lowest - shares
        over, under = shared & (excess > 0), shared & (lack > 0)
        if excess[over].sum() >= lack[under].sum():
            held, limits = over, highest
        else:
            held, limits = under, lowest
        if not held.any():
            break
        shares[held] = limits[held]
        total -= float(limits[held].sum())
        shared &= ~held
    return shares
