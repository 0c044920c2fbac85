"""Rows drawn again with replacement, without drawing: each row's number of copies follows from a hash of its id."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import pdtr

from dgmmis.packed import Array
from dgmmis.row_hash import Hashes, hash_integers
from dgmmis.samples import Samples

__all__ = ["Resample"]

MOST_COPIES = 20
"""Poisson(1) exceeds it with a chance of 7e-21, below the resolution of the hash."""

STEPS = np.asarray(pdtr(np.arange(MOST_COPIES), 1.0))


@dataclass(frozen=True)
class Resample:
    """One replicate of the bootstrap: row i counts c_i times, c_i ~ Poisson(1).

    In a sample drawn with replacement the numbers of copies are multinomial; independent Poisson numbers differ
    from these only in that their sum varies, which changes no estimate of a density.  As they follow from (seed,
    replicate, row id), nothing is stored, and rows keep theirs however they are cut into chunks.

    Attributes
    ----------
    seed : int
    replicate : int
    """

    seed: int
    replicate: int

    def copies(self, hashes: Hashes) -> Array:
        """Numbers of copies (N,) of rows whose ids have these hashes."""
        key = hash_integers(np.array([self.replicate], dtype=np.int64), self.seed)
        mixed = hash_integers((hashes ^ key).view(np.int64), 1)
        uniform = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return np.searchsorted(STEPS, uniform, side="right").astype(np.float64)

    def of(self, samples: Samples, hashes: Hashes) -> Samples:
        """Return these rows, each weighing as much as its copies.

        Parameters
        ----------
        samples : Samples
        hashes : (N,)
            Of the ids of its rows.
        """
        copies = self.copies(hashes)
        groups = tuple(replace(group, weights=group.weights * copies[group.rows]) for group in samples.groups)
        return replace(samples, groups=groups)
