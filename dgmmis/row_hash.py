"""Hashes of row ids: a random order of the rows that needs no state and survives any chunking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hashes", "hash_integers", "hash_texts"]

Hashes = NDArray[np.uint64]


def hash_integers(ids: NDArray[np.int64], seed: int = 0) -> Hashes:
    """Hash 64-bit integers (N,) by the finalizer of splitmix64 (Steele, Lea & Flood 2014).

    The k rows with the smallest hashes are a random sample of the rows, and any prefix in order of the
    hash is one too.
    """
    with np.errstate(over="ignore"):
        mixed = ids.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def hash_texts(texts: NDArray[np.uint8], seed: int = 0) -> Hashes:
    """Hash zero-padded UTF-8 texts (N, L), word by word; trailing zeros do not matter."""
    n_words = -(-texts.shape[1] // 8)
    padded = np.zeros((len(texts), 8 * n_words), np.uint8)
    padded[:, : texts.shape[1]] = texts
    hashes = np.zeros(len(texts), np.uint64)
    for word in padded.view("<u8").T:
        mixed = hash_integers((hashes ^ word).view(np.int64), seed)
        hashes = np.where(word == 0, hashes, mixed)
    return hashes
