"""Whether a process compiles a kernel or finds it compiled must not be seen in the numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType

import pytest
from numba.core.registry import CPUDispatcher

import dgmmis

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


def names_in(code: CodeType) -> set[str]:
    return set(code.co_names).union(
        *(names_in(some) for some in code.co_consts if isinstance(some, CodeType))
    )


def calls() -> Iterator[tuple[CPUDispatcher, CPUDispatcher]]:
    """All pairs of a compiled function and one that it calls."""
    root = Path(dgmmis.__file__).parent
    for path in root.rglob("*.py"):
        if "numba" not in (text := path.read_text()) and "kernels" not in text:
            continue
        module = import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
        for kernel in vars(module).values():
            if isinstance(kernel, CPUDispatcher):
                known = kernel.py_func.__globals__
                parts = (known.get(name) for name in names_in(kernel.py_func.__code__))
                yield from ((kernel, part) for part in parts if isinstance(part, CPUDispatcher))


def test_parts_that_ask_for_no_rounding_are_part_of_kernels_that_ask_for_none():
    """Such a part rounds as the kernel that is compiled first: else bits depend on what lay in a cache."""
    found = list(calls())
    assert len(found) > 200
    for kernel, part in found:
        if part.targetoptions.get("fastmath") is None:
            assert kernel.targetoptions.get("fastmath") is None, (kernel, part)
