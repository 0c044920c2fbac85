"""With the order "catalog" the same rows come in chunks that each cover a small region."""

from __future__ import annotations

import tempfile
import tracemalloc
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dgmmis
from dgmmis.errors import DiskFull, InvalidSetting
from dgmmis.row_order import chunks_near_together
from dgmmis.store import Catalog, CatalogWriter, rearrangement
from grown_catalogs import columns, source_rows_of
from simulated import noisy_rows
from stored_sources import FORMS, IDS, make_source, write


@contextmanager
def small_memory(pool_bytes: int = 1, partitions: int = 3):
    """Few rows at once and few partitions, so that few rows already need to be routed several times."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(rearrangement, "POOL_BYTES", pool_bytes))
        stack.enter_context(patch.object(rearrangement, "MOST_PARTITIONS", partitions))
        stack.enter_context(patch.object(rearrangement, "SAMPLE_ROWS", 30))
        yield


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32),
    n_rows=st.integers(1, 250),
    form=st.sampled_from(FORMS),
    ids=st.sampled_from(IDS),
    dtype=st.sampled_from(("<f4", "<f8")),
    weights=st.booleans(),
    missing=st.sampled_from((0.0, 0.3, 1.0)),
    chunk_rows=st.integers(12, 60),
    partitions=st.integers(2, 9),
)
def test_the_rows_are_the_same_and_so_is_the_pilot(
    seed, n_rows, form, ids, dtype, weights, missing, chunk_rows, partitions
):
    schema, rows = make_source(seed, n_rows, 3, form, ids=ids, dtype=dtype, weights=weights, missing=missing)
    options = {"chunk_rows": chunk_rows, "pilot_rows": 50, "batch_rows": 37}
    with tempfile.TemporaryDirectory() as folder, small_memory(partitions=partitions):
        plain = write(Path(folder) / "plain", schema, rows, **options)
        ordered = write(Path(folder) / "ordered", schema, rows, order="catalog", **options)
        assert ordered.verify() == plain.verify()
        assert sorted(p.name for p in ordered.path.iterdir()) == sorted(p.name for p in plain.path.iterdir())
        assert (plain.describe()["order"], ordered.describe()["order"]) == ("chunk", "catalog")
        assert (ordered.n_rows, ordered.n_chunks) == (plain.n_rows, plain.n_chunks)
        there, here = columns(plain), columns(ordered)
        assert there.keys() == here.keys()
        for name, column in there.items():
            np.testing.assert_array_equal(here[name], column)
        assert ordered.summary["patterns"] == plain.summary["patterns"]
        np.testing.assert_array_equal(ordered.read_pilot().values, plain.read_pilot().values)


@settings(max_examples=4)
@given(
    seed=st.integers(0, 1000),
    first=st.integers(1, 300),
    second=st.integers(1, 300),
    partitions=st.integers(2, 9),
)
def test_the_fingerprint_does_not_depend_on_batches(seed, first, second, partitions):
    schema, rows = make_source(seed, 300, 3, missing=0.2)
    options = {"chunk_rows": 30, "pilot_rows": 50, "order": "catalog"}
    with tempfile.TemporaryDirectory() as folder, small_memory(partitions=partitions):
        one = write(Path(folder) / "one", schema, rows, batch_rows=first, **options)
        two = write(Path(folder) / "two", schema, rows, batch_rows=second, **options)
        assert one.fingerprint == two.fingerprint


def volumes(catalog: Catalog) -> np.ndarray:
    return np.prod(catalog.read_zones("high") - catalog.read_zones("low"), axis=1)


@pytest.mark.parametrize("pool_bytes", [rearrangement.POOL_BYTES, 1], ids=["in memory", "routed"])
def test_chunks_cover_a_small_part_of_what_chunks_of_the_source_cover(pool_bytes, tmp_path):
    """64 chunks of uniform points: a cell holds 1/64 of the volume, a chunk of the source nearly all of it.

    With two chunks in memory at once, some chunks are made of what is left of one cell and of the next.
    """
    schema, rows = make_source(0, 12_800, 3, "none", missing=0, weights=False, ids="row")
    rows.values[:] = np.random.default_rng(0).random(rows.values.shape)
    plain = write(tmp_path / "plain", schema, rows, chunk_rows=200)
    with small_memory(pool_bytes):
        ordered = write(tmp_path / "ordered", schema, rows, chunk_rows=200, order="catalog")
    assert volumes(plain).sum() > 55
    assert volumes(ordered).sum() < (1 if pool_bytes > 1 else 5)


def test_chunks_hold_one_pattern_each_but_for_those_where_one_begins(tmp_path):
    schema, rows = make_source(1, 4000, 2, "none", missing=0.3, weights=False)
    with small_memory(partitions=20):
        catalog = write(tmp_path / "c", schema, rows, chunk_rows=100, order="catalog")
    missing = [np.isnan(catalog.read_rows(chunk).values) for chunk in range(catalog.n_chunks)]
    mixed = [chunk for chunk in missing if len(np.unique(chunk, axis=0)) > 1]
    assert len(mixed) <= 3
    order = np.concatenate(missing) @ [1, 2]
    assert (np.diff(order) >= 0).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 40))
def test_runs_near_together_hold_every_row_once_whatever_the_patterns(seed, n_rows, chunk_rows):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, 2))
    values[rng.random(values.shape) < 0.3] = np.nan
    order = chunks_near_together(values, chunk_rows)
    assert np.array_equal(np.sort(order), np.arange(n_rows))
    assert (np.diff(np.isnan(values[order]) @ [1, 2]) >= 0).all()


def test_a_crowd_of_equal_rows_is_split_and_one_of_equal_numbers_is_not_split_for_ever(tmp_path):
    schema, rows = make_source(2, 600, 2, "none", missing=0)
    rows.values[:] = 0.5
    with small_memory():
        catalog = write(tmp_path / "equal", schema, rows, chunk_rows=40, order="catalog")
        assert source_rows_of(catalog).tolist() == list(range(600))
        rows.source_rows[:] = 7
        twins = write(tmp_path / "twins", schema, rows, chunk_rows=40, order="catalog")
    assert (twins.n_rows, twins.n_chunks) == (600, 15)


def test_a_fit_reaches_the_same_likelihood(tmp_path):
    """Only the order of the sums differs; a chunk of rows with nothing observed does not matter."""
    values, noise = noisy_rows(3000, seed=1)
    values[100:700] = np.nan
    found = {}
    for order in ("chunk", "catalog"):
        catalog = dgmmis.ingest(
            values, tmp_path / order, features=("a", "b", "c"), noise=noise, chunk_rows=200, order=order
        )
        assert catalog.schema.provenance["options"]["order"] == order
        found[order] = dgmmis.fit(catalog, n_components=3, seed=5).mean_log_likelihood
    assert found["catalog"] == pytest.approx(found["chunk"], rel=1e-10)


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    schema, rows = make_source(8, 4000, 4)

    def peak(name: str, repeats: int) -> int:
        tracemalloc.start()
        options = {"chunk_rows": 4000, "pilot_rows": 500, "order": "catalog"}
        with CatalogWriter(tmp_path / name, schema, **options) as writer:
            for repeat in range(repeats):
                batch = rows.copied()
                batch.source_rows[:] += repeat * len(rows)
                writer.append(batch)
            writer.finish()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    with small_memory(partitions=8):
        peak("warm", 3)
        assert peak("long", 32) < 1.3 * peak("short", 8)


def test_a_failure_while_rows_are_rearranged_leaves_nothing(tmp_path):
    schema, rows = make_source(3, 300, 2)
    with (
        small_memory(),
        patch.object(rearrangement.KdPartition, "leaf_of", side_effect=OSError(28, "No space left")),
        pytest.raises(DiskFull, match="No space left"),
    ):
        write(tmp_path / "c", schema, rows, chunk_rows=20, order="catalog")
    assert list(tmp_path.iterdir()) == []


def test_an_order_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InvalidSetting, match="'chunk' or 'catalog'"):
        dgmmis.ingest(np.eye(3), tmp_path / "c", features=list("abc"), order="sky")
    assert list(tmp_path.iterdir()) == []
