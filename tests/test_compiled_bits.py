"""Whether a process compiles a kernel or finds it compiled must not be seen in the numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUMMARIZE = """
import numpy as np
from dgmmis.chunk import ArrayChunks
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.population import Population

rng = np.random.default_rng(0)
values = rng.normal(size=(1000, 2)) + 3 * rng.integers(0, 2, size=(1000, 1))
samples = ArrayChunks.from_arrays(values, rng.uniform(0.1, 1, size=values.shape)).samples[0]
mixture = Mixture(np.full(2, 0.5), [[0.0, 0.1], [3.0, 2.9]], [np.eye(2), np.eye(2) + 0.3])
statistics = summarize_samples(Population(mixture), samples, negligible=NEGLIGIBLE)
for array in (statistics.log_likelihood, statistics.zeroth, statistics.first, statistics.second):
    print(np.asarray(array).tobytes().hex())
"""


def summarize(cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SUMMARIZE],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.thorough
def test_a_process_that_compiles_and_one_that_loads_give_the_same_bits(tmp_path):
    compiled = summarize(tmp_path)
    assert list(tmp_path.rglob("*.nbc"))
    assert summarize(tmp_path) == compiled
