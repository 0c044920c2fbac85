"""Data frames, Dask arrays, xarray and astropy tables: units, gaps, and what is refused."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

import dgmmis
from dgmmis.errors import InvalidData, InvalidSetting, UnknownColumn
from dgmmis.readers import open_arrays
from source_tables import write_hats, write_hdf5
from test_readers_formats import make_columns, read, read_all

# --- data frames and Dask arrays


def frame_of(columns):
    frame = pd.DataFrame(columns).set_index("id")
    frame.attrs["units"] = {"wide": "mas"}
    return frame


@settings(max_examples=8, deadline=None)
@given(
    n_rows=st.integers(1, 30), parts=st.integers(1, 4), batch_rows=st.integers(1, 9), seed=st.integers(0, 9)
)
def test_data_frames_of_pandas_and_dask_give_their_rows(n_rows, parts, batch_rows, seed):
    columns = make_columns(n_rows, seed)
    frame = frame_of(columns)
    for given_as in (frame, dd.from_pandas(frame, npartitions=parts, sort=False)):
        source = open_arrays(given_as, features=())
        found = read_all(source, ("id", "wide", "narrow", "whole"), batch_rows, id="id")
        assert source.id_kind("id") == "integer"
        assert source.number_type("narrow") == np.float32
        for name, column in columns.items():
            np.testing.assert_array_equal(found[name].astype(column.dtype), column)


def test_one_partition_is_computed_at_a_time():
    held: list[int] = []

    def make(number):
        held.append(number)
        return pd.DataFrame({"a": np.full(4, float(number))})

    frame = dd.from_map(make, [0, 1, 2], meta=pd.DataFrame({"a": [0.0]}))
    held.clear()
    for batch in open_arrays(frame, features=()).batches(("a",), 4):
        assert held == list(range(int(batch.columns["a"][0]) + 1))


def test_nullable_and_text_columns_of_a_frame_keep_their_kind_and_units():
    numbers = pd.array([1, None, 3], "Int64")
    frame = pd.DataFrame({"n": numbers, "name": ["a", "b", "c"], "t": pd.date_range("2020", periods=3)})
    frame.attrs["units"] = {"n": "mag"}
    source = open_arrays(frame, features=())
    assert dict(source.units) == {"n": "mag"}
    n, name = read(source, "n", "name", id="name")
    np.testing.assert_array_equal(n, [1, np.nan, 3])
    assert name.tolist() == [b"a", b"b", b"c"]
    for column in ("name", "t"):
        with pytest.raises(InvalidData, match=f"column '{column}' holds"):
            source.number_type(column)
    with pytest.raises(InvalidData, match="row 1: no id in column 'n'"):
        read(source, "n", id="n")


def test_a_partition_that_fails_or_holds_another_type_is_named():
    def make(number):
        if number == 1:
            raise OSError("the disk is gone")
        return pd.DataFrame({"a": ["x"] if number == 2 else [1.0]})

    meta = pd.DataFrame({"a": [0.0]})
    with pytest.raises(InvalidData, match=r"partition 1, from row 1: .*OSError: the disk is gone") as caught:
        read(open_arrays(dd.from_map(make, [0, 1], meta=meta), features=()), "a")
    assert caught.value.row == 1
    with pytest.raises(InvalidData, match="partition 1: column 'a' holds"):
        read(open_arrays(dd.from_map(make, [0, 2], meta=meta), features=()), "a")
    with pytest.raises(InvalidData, match="column 'b' mixes kinds"):
        open_arrays(pd.DataFrame({"b": [1, "x"]}), features=()).number_type("b")


def test_dask_arrays_are_the_arrays_they_compute_to(tmp_path):
    rng = np.random.default_rng(1)
    values, noise = rng.normal(size=(40, 2)), rng.uniform(1, 2, size=(40, 2))
    inside = dgmmis.ingest(values, tmp_path / "a.zarr", features=["a", "b"], noise=noise)
    blocks, its_noise = da.from_array(values, chunks=(7, 1)), da.from_array(noise, chunks=(11, 2))
    lazy = dgmmis.ingest(blocks, tmp_path / "b.zarr", features=["a", "b"], noise=its_noise)
    assert lazy.fingerprint == inside.fingerprint
    shared = dgmmis.ingest(blocks, tmp_path / "c.zarr", features=["a", "b"], noise=da.eye(2))
    assert shared.noise_kind == "shared"
    columns = {"a": da.from_array(values[:, 0], chunks=5), "b": da.from_array(values[:, 1], chunks=9)}
    np.testing.assert_array_equal(np.transpose(read(open_arrays(columns, features=()), "a", "b")), values)


def test_a_dask_array_that_does_not_know_its_rows_is_refused():
    values = da.from_array(np.arange(6.0), chunks=2)
    with pytest.raises(InvalidData, match="compute_chunk_sizes"):
        open_arrays({"a": values[values > 1]}, features=())


# --- xarray


def test_a_dataset_gives_units_coordinates_and_lazy_variables(tmp_path):
    columns = make_columns(20)
    dataset = xr.Dataset(
        {
            "wide": ("row", columns["wide"], {"units": "mas"}),
            "lazy": ("row", da.from_array(columns["narrow"], chunks=6)),
            "image": (("y", "x"), np.zeros((2, 2))),
        },
        coords={"id": ("row", columns["id"])},
    )  # fmt: skip
    source = open_arrays(dataset, features=("wide",))
    wide, lazy, ids = read(source, "wide", "lazy", "id", id="id")
    np.testing.assert_array_equal(wide, columns["wide"])
    np.testing.assert_array_equal(lazy, columns["narrow"])
    np.testing.assert_array_equal(ids, columns["id"])
    assert dict(source.units) == {"wide": "mas"}
    assert "image" not in source.columns
    catalog = dgmmis.ingest(dataset, tmp_path / "x.zarr", features=["wide"], id="id")
    assert catalog.units == ("mas",)
    with pytest.raises(UnknownColumn, match="has no column 'image'"):
        dgmmis.ingest(dataset, tmp_path / "y.zarr", features=["wide", "image"])


def test_a_data_array_names_its_columns_by_its_coordinate():
    values = np.arange(8.0).reshape(4, 2)
    named = xr.DataArray(values, dims=("row", "what"), coords={"what": ["a", "b"]}, attrs={"units": "km/s"})
    source = open_arrays(named, features=("b",))
    np.testing.assert_array_equal(read(source, "b")[0], values[:, 1])
    assert source.units["b"] == "km/s"
    bare = open_arrays(named.drop_vars("what").chunk(row=3), features=("p", "q"))
    np.testing.assert_array_equal(read(bare, "q")[0], values[:, 1])
    with pytest.raises(InvalidData, match="expected rows and features"):
        open_arrays(named[0], features=("a",))
    with pytest.raises(InvalidData, match="no variable runs along one dimension"):
        open_arrays(xr.Dataset({"i": (("y", "x"), np.zeros((2, 2)))}), features=("i",))


# --- astropy


def test_a_table_with_units_and_masked_values_becomes_a_catalogue_with_both(tmp_path):
    table = QTable({
        "ra": [10.0, 20.0, 30.0] * u.deg,
        "ra_error": [36.0, 72.0, 36.0] * u.arcsec,
        "g": MaskedColumn([15, 16, 17], mask=[False, True, False], unit=u.mag),
        "g_error": MaskedColumn([0.1, 0.1, 0.1], unit=u.mag),
        "name": ["a", "b", "c"],
        "spectrum": np.zeros((3, 4)),
        "when": Time([50000, 50001, 50002], format="mjd"),
    })  # fmt: skip
    catalog = dgmmis.ingest(table, tmp_path / "x.zarr", features=["ra", "g"], error=["{}_error"], id="name")
    assert catalog.units == ("deg", "mag")
    rows = catalog.read_rows(0)
    np.testing.assert_allclose(
        rows.noise.array[:, 0], np.square([0.01, 0.02, 0.01])[np.argsort(rows.values[:, 0])]
    )
    assert np.isnan(rows.values[:, 1]).sum() == 1
    source = open_arrays(table, features=())
    for name, text in (
        ("spectrum", "not one number per row"),
        ("when", "type object"),
        ("name", "not one number"),
    ):
        with pytest.raises(InvalidData, match=text):
            source.number_type(name)
    with pytest.raises(InvalidData, match="row 1: no id in column 'g'") as caught:
        dgmmis.ingest(table, tmp_path / "y.zarr", features=["ra"], id="g")
    assert caught.value.row == 1


# --- all of them


def test_the_same_table_is_the_same_catalogue_in_whatever_it_comes(tmp_path):
    columns = make_columns(30)
    frame = pd.DataFrame(columns)
    write_hdf5(columns, tmp_path / "x.h5", "group h5")
    sources = {
        "columns": columns,
        "hdf5": tmp_path / "x.h5",
        "hats": write_hats(columns, tmp_path / "sky"),
        "pandas": frame,
        "dask": dd.from_pandas(frame, npartitions=3, sort=False),
        "xarray": xr.Dataset({name: ("row", column) for name, column in columns.items()}),
        "astropy": Table(columns),
    }
    asked = {"features": ["wide", "narrow"], "id": "id", "error": ["wide=0.1", "narrow=whole"]}
    prints = {
        name: dgmmis.ingest(source, tmp_path / f"{name}.zarr", missing_error="missing", **asked).fingerprint
        for name, source in sources.items()
    }
    assert len(set(prints.values())) == 1, prints


def test_what_is_no_source_is_refused_and_noise_goes_with_matrices_only(tmp_path):
    with pytest.raises(InvalidSetting, match="a table or a data frame"):
        dgmmis.ingest(object(), tmp_path / "x.zarr", features=["a"])
    with pytest.raises(InvalidSetting, match="noise goes with a matrix"):
        dgmmis.ingest(pd.DataFrame({"a": [1.0]}), tmp_path / "x.zarr", features=["a"], noise=np.eye(1))
