"""Catalogues as tables of other libraries, and posteriors added to data frames where they are."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dgmmis
from dgmmis import Background, Mixture, Model
from dgmmis.errors import InvalidSetting, MissingLibrary, UnitMismatch, UnknownColumn
from dgmmis.products import PosteriorOfRows

N = 37
FORMS = ("to_astropy", "to_dask_dataframe", "to_xarray")
ASKED = {
    "features": ["a", "b"],
    "error": ["{}_error"],
    "corr": "{}_{}_corr",
    "id": "row_id",
    "weights": "weight",
}


def columns_of(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    columns = {
        "a": rng.normal(size=N).astype(dtype),
        "b": rng.normal(size=N).astype(dtype),
        "a_error": rng.uniform(0.1, 1, N).astype(dtype),
        "b_error": rng.uniform(0.1, 1, N).astype(dtype),
        "a_b_corr": rng.uniform(-0.9, 0.9, N).astype(dtype),
        "weight": rng.uniform(0, 2, N),
        "row_id": np.array([f"star {i}é" for i in range(N)]),
    }
    columns["b"][rng.random(N) < 0.3] = np.nan
    return columns


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 99), single=st.booleans(), chunk_rows=st.sampled_from([15, 64]))
def test_a_catalogue_is_the_same_after_it_was_another_librarys_table(
    seed, single, chunk_rows, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("tables")
    columns = columns_of(seed, np.float32 if single else np.float64)
    asked = {**ASKED, "chunk_rows": chunk_rows}
    catalog = dgmmis.ingest(columns, folder / "x.zarr", units={"a": "mas", "a_error": "mas"}, **asked)
    for form in FORMS:
        again = dgmmis.ingest(getattr(catalog, form)(), folder / f"{form}.zarr", **asked)
        assert again.fingerprint == catalog.fingerprint
        assert again.units == ("mas", "")


@pytest.mark.parametrize("noise", [None, np.diag([0.04, 0.09]) + 0.01, "diagonal", "full"])
def test_noise_of_every_kind_is_given_as_errors_and_correlations(noise, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N, 2))
    roots = rng.normal(size=(N, 2, 2))
    given_noise = {"diagonal": rng.uniform(1, 2, size=(N, 2)), "full": roots @ roots.transpose(0, 2, 1)}
    given_noise = given_noise[noise] if isinstance(noise, str) else noise
    jitter = {"a": 0.5} if noise is None else None
    catalog = dgmmis.ingest(
        values, tmp_path / "x.zarr", features=["a", "b"], noise=given_noise, jitter=jitter
    )
    table = catalog.to_astropy()
    np.testing.assert_array_equal(table["a"], values[:, 0])
    covariances = dgmmis.Noise.of(given_noise, N, 2).covariances(N, 2) + np.diag([0.25 * (noise is None), 0])
    np.testing.assert_allclose(table["a_error"], np.sqrt(covariances[:, 0, 0]))
    rho = table["a_b_corr"] if "a_b_corr" in table.colnames else 0
    np.testing.assert_allclose(rho * table["a_error"] * table["b_error"], covariances[:, 1, 0], atol=1e-15)


def test_a_data_frame_of_a_catalogue_reads_a_chunk_for_a_partition(tmp_path):
    catalog = dgmmis.ingest(columns_of(), tmp_path / "x.zarr", chunk_rows=10, **ASKED)
    frame = catalog.to_dask_dataframe()
    assert frame.npartitions == catalog.n_chunks == 4
    assert list(frame.partitions[1].compute()["source_row"]) == list(range(10, 20))
    dataset = catalog.to_xarray()
    assert dataset["a"].chunks == ((10, 10, 10, 7),)
    assert set(dataset.coords) == {"row_id", "source_row"}


def test_a_name_that_would_stand_twice_and_a_missing_library_are_refused(tmp_path, monkeypatch):
    catalog = dgmmis.ingest({"source_row": np.zeros(3)}, tmp_path / "x.zarr", features=["source_row"])
    with pytest.raises(InvalidSetting, match="two columns 'source_row'"):
        catalog.to_astropy()
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(MissingLibrary, match=r'pip install "dgmmis\[frames\]"'):
        catalog.to_xarray()


# --- posteriors


MODEL = Model(
    Mixture([0.4, 0.6], [[0, 0], [2, 1]], [np.eye(2), np.eye(2) * 0.5]),
    ("a", "b"),
    ("mas", ""),
    Background(([-9, -9], [9, 9]), amplitude=0.1),
)


def test_posteriors_of_partitions_are_those_of_a_catalogue_with_units(tmp_path):
    columns = {**columns_of(), "row_id": np.arange(N)}
    asked = {name: ASKED[name] for name in ("features", "error", "corr", "id")}
    catalog = dgmmis.ingest(columns, tmp_path / "x.zarr", units={"a": "mas"}, **asked)
    dgmmis.apply(MODEL, catalog, tmp_path / "x.parquet", top=2, order="source")
    product = pq.read_table(tmp_path / "x.parquet")
    assert product.schema.field("posterior_mean_a").metadata[b"unit"] == b"mas"
    add = PosteriorOfRows(MODEL, error=["{}_error"], corr="{}_{}_corr", top=2, keep=["row_id"])
    added = catalog.to_dask_dataframe().map_partitions(add).compute()
    assert list(added.columns) == [name for name in product.column_names if name != "source_row"]
    for name in added.columns:
        np.testing.assert_array_equal(added[name], product[name])


def test_rows_that_cannot_be_used_get_nothing_and_the_others_what_they_would():
    columns = {"a": [0.0, np.inf, 1.0], "b": 1.0, "a_error": [0.1, 0.1, -1], "b_error": 0.1}
    frame = pd.DataFrame(columns, index=[7, 8, 9])
    add = PosteriorOfRows(MODEL, error=["{}_error"])
    found = add(frame)
    assert list(found.index) == [7, 8, 9]
    assert found["component_1"].tolist()[1:] == [-1, -1]
    assert found["log_density"].isna().tolist() == [False, True, True]
    pd.testing.assert_frame_equal(found.iloc[:1], add(frame.iloc[:1]))
    nothing = add(frame.iloc[:0])
    assert nothing.dtypes.equals(found.dtypes)


def test_frames_of_other_features_or_units_are_refused():
    frame = pd.DataFrame({"a": [0.0], "b": [1.0]})
    with pytest.raises(UnknownColumn, match="no column 'a_error'"):
        PosteriorOfRows(MODEL, error=["{}_error"])(frame)
    frame.attrs["units"] = {"a": "deg"}
    with pytest.raises(UnitMismatch, match="'a' is in deg"):
        PosteriorOfRows(MODEL)(frame)
    with pytest.raises(InvalidSetting, match="expected a data frame"):
        PosteriorOfRows(MODEL)(np.zeros((2, 2)))
    with pytest.raises(InvalidSetting, match="expected a Model"):
        PosteriorOfRows(MODEL.mixture)


@pytest.mark.filterwarnings("ignore")  # of what lsdb calls
def test_posteriors_of_an_lsdb_catalogue_are_a_hats_catalogue_that_is_read_again(tmp_path):
    lsdb = pytest.importorskip("lsdb", reason="lsdb is large and no part of the dev extra")
    rng = np.random.default_rng(0)
    sky = {"ra": rng.uniform(0, 360, N), "dec": rng.uniform(-80, 80, N), "n": np.arange(N)}
    columns = {name: column for name, column in columns_of().items() if name != "row_id"}
    made = lsdb.from_dataframe(
        pd.DataFrame({**columns, **sky}), ra_column="ra", dec_column="dec", partition_rows=20
    )
    add = PosteriorOfRows(MODEL, error=["{}_error"], keep=["ra", "dec", "n"])
    made.map_partitions(add).write_catalog(tmp_path / "out", catalog_name="posterior", progress_bar=False)
    features = ["posterior_mean_a", "posterior_mean_b"]
    catalog = dgmmis.ingest(tmp_path / "out", tmp_path / "x.zarr", features=features, id="n")
    expected = add(pd.DataFrame({**columns, **sky}))
    table = catalog.to_astropy()
    table.sort("row_id")
    np.testing.assert_array_equal(table["posterior_mean_b"], expected["posterior_mean_b"])


# --- the documentation


@pytest.mark.parametrize("page", ["formats.md", "ingest.md"])
def test_the_tables_of_the_docs_are_made_as_they_say(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / page).read_text()
    blocks = [block for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)]
    kept = [block for block in blocks if re.search("to_dask_dataframe|QTable|= frame.map_partitions", block)]
    names: dict = {"dgmmis": dgmmis}
    for block in kept:
        exec(block, names)
    printed = capsys.readouterr().out
    expected = {"formats.md": ("\nmas\nmas\n", "posterior_mean_parallax"), "ingest.md": ("('mas', 'mag')\n",)}
    assert all(text in printed for text in expected[page])
