"""The pilot is made of the smallest hashes; the summary is what one would count by hand."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.errors import InvalidSetting
from dgmmis.row_hash import hash_integers, hash_texts
from dgmmis.store import CatalogWriter, StoredRows
from dgmmis.store.pilot import Pilot
from stored_sources import IDS, batches, make_source, write


def smallest(rows: StoredRows, kind: str, n_rows: int) -> np.ndarray:
    """Positions of the rows with the smallest hashes, by sorting them all."""
    hashes = hash_texts(rows.ids) if kind == "text" else hash_integers(rows.ids)
    keys = [(int(hashes[i]), int(rows.source_rows[i]), i) for i in range(len(rows))]
    return np.array([i for _, _, i in sorted(keys)[:n_rows]])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(IDS),
    n_rows=st.integers(1, 200),
    wanted=st.integers(1, 60),
    batch_rows=st.integers(1, 250),
    few_ids=st.booleans(),
)
def test_the_pilot_is_the_rows_of_the_smallest_hashes(seed, kind, n_rows, wanted, batch_rows, few_ids):
    _, rows = make_source(seed, n_rows, 2, ids=kind)
    if few_ids:  # equal ids: ties go by source row
        rows = StoredRows(rows.source_rows, rows.ids[np.arange(n_rows) % 3], *list(vars(rows).values())[2:])
    pilot = Pilot(kind, wanted)
    for batch in batches(rows, batch_rows):
        pilot.add(batch)
    if kind == "row":
        rows = StoredRows(rows.source_rows, rows.source_rows, *list(vars(rows).values())[2:])
    expected = smallest(rows, kind, wanted)
    assert pilot.rows().source_rows.tolist() == expected.tolist()
    np.testing.assert_array_equal(pilot.rows().values, rows.values[expected])


@settings(max_examples=4)
@given(batch_rows=st.integers(1, 120), asked=st.integers(1, 60))
def test_any_prefix_of_the_stored_pilot_is_the_smallest_hashes(batch_rows, asked):
    schema, rows = make_source(11, 100, 3)
    with tempfile.TemporaryDirectory() as folder:
        options = {"batch_rows": batch_rows, "chunk_rows": 25, "pilot_rows": 40}
        catalog = write(Path(folder) / "c", schema, rows, **options)
        read = catalog.read_pilot(asked)
        expected = smallest(rows, "integer", min(asked, 40))
        np.testing.assert_array_equal(read.values, rows.values[expected])
        np.testing.assert_array_equal(read.weights, rows.weights[expected])
        np.testing.assert_array_equal(read.noise.array, schema.noise(rows.noise).array[expected])
        assert catalog.pilot_rows == 40
        with pytest.raises(InvalidSetting, match="n_rows"):
            catalog.read_pilot(0)


def test_the_description_is_what_one_counts_by_hand(tmp_path):
    schema, rows = make_source(12, 200, 3, missing=0.4, jitter=True)
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=30)
    told = json.loads(json.dumps(catalog.describe(), allow_nan=False))
    missing = np.isnan(rows.values)
    variances = rows.noise["errors"] ** 2 + np.square(schema.jitter)
    errors = np.sqrt(np.where(missing, np.nan, variances))
    for j, feature in enumerate(told["features"]):
        assert feature["name"] == schema.features[j]
        assert feature["unit"] == "mas"
        assert feature["observed"] == (~missing[:, j]).sum()
        assert feature["observed_fraction"] == pytest.approx(1 - missing[:, j].mean())
        assert feature["min"] == np.nanmin(rows.values[:, j]) == catalog.low[j]
        assert feature["max"] == np.nanmax(rows.values[:, j]) == catalog.high[j]
        assert feature["typical_error"] == pytest.approx(np.nanmedian(errors[:, j]))
    assert sum(pattern["rows"] for pattern in told["patterns"]) == 200
    counts = [pattern["rows"] for pattern in told["patterns"]]
    assert counts == sorted(counts, reverse=True)
    for pattern in told["patterns"]:
        bits = np.isin(schema.features, pattern["missing"])
        assert pattern["rows"] == (missing == bits).all(axis=1).sum()
    assert told["rows_with_nothing_observed"] == missing.all(axis=1).sum() > 0
    assert (told["rows"], told["chunks"], told["pilot_rows"]) == (200, 7, 200)
    assert told["provenance"] == schema.provenance
    assert told["fingerprint"] == catalog.fingerprint
    health = told["noise"]["health"]
    assert (health["judged_by"], health["rows"]) == ("pilot", 200)
    assert health["smallest_error"] == pytest.approx(np.nanmin(errors, axis=0).tolist())
    assert health["largest_error"] == pytest.approx(np.nanmax(errors, axis=0).tolist())
    files = [path for path in (tmp_path / "c").rglob("*") if path.is_file()]
    assert told["bytes_on_disk"] == sum(path.stat().st_size for path in files)


def test_the_largest_correlation_is_of_observed_pairs(tmp_path):
    schema, rows = make_source(13, 40, 3, missing=0.5)
    catalog = write(tmp_path / "c", schema, rows)
    present = ~np.isnan(rows.values)
    pairs = [(1, 0), (2, 0), (2, 1)]
    both = np.stack([present[:, a] & present[:, b] for a, b in pairs], axis=1)
    sizes = np.where(both, np.abs(rows.noise["correlations"]), 0)
    largest = catalog.describe()["noise"]["health"]["largest_correlation"]
    assert largest["size"] == pytest.approx(sizes.max())
    a, b = pairs[np.unravel_index(sizes.argmax(), sizes.shape)[1]]
    assert largest["features"] == [schema.features[a], schema.features[b]]


@pytest.mark.parametrize("form", ["none", "shared", "variances", "covariances"])
def test_every_form_of_noise_is_described(form, tmp_path):
    schema, rows = make_source(14, 20, 2, form)
    noise = write(tmp_path / "c", schema, rows).describe()["noise"]
    assert noise["form"] == form
    assert noise["kind"] == {"variances": "diagonal", "covariances": "full"}.get(form, form)
    json.dumps(noise, allow_nan=False)


def test_zone_maps_bound_the_values_and_errors_of_their_chunk(tmp_path):
    schema, rows = make_source(15, 50, 3, "errors")
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=8)
    for chunk in range(catalog.n_chunks):
        read = catalog.read_rows(chunk)
        errors = np.sqrt(np.where(np.isnan(read.values), np.nan, read.noise.array))
        for name, numbers in {
            "low": np.fmin.reduce(read.values),
            "high": np.fmax.reduce(read.values),
            "missing": np.isnan(read.values).sum(axis=0),
            "noise_low": np.fmin.reduce(errors),
            "noise_high": np.fmax.reduce(errors),
        }.items():
            np.testing.assert_array_equal(catalog.read_zones(name)[chunk], numbers)
    with pytest.raises(InvalidSetting, match="zone map 'colour'"):
        catalog.read_zones("colour")


def test_a_feature_that_no_row_has_is_described_as_such(tmp_path):
    schema, rows = make_source(16, 10, 2, "errors")
    rows.values[:, 1] = np.nan
    with CatalogWriter(tmp_path / "c", schema) as writer:
        writer.append(rows)
        told = writer.finish().describe()["features"][1]
    assert told["observed"] == 0
    assert told["min"] is told["max"] is told["typical_error"] is None
