"""A catalogue holds what the source holds, whatever its format."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.errors import AlreadyExists, EmptySource, InvalidSetting, UnknownColumn
from dgmmis.ingestion import ingest
from dgmmis.noise import Noise
from source_tables import FORMATS, write_table

DATA = Path(__file__).parents[1].parent / "shared/data"
FEATURES = ("a", "b", "c")


def make_columns(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    columns = {"id": rng.permutation(n_rows) + 1000}
    for name in FEATURES:
        columns[name] = rng.normal(size=n_rows)
        columns[name][rng.random(n_rows) < 0.1] = np.nan
        columns[f"{name}_error"] = rng.uniform(0.1, 1, n_rows)
    columns["a_b_corr"] = rng.uniform(-0.5, 0.5, n_rows)
    columns["c_b_corr"] = rng.uniform(-0.5, 0.5, n_rows)
    columns["w"] = rng.uniform(0, 2, n_rows)
    return columns


def in_source_order(catalog):
    """Values, covariances, weights and ids of all rows, in the order of the source."""
    chunks = range(catalog.n_chunks)
    rows = [catalog.read_rows(chunk) for chunk in chunks]
    ids = [catalog.read_ids(chunk) for chunk in chunks]
    order = np.argsort(np.concatenate([source for _, source in ids]))
    return (
        np.concatenate([r.values for r in rows])[order],
        np.concatenate([r.noise.covariances(len(r), r.n_features) for r in rows])[order],
        np.concatenate([np.ones(len(r)) if r.weights is None else r.weights for r in rows])[order],
        np.concatenate([names for names, _ in ids])[order],
    )


def test_every_format_gives_the_same_catalogue(tmp_path):
    columns = make_columns()
    fingerprints = set()
    for number, form in enumerate(FORMATS):
        source = write_table(columns, tmp_path, form)
        catalog = ingest(
            source, tmp_path / f"{number}.zarr", features=FEATURES, error=["{}_error"], corr="{}_{}_corr",
            id="id", weights="w", chunk_rows=17,
        )  # fmt: skip
        fingerprints.add(catalog.fingerprint)
    in_memory = ingest(
        columns, tmp_path / "memory.zarr", features=FEATURES, error=["{}_error"], corr="{}_{}_corr", id="id",
        weights="w", chunk_rows=17,
    )  # fmt: skip
    assert fingerprints == {in_memory.fingerprint}


def test_values_noise_weights_and_ids_are_those_of_the_source(tmp_path):
    columns = make_columns()
    catalog = ingest(
        columns, tmp_path / "x.zarr", features=FEATURES, error="{}_error", corr="{a}_{b}_corr", id="id",
        weights="w", jitter={"b": 0.3}, chunk_rows=17,
    )  # fmt: skip
    values, noise, weights, ids = in_source_order(catalog)
    np.testing.assert_array_equal(values, np.stack([columns[name] for name in FEATURES], axis=1))
    errors = [columns[f"{name}_error"] for name in FEATURES]
    correlations = {(0, 1): columns["a_b_corr"], (2, 1): columns["c_b_corr"]}
    expected = Noise.from_columns(errors, correlations).covariances(60, 3)
    expected[:, 1, 1] += 0.3**2
    np.testing.assert_allclose(noise, expected, rtol=1e-13)
    np.testing.assert_array_equal(weights, columns["w"])
    np.testing.assert_array_equal(ids, columns["id"])
    assert catalog.schema.provenance["notes"] == ["correlations taken as 0: a-c"]


def test_without_an_id_column_the_id_is_the_row_number(tmp_path):
    columns = make_columns()
    catalog = ingest(columns, tmp_path / "x.zarr", features=FEATURES, where="w > 1")
    assert catalog.noise_kind == "none"
    np.testing.assert_array_equal(in_source_order(catalog)[3], np.flatnonzero(columns["w"] > 1))


def test_text_ids_come_back_as_text(tmp_path):
    names = np.array([f"étoile {i}" for i in range(9)])
    catalog = ingest({"name": names, "a": np.arange(9.0)}, tmp_path / "x.zarr", features=["a"], id="name")
    assert in_source_order(catalog)[3].tolist() == names.tolist()


def test_single_precision_stays_where_nothing_is_wider(tmp_path):
    columns = {name: column.astype(np.float32) for name, column in make_columns().items()}
    options = {"features": FEATURES, "corr": "{}_{}_corr"}
    schema = ingest(columns, tmp_path / "1.zarr", error=["{}_error"], **options).schema
    assert (schema.value_dtype, schema.noise_dtype) == ("<f4", "<f4")
    schema = ingest(columns, tmp_path / "2.zarr", error=["{}_error", "a=0.1"], **options).schema
    assert (schema.value_dtype, schema.noise_dtype) == ("<f4", "<f8"), "0.1 is no single-precision number"
    columns["b"] = columns["b"].astype(float)
    assert ingest(columns, tmp_path / "3.zarr", features=FEATURES).schema.value_dtype == "<f8"


@pytest.mark.parametrize("kind", ["shared", "diagonal", "full"])
def test_a_matrix_keeps_its_noise(kind, tmp_path):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(20, 3))
    factors = rng.normal(size=(20, 3, 3))
    full = factors @ factors.swapaxes(1, 2)
    noise = {"shared": full[0], "diagonal": rng.random((20, 3)), "full": full}[kind]
    catalog = ingest(
        values, tmp_path / "x.zarr", features=FEATURES, noise=noise, where="b < 0.5", chunk_rows=6
    )
    kept = values[:, 1] < 0.5
    assert catalog.noise_kind == kind
    read, covariances, _, _ = in_source_order(catalog)
    np.testing.assert_array_equal(read, values[kept])
    np.testing.assert_allclose(covariances, Noise.of(noise, 20, 3).covariances(20, 3)[kept], rtol=1e-14)


def test_weights_and_ids_beside_a_stored_matrix_come_along(tmp_path):
    rng = np.random.default_rng(3)
    np.savez(
        tmp_path / "x.npz", values=rng.normal(size=(9, 2)), weights=np.arange(9.0), row_id=np.arange(9) * 10
    )
    catalog = ingest(tmp_path / "x.npz", tmp_path / "x.zarr", features=("a", "b"))
    _, _, weights, ids = in_source_order(catalog)
    assert weights.tolist() == list(range(9))
    assert ids.tolist() == [10 * i for i in range(9)]


@given(seed=st.integers(0, 50), n_rows=st.integers(4, 30), chunk_rows=st.integers(1, 40))
@settings(max_examples=6, deadline=None)
def test_nothing_is_lost_or_changed_by_chunks(seed, n_rows, chunk_rows):
    columns = make_columns(n_rows, seed)
    with tempfile.TemporaryDirectory() as folder:
        source = write_table(columns, Path(folder), "parquet folder")
        catalog = ingest(
            source,
            Path(folder) / "x.zarr",
            features=FEATURES,
            error="{}_error",
            chunk_rows=chunk_rows,
            id="id",
        )
        values, _, _, ids = in_source_order(catalog)
    np.testing.assert_array_equal(values, np.stack([columns[name] for name in FEATURES], axis=1))
    np.testing.assert_array_equal(ids, columns["id"])


def test_progress_counts_rows_up_to_all(tmp_path):
    seen = []
    ingest(
        make_columns(),
        tmp_path / "x.zarr",
        features=FEATURES,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (60, 60)


def test_a_source_without_usable_rows_is_named_as_such(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(EmptySource, match="no rows"):
        ingest(tmp_path / "x.csv", tmp_path / "x.zarr", features=["a"])
    with pytest.raises(EmptySource, match=r"none of the 60 rows .* meets the condition 'a > 100'"):
        ingest(make_columns(), tmp_path / "x.zarr", features=["a"], where="a > 100")
    assert not (tmp_path / "x.zarr").exists()


def test_a_catalogue_is_replaced_only_when_told_so(tmp_path):
    ingest(make_columns(), tmp_path / "x.zarr", features=["a"])
    with pytest.raises(AlreadyExists):
        ingest(make_columns(), tmp_path / "x.zarr", features=["b"])
    assert ingest(make_columns(), tmp_path / "x.zarr", features=["b"], overwrite=True).features == ("b",)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"features": []}, InvalidSetting, "no features"),
        ({"features": ["a", "b", "a"]}, InvalidSetting, "'a' is named 2 times"),
        ({"features": ["aa"]}, UnknownColumn, "no column 'aa'"),
        ({"features": ["a"], "id": "idd"}, UnknownColumn, "Similar: id"),
        ({"features": ["a"], "weights": "ww"}, UnknownColumn, "'ww'"),
        ({"features": ["a", "id"], "id": "id"}, InvalidSetting, "cannot be a feature"),
        ({"features": ["a"], "units": {"z": "mas"}}, UnknownColumn, "'z'"),
        ({"features": ["a"], "jitter": {"z": 1}}, UnknownColumn, "'z', which is no feature"),
        ({"features": ["a"], "jitter": {"a": -1}}, InvalidSetting, "finite and >= 0"),
        ({"features": ["a"], "corr": "{}_{}_corr"}, InvalidSetting, "needs errors"),
        ({"features": ["a"], "missing_error": "drop"}, InvalidSetting, "'quarantine' or 'missing'"),
        ({"features": ["a"], "noise": np.eye(1)}, InvalidSetting, "noise goes with a matrix"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_anything_is_written(
    options, error, match, tmp_path
):
    with pytest.raises(error, match=match):
        ingest(make_columns(), tmp_path / "x.zarr", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not DATA.exists(), reason="the Gaia samples are not there")
def test_a_real_csv_is_ingested_whole(tmp_path):
    path = DATA / "gaia_edr3_cluster_field.csv"
    features = ["parallax", "pmra", "pmdec"]
    catalog = ingest(
        path,
        tmp_path / "x.zarr",
        features=features,
        error="{}_error",
        corr="{}_{}_corr",
        id="source_id",
        chunk_rows=5000,
    )
    table = pyarrow.csv.read_csv(path)
    values, covariances, _, ids = in_source_order(catalog)
    assert (catalog.n_rows, catalog.n_quarantined) == (11980, 0)
    assert ids.tolist() == table["source_id"].to_pylist()
    for i, name in enumerate(features):
        np.testing.assert_array_equal(values[:, i], table[name])
        np.testing.assert_allclose(covariances[:, i, i], np.square(table[f"{name}_error"]), rtol=1e-14)
    expected = np.array(table["parallax_pmdec_corr"]) * table["parallax_error"] * table["pmdec_error"]
    np.testing.assert_allclose(covariances[:, 0, 2], expected, rtol=1e-13)


@pytest.mark.skipif(not DATA.exists(), reason="the Gaia samples are not there")
def test_a_real_fits_table_keeps_its_units_and_its_gaps(tmp_path):
    catalog = ingest(
        DATA / "gaia_dr3_sample.fits",
        tmp_path / "x.zarr",
        features=["parallax", "pmra", "pmdec", "bp_rp", "radial_velocity"],
        error=["{}_error", "bp_rp=0.02"],
        corr="{}_{}_corr",
        id="source_id",
    )
    values, covariances, _, _ = in_source_order(catalog)
    assert catalog.units == ("mas", "mas.yr**-1", "mas.yr**-1", "mag", "km.s**-1")
    assert (catalog.n_rows, catalog.n_quarantined) == (1000, 0)
    assert np.isnan(values).sum(axis=0).tolist() == [0, 0, 0, 77, 976]
    np.testing.assert_allclose(covariances[:, 3, 3], 0.02**2, rtol=1e-15)
