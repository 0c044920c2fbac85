"""What one core can do at most: `python peak.py CORE` prints double-precision GFLOP/s of two loops as JSON.

A figure for the kernels to be held against; neither loop touches memory beyond the first caches.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

import numba
import numpy as np

__all__ = ["compiled_gflops", "main", "matrix_gflops"]

LANES, DEGREE, SWEEPS = 512, 16, 20_000
MATRIX = 768
REPETITIONS = 7


@numba.njit(fastmath={"contract"}, error_model="numpy")
def _evaluate(values, out, sweeps):  # type: ignore[no-untyped-def]
    """Horner's rule of degree 16, a fused multiply-add each, on rows that stay in the first cache."""
    for sweep in range(sweeps):
        shift = 1e-9 * sweep
        for b in range(len(values)):
            x = values[b]
            p = shift
            p = p * x + 1.01
            p = p * x + 1.02
            p = p * x + 1.03
            p = p * x + 1.04
            p = p * x + 1.05
            p = p * x + 1.06
            p = p * x + 1.07
            p = p * x + 1.08
            p = p * x + 1.01
            p = p * x + 1.02
            p = p * x + 1.03
            p = p * x + 1.04
            p = p * x + 1.05
            p = p * x + 1.06
            p = p * x + 1.07
            p = p * x + 1.08
            out[b] += p


def compiled_gflops() -> float:
    """Of fused multiply-adds compiled as the package's kernels are."""
    values, out = np.linspace(0.1, 0.9, LANES), np.zeros(LANES)
    _evaluate(values, out, 1)
    return 2.0 * LANES * DEGREE * SWEEPS / _shortest(lambda: _evaluate(values, out, SWEEPS)) / 1e9


def matrix_gflops() -> float:
    """Of a matrix product by numpy's BLAS."""
    left = np.random.default_rng(0).random((MATRIX, MATRIX))
    out = np.empty_like(left)
    return 2.0 * MATRIX**3 / _shortest(lambda: np.matmul(left, left, out=out)) / 1e9


def _shortest(work: Callable[[], object]) -> float:
    """CPU seconds of the shortest of a few repetitions: other processes only ever lengthen one."""
    times = []
    for _ in range(REPETITIONS):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return min(times)


def main(core: str) -> None:
    """Measure on one core and print."""
    os.sched_setaffinity(0, {int(core)})
    print(json.dumps({"compiled": compiled_gflops(), "matrix": matrix_gflops()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
