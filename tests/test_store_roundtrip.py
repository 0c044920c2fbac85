"""What was written is what is read, whatever the shapes, chunks, batches and patterns."""

from __future__ import annotations

import json
import mmap
import pickle
import subprocess
import sys
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.chunk import ArrayChunks
from dgmmis.errors import CorruptCatalog, InvalidData, InvalidSetting
from dgmmis.store import CatalogWriter, Schema, StoredRows, open_catalog
from stored_sources import FORMS, IDS, batches, covariance_of, make_source, stored_order, write


@st.composite
def sources(draw):
    n_features = draw(st.integers(1, 4))
    return make_source(
        draw(st.integers(0, 2**32)),
        draw(st.integers(1, 40)),
        n_features,
        draw(st.sampled_from(FORMS)),
        ids=draw(st.sampled_from(IDS)),
        dtype=draw(st.sampled_from(["<f4", "<f8"])),
        weights=draw(st.booleans()),
        jitter=draw(st.booleans()),
        missing=draw(st.sampled_from([0.0, 0.3, 0.9])),
    )


def assert_same_rows(read, schema, rows, order):
    """Compare `Rows` with the stored rows `order`, where the features were observed."""
    np.testing.assert_array_equal(read.values, rows.values[order].astype(float))
    assert read.values.dtype == np.float64
    assert read.noise.kind == schema.noise_kind
    covariances = read.noise.covariances(*read.values.shape)
    for position, i in enumerate(order):
        observed = np.flatnonzero(~np.isnan(rows.values[i]))
        block = np.ix_(observed, observed)
        expected = covariance_of(schema, rows, i)[block]
        np.testing.assert_allclose(covariances[position][block], expected, rtol=1e-15)
    if rows.weights is None:
        assert read.weights is None
    else:
        np.testing.assert_array_equal(read.weights, rows.weights[order])


def expected_ids(rows: StoredRows, order: np.ndarray) -> list:
    if rows.ids.ndim == 1:
        return rows.ids[order].tolist()
    return [bytes(row).rstrip(b"\0").decode() for row in rows.ids[order]]


@settings(max_examples=15)
@given(source=sources(), chunk_rows=st.integers(4, 20), batch_rows=st.integers(1, 50))
def test_what_is_read_is_what_was_written(source, chunk_rows, batch_rows):
    schema, rows = source
    order = stored_order(schema, rows, chunk_rows)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "c.zarr", schema, rows, batch_rows=batch_rows, chunk_rows=chunk_rows)
        catalog = open_catalog(Path(folder) / "c.zarr")
        assert catalog.schema == schema
        assert (catalog.n_rows, catalog.chunk_rows, catalog.n_quarantined) == (len(rows), chunk_rows, 0)
        assert catalog.n_chunks == -(-len(rows) // chunk_rows)
        for chunk in range(catalog.n_chunks):
            first, end = catalog.row_range(chunk)
            here = order[first:end]
            assert_same_rows(catalog.read_rows(chunk), schema, rows, here)
            ids, source_rows = catalog.read_ids(chunk)
            assert source_rows.tolist() == here.tolist()
            assert ids.tolist() == expected_ids(rows, here)
        assert end == len(rows)


@settings(max_examples=4)
@given(source=sources(), chunk_rows=st.integers(5, 15), first=st.integers(1, 50), second=st.integers(1, 50))
def test_the_fingerprint_does_not_depend_on_batches_place_or_provenance(source, chunk_rows, first, second):
    schema, rows = source
    other = replace(schema, provenance={"when": "another day"})
    with tempfile.TemporaryDirectory() as folder:
        options = {"chunk_rows": chunk_rows, "pilot_rows": 7}
        one = write(Path(folder) / "one", schema, rows, batch_rows=first, **options)
        two = write(Path(folder) / "deep" / "two", other, rows, batch_rows=second, **options)
        assert one.fingerprint == two.fingerprint
        assert len(one.fingerprint) == 64


CHANGES = {
    "a value": lambda schema, rows: (schema, replace(rows, values=rows.values + 0.5)),
    "a unit": lambda schema, rows: (replace(schema, units=("deg", "mas", "mas")), rows),
    "the jitter": lambda schema, rows: (replace(schema, jitter=(0.0, 0.0, 0.1)), rows),
    "the order": lambda schema, rows: (schema, rows.take(np.arange(len(rows))[::-1])),
    "an id": lambda schema, rows: (schema, replace(rows, ids=rows.ids + 1)),
    "a weight": lambda schema, rows: (schema, replace(rows, weights=rows.weights * 2)),
    "the chunks": lambda schema, rows: (schema, rows),
    "a row more": lambda schema, rows: (schema, StoredRows.joined([rows, rows.take(slice(0, 1))])),
}


@cache
def fingerprint_of_unchanged() -> str:
    schema, rows = make_source(1, 20, 3)
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "c", schema, rows, chunk_rows=20).fingerprint


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with_anything_that_shapes_the_numbers(change, tmp_path):
    schema, rows = make_source(1, 20, 3)
    before = fingerprint_of_unchanged()
    schema, rows = CHANGES[change](schema, rows)
    after = write(tmp_path / "after", schema, rows, chunk_rows=19 if change == "the chunks" else 20)
    assert after.fingerprint != before


