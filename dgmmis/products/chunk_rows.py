"""One chunk's rows as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.posterior import Posterior

__all__ = ["ChunkRows"]


@dataclass(frozen=True)
class ChunkRows:
    """What is written of a chunk.

    Attributes
    ----------
    posterior : Posterior
    ids : (n,) int64 or text
    source_rows : (n,)
    """

    posterior: Posterior
    ids: NDArray[Any]
    source_rows: NDArray[np.int64]

    def take(self, rows: NDArray[np.intp]) -> ChunkRows:
        """Return the same rows in another order."""
        return ChunkRows(self.posterior.take(rows), self.ids[rows], self.source_rows[rows])
