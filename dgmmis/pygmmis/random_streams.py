"""pyGMMis' sources of random numbers, old and new."""

from __future__ import annotations

from typing import Any

import numpy as np

from dgmmis.errors import InvalidSetting

__all__ = ["as_generator"]


def as_generator(rng: Any) -> np.random.Generator:
    """Make a generator of anything that pyGMMis took as `rng`.

    Parameters
    ----------
    rng : numpy.random.Generator, numpy.random.RandomState, or the module numpy.random
        The old kinds are asked for four numbers, so that the same state gives the same generator and the next call
        another one.

    Raises
    ------
    InvalidSetting
        If it is none of these.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if not hasattr(rng, "randint"):
        raise InvalidSetting(
            f"rng is {rng!r}; expected numpy.random.RandomState(seed), numpy.random.default_rng(seed) or numpy.random."
        )
    return np.random.default_rng(rng.randint(0, 2**32, size=4, dtype=np.uint64))
