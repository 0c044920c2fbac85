"""Compiled sums of Hermite's tensors of the third and fourth order."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["add_tensors"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_tensors(weights, q, first, second, least, third, fourth):  # type: ignore[no-untyped-def]
    """Add w q h_ijk and w q h_ijkl of some rows, for i >= j >= k >= l.

    With h_ij = u_i u_j - G_ij, h_ijk is the sum of the three u_i h_jk less 2 u_i u_j u_k, and h_ijkl the sum of the
    three h_ij h_kl less 2 u_i u_j u_k u_l.

    Parameters
    ----------
    weights : (n,)
    q : (n, K)
    first, second : (n, K, D), (n, K, P)
        q u and q h.
    least : float
        Pairs with a smaller q are left out.
    third, fourth : (K, D (D + 1) (D + 2) / 6), (K, D (D + 1) (D + 2) (D + 3) / 24)
        Added to, l fastest.
    """
    n_rows, n_components, d = first.shape
    u, h = np.empty(d), np.empty((d, d))
    for n in range(n_rows):
        for component in range(n_components):
            share = q[n, component]
            if not share > least:
                continue
            for i in range(d):
                u[i] = first[n, component, i] / share
                for j in range(i + 1):
                    h[i, j] = second[n, component, i * (i + 1) // 2 + j] / share
            weight = weights[n] * share
            at_third, at_fourth = 0, 0
            for i in range(d):
                for j in range(i + 1):
                    both = u[i] * u[j]
                    for k in range(j + 1):
                        third[component, at_third] += weight * (
                            u[i] * h[j, k] + u[j] * h[i, k] + u[k] * (h[i, j] - 2 * both)
                        )
                        at_third += 1
                        for c in range(k + 1):
                            fourth[component, at_fourth] += weight * (
                                h[i, j] * h[k, c] + h[i, k] * h[j, c] + h[i, c] * h[j, k] - 2 * both * u[k] * u[c]
                            )
                            at_fourth += 1
