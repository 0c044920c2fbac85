"""The bootstrap's copies of rows follow from their ids alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import chi2, poisson

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.local_pass import LocalPasses
from dgmmis.population import Population
from dgmmis.resampling import Resample
from dgmmis.row_hash import hash_integers
from simulated import TRUTH, noisy_rows


def copies(seed: int, replicate: int, n: int = 100_000) -> np.ndarray:
    return Resample(seed, replicate).copies(hash_integers(np.arange(n)))


def test_copies_are_poisson() -> None:
    counts = np.bincount(copies(0, 0).astype(int), minlength=8)[:8]
    expected = 100_000 * np.append(poisson.pmf(np.arange(7), 1), poisson.sf(6, 1))
    counts[7] = 100_000 - counts[:7].sum()
    assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-4, 7)


def test_copies_of_replicates_and_seeds_do_not_depend_on_each_other() -> None:
    every = np.array([copies(seed, b) for seed in (0, 1) for b in range(4)])
    off = np.corrcoef(every) - np.eye(8)
    assert np.abs(off).max() < 5 / np.sqrt(100_000)
    shifted = np.corrcoef(copies(0, 0)[1:], copies(0, 0)[:-1])[0, 1]
    assert abs(shifted) < 5 / np.sqrt(100_000)


def test_rows_keep_their_copies_however_they_are_cut(tmp_path: Path) -> None:
    values, noise = noisy_rows(1500)
    population, which = Population(TRUTH), Resample(3, 7)
    found = []
    for chunk_rows in (200, 700):
        chunks = ArrayChunks.from_arrays(values, noise, chunk_rows=chunk_rows)
        found.append(LocalPasses(chunks, threads=2).resampled(which).summarize(population))
        path = tmp_path / f"{chunk_rows}.zarr"
        catalog = dgmmis.ingest(values, path, features=("a", "b", "c"), noise=noise, chunk_rows=chunk_rows)
        found.append(LocalPasses(catalog, threads=2).resampled(which).summarize(population))
    for one in found[1:]:
        assert one.weight == found[0].weight
        np.testing.assert_allclose(one.log_likelihood, found[0].log_likelihood, rtol=1e-12)
        np.testing.assert_allclose(one.second, found[0].second, rtol=1e-9, atol=1e-8)


def test_appended_rows_and_rows_with_ids_of_any_kind_are_copied_as_their_ids_say(tmp_path: Path) -> None:
    values, noise = noisy_rows(900)
    whole = dgmmis.ingest(
        values, tmp_path / "whole.zarr", features=("a", "b", "c"), noise=noise, chunk_rows=250
    )
    dgmmis.ingest(
        values[:500], tmp_path / "grown.zarr", features=("a", "b", "c"), noise=noise[:500], chunk_rows=250
    )
    grown = dgmmis.append(tmp_path / "grown.zarr", values[500:], noise=noise[500:])
    hashes = [
        np.sort(np.concatenate([one.row_hashes(chunk) for chunk in range(one.n_chunks)]))
        for one in (whole, grown)
    ]
    np.testing.assert_array_equal(hashes[0], hashes[1])
    names = np.array([f"star {i}" for i in range(900)])
    table = {"x": values[:, 0], "e": np.full(900, 0.1), "name": names, "number": np.arange(900) * 7}
    for column in ("name", "number"):
        path = tmp_path / f"{column}.zarr"
        one = dgmmis.ingest(table, path, features=("x",), error=("x=e",), id=column, chunk_rows=300)
        assert len(np.unique(np.concatenate([one.row_hashes(chunk) for chunk in range(one.n_chunks)]))) == 900


def test_a_replicate_of_the_passes_leaves_them_as_they_are() -> None:
    values, noise = noisy_rows(500)
    passes = LocalPasses(ArrayChunks.from_arrays(values, noise), threads=1)
    before = passes.summarize(Population(TRUTH)).log_likelihood
    assert passes.resampled(Resample(0, 0)).summarize(Population(TRUTH)).log_likelihood != before
    assert passes.summarize(Population(TRUTH)).log_likelihood == before