@settings(max_examples=10)
@given(
    seed=st.integers(0, 1000), dtype=st.sampled_from(("<f4", "<f8")), chunk_rows=st.sampled_from((130, 400))
)
def test_samples_of_a_catalog_are_those_of_the_same_rows_in_memory(seed, dtype, chunk_rows):
    schema, rows = make_source(seed, 500, 3, jitter=True, missing=0.1, dtype=dtype)
    direct = ArrayChunks.from_arrays(
        rows.values, schema.noise(rows.noise), rows.weights, chunk_rows=chunk_rows, checked=True
    )
    with tempfile.TemporaryDirectory() as folder:
        catalog = write(Path(folder) / "c", schema, rows, chunk_rows=chunk_rows)
        assert catalog.n_chunks == direct.n_chunks
        for chunk in range(catalog.n_chunks):
            samples, expected = catalog.read_samples(chunk), direct.read_samples(chunk)
            assert samples.n_rows == expected.n_rows
            for stored, in_memory in zip(samples.groups, expected.groups, strict=True):
                np.testing.assert_array_equal(stored.values, in_memory.values)
                np.testing.assert_array_equal(stored.noise, in_memory.noise)
                np.testing.assert_array_equal(stored.weights, in_memory.weights)
                np.testing.assert_array_equal(np.diff(stored.rows), 1)


def test_the_rows_of_a_pattern_are_stored_near_together(tmp_path):
    schema, rows = make_source(5, 700, 3, missing=0.1)
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=300)
    order = stored_order(schema, rows, 300)
    read = np.concatenate([catalog.read_rows(chunk).values for chunk in range(3)])
    np.testing.assert_array_equal(read, rows.values[order])
    complete = int((~np.isnan(rows.values[:300])).all(axis=1).sum())
    assert complete > 128
    assert (np.diff(order[:complete]) < 0).any()
    assert (np.diff(order[:64]) > 0).all()


def test_more_features_than_bits_in_a_word_keep_their_patterns(tmp_path):
    schema, rows = make_source(3, 30, 70, "variances", missing=0.02)
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=12)
    order = stored_order(schema, rows, 12)
    read = np.concatenate([catalog.read_rows(chunk).values for chunk in range(3)])
    np.testing.assert_array_equal(read, rows.values[order])
    assert sum(pattern["rows"] for pattern in catalog.describe()["patterns"]) == 30


def test_plain_zarr_and_json_read_a_catalog_in_the_precision_of_its_source(tmp_path):
    schema, rows = make_source(4, 30, 3, dtype="<f4", ids="text")
    write(tmp_path / "c.zarr", schema, rows, chunk_rows=8)
    group = zarr.open_group(tmp_path / "c.zarr", mode="r")
    order = group["source_row"][:]
    for name, expected in [("values", rows.values), *rows.noise.items()]:
        assert group[name].dtype == np.float32
        np.testing.assert_array_equal(group[name][:], expected[order])
    attributes = json.loads((tmp_path / "c.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["dgmmis_format"] == 1
    assert tuple(attributes["schema"]["features"]) == schema.features
    assert [bytes(row).rstrip(b"\0").decode() for row in group["row_id"][:]] == expected_ids(rows, order)


@pytest.mark.parametrize("ids", IDS)
def test_every_piece_of_every_array_is_what_plain_zarr_reads(ids, tmp_path):
    schema, rows = make_source(8, 37, 3, dtype="<f4", ids=ids)
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=5)
    group = zarr.open_group(tmp_path / "c", mode="r")
    for name, array in catalog._arrays.layout.arrays.items():
        whole = group[name][:]
        for first, end in [(0, array.n_entries), (0, 1), (array.n_entries - 1, array.n_entries), (3, 7)]:
            read = catalog._arrays.read(array, first, end)
            assert read.dtype == whole.dtype
            np.testing.assert_array_equal(read, whole[first:end])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted by Linux")
@pytest.mark.thorough
def test_the_memory_of_one_chunk_serves_for_the_next(tmp_path):
    schema, rows = make_source(9, 400_000, 3, "errors", dtype="<f4", weights=False, missing=0)
    write(tmp_path / "c", schema, rows, chunk_rows=100_000)
    script = (
        "import resource, sys; from dgmmis.store import open_catalog; catalog = open_catalog(sys.argv[1])\n"
        "def read(): [catalog.read_samples(chunk) for chunk in range(4)]\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "read(); read(); before = faults(); read(); print(faults() - before)"
    )
    answer = subprocess.run([sys.executable, "-c", script, tmp_path / "c"], capture_output=True, check=True)
    pages = 4 * 100_000 * (3 + 3) * 8 / mmap.PAGESIZE
    assert int(answer.stdout) < 0.1 * pages


def test_several_threads_read_what_one_reads(tmp_path):
    schema, rows = make_source(5, 160, 3)
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=20)
    chunks = list(range(8)) * 4
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(catalog.read_rows, chunks))
    for chunk, read in zip(chunks, together, strict=True):
        np.testing.assert_array_equal(read.values, catalog.read_rows(chunk).values)


