"""How the chunks of a pass are shared out."""

from __future__ import annotations

from itertools import pairwise

from dgmmis.workload import MOST_CHUNKS

__all__ = ["MOST_CHUNKS", "segment_bounds"]

SEGMENTS_PER_THREAD = 3


def segment_bounds(n_chunks: int, n_threads: int) -> list[tuple[int, int]]:
    """Cut chunks 0..n_chunks-1 into runs (first, one past last), about three per thread.

    A task per chunk would cost several milliseconds each; three per thread leave room to balance.
    """
    wanted = max(SEGMENTS_PER_THREAD * n_threads, -(-n_chunks // MOST_CHUNKS))
    n_segments = min(n_chunks, wanted)
    edges = [n_chunks * i // n_segments for i in range(n_segments + 1)]
    return list(pairwise(edges))
