"""Statistics of importance points, class by class, in one compiled call."""

from __future__ import annotations

import numba

from dgmmis.kernels.generic import fixed_statistics

__all__ = ["class_statistics"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def class_statistics(  # type: ignore[no-untyped-def]
    values, weights, extra, proposal, offsets, constants, means, whiteners, zeroth, first, second, log_density
):
    """Add the whitened statistics of points whose classes each share one noise.

    Parameters
    ----------
    values, weights, extra, proposal : (n, d), (n,), (n, J), (n,)
        As in `fixed_statistics`, points of a class next to each other.
    offsets : (B + 1,)
        Where each class begins and ends.
    constants, means, whiteners : (B, K), (K, d), (B, K, p)
    zeroth, first, second : (B, K + J), (B, K, d), (B, K, p)   added to
    log_density : (n,)       overwritten
    """
    for b in range(len(offsets) - 1):
        start, stop = offsets[b], offsets[b + 1]
        if stop > start:
            fixed_statistics(
                values[start:stop],
                weights[start:stop],
                extra[start:stop],
                proposal[start:stop],
                constants[b],
                means,
                whiteners[b],
                zeroth[b],
                first[b],
                second[b],
                log_density[start:stop],
            )