def test_a_pickled_catalog_is_opened_anew_and_a_replaced_one_is_refused(tmp_path):
    schema, rows = make_source(6, 20, 2)
    catalog = write(tmp_path / "c", schema, rows)
    travelled = pickle.loads(pickle.dumps(catalog))
    assert travelled == catalog
    assert pickle.loads(pickle.dumps(catalog)) is travelled
    stale = pickle.dumps(write(tmp_path / "d", schema, rows, chunk_rows=3))
    write(tmp_path / "d", schema, rows, chunk_rows=4, overwrite=True)
    with pytest.raises(CorruptCatalog, match=r"manifest\.json"):
        pickle.loads(stale)


def test_a_batch_may_be_overwritten_by_its_reader_after_it_was_appended(tmp_path):
    schema, rows = make_source(7, 30, 2)
    kept = write(tmp_path / "kept", schema, rows, chunk_rows=100)
    with CatalogWriter(tmp_path / "reused", schema, chunk_rows=100) as writer:
        for batch in batches(rows, 10):
            mine = batch.copied()
            writer.append(mine)
            mine.values[:] = 0
        reused = writer.finish()
    assert reused.fingerprint == kept.fingerprint


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    schema, rows = make_source(8, 1000, 4)

    def peak(name: str, repeats: int) -> int:
        tracemalloc.start()
        with CatalogWriter(tmp_path / name, schema, chunk_rows=1000, pilot_rows=100) as writer:
            for _ in range(repeats):
                writer.append(rows)
            writer.finish()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak("warm", 2)
    assert peak("long", 12) < 1.3 * peak("short", 3)


def test_the_default_chunk_keeps_the_largest_array_below_16_mib(tmp_path):
    schema, rows = make_source(9, 3, 30, "covariances")
    catalog = write(tmp_path / "c", schema, rows)
    assert catalog.chunk_rows == (16 << 20) // (30 * 31 // 2 * 8)
    schema, rows = make_source(9, 3, 2)
    assert write(tmp_path / "d", schema, rows).chunk_rows == 100_000


@pytest.mark.parametrize("chunk_rows", [0, -1, 10**8])
def test_chunks_of_no_row_or_too_many_are_refused(chunk_rows, tmp_path):
    schema, _ = make_source(9, 3, 2)
    with pytest.raises(InvalidSetting, match="chunk_rows"):
        CatalogWriter(tmp_path / "c", schema, chunk_rows=chunk_rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chunk", [-1, 3])
def test_a_chunk_that_does_not_exist_is_refused(chunk, tmp_path):
    schema, rows = make_source(9, 9, 2)
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=3)
    with pytest.raises(InvalidSetting, match="chunks 0 to 2"):
        catalog.read_rows(chunk)


BAD_SCHEMAS = {
    "features": {"features": ("a", "a")},
    "units": {"units": ("m",)},
    "jitter": {"jitter": (0.1, -1.0)},
    "noise_form": {"noise_form": "sigma"},
    "correlations": {"has_correlations": True},
    "shared_noise": {"noise_form": "shared", "shared_noise": ((1.0, 2.0), (2.0, 1.0))},
    "value_dtype": {"value_dtype": "<i4"},
    "id_kind": {"id_kind": "uuid"},
}


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_a_schema_that_makes_no_sense_is_refused_by_name(name):
    right = {"features": ("a", "b"), "units": ("", ""), "noise_form": "none"}
    with pytest.raises(InvalidSetting, match=name):
        Schema(**{**right, **BAD_SCHEMAS[name]})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"values": np.zeros((5, 3))}, "values"),
        ({"noise": {"errors": np.ones((5, 2))}}, "correlations"),
        ({"weights": None}, "no weights"),
        ({"ids": np.zeros((5, 2), np.int64)}, "ids"),
    ],
)
def test_a_batch_without_the_columns_of_the_schema_is_refused(change, named, tmp_path):
    schema, rows = make_source(10, 5, 2)
    with CatalogWriter(tmp_path / "c", schema) as writer, pytest.raises(InvalidData, match=named):
        writer.append(replace(rows, **change))
