"""HDF5, HATS, data frames, Dask arrays, xarray and astropy tables: units, gaps, layouts, and what is refused."""

from contextlib import suppress

import dask.array as da
import dask.dataframe as dd
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

import dgmmis
from dgmmis.errors import EmptySource, InvalidData, InvalidSetting, MissingLibrary, UnknownColumn
from dgmmis.readers import open_arrays, open_source
from source_tables import write_hats, write_hdf5
from test_readers_formats import make_columns, read_all


def read(source, *columns, id=None, batch_rows=3):
    return [read_all(source, columns, batch_rows, id=id)[name] for name in columns]


def h5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    return path


# --- HDF5


def test_a_mask_a_fill_value_and_a_vlen_text_id_are_read_from_hdf5(tmp_path):
    path = h5(tmp_path / "x.h5", a=np.arange(5.0), b=np.arange(5), flag=np.arange(5) > 2)
    with h5py.File(path, "a") as file:
        file["a.mask"] = np.array([False, True, False, False, False])
        file["b"].attrs["_FillValue"] = 3
        file["a"].attrs["unit"] = "mas"
        file.create_dataset("name", data=["s1", "s2", "étoile", "s4", "s5"], dtype=h5py.string_dtype())
    source = open_source(path, features=())
    a, b, flag, name = read(source, "a", "b", "flag", "name", id="name")
    np.testing.assert_array_equal(a, [0, np.nan, 2, 3, 4])
    np.testing.assert_array_equal(b, [0, 1, 2, np.nan, 4])
    assert flag.tolist() == [False, False, False, True, True]
    assert name[2].decode() == "étoile"
    assert dict(source.units) == {"a": "mas"}
    with h5py.File(path, "a") as file:
        del file["a"]
        file["a"] = np.arange(5)
    with pytest.raises(InvalidData, match="row 1: no id in column 'a'") as caught:
        read(open_source(path, features=()), "a", id="a")
    assert caught.value.row == 1


def test_an_astropy_table_in_hdf5_keeps_units_and_gaps(tmp_path):
    table = Table({"a": MaskedColumn([1.0, 2.0], mask=[True, False], unit="mas"), "b": [3, 4]})
    table["c d"] = Column([1.0, 2.0], unit="km / s", format="%.2f", description="a: 'b', c")
    table.write(tmp_path / "x.hdf5", path="gaia", serialize_meta=True)
    source = open_source(tmp_path / "x.hdf5", features=())
    assert dict(source.units) == {"a": "mas", "c d": "km / s"}
    np.testing.assert_array_equal(read(source, "a", "b"), [[np.nan, 2], [3, 4]])


def test_a_data_frame_as_pandas_stores_it_is_a_table(tmp_path):
    # What to_hdf(format="fixed") writes, without the library that pandas needs for it.
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["frame/axis1"] = np.arange(3)
        file["frame/block0_items"] = np.array([b"a", b"b"])
        file["frame/block0_values"] = np.arange(6.0).reshape(3, 2)
        file["frame/block1_items"] = np.array([b"n"])
        file["frame/block1_values"] = np.arange(3)[:, None]
    n, b = read(open_source(tmp_path / "x.h5", features=()), "n", "b", batch_rows=2)
    assert n.tolist() == [0, 1, 2]
    assert b.tolist() == [1, 3, 5]


def test_names_that_pandas_keeps_in_a_pickle_are_refused_with_the_way_out(tmp_path):
    rows = np.zeros(3, dtype=[("index", "i8"), ("values_block_0", "f8", (2,)), ("a", "f8")])
    path = h5(tmp_path / "x.h5", **{"frame/table": rows, "frame/_i_table/a/sorted": np.zeros(9)})
    assert read(open_source(path, features=()), "a")[0].tolist() == [0, 0, 0]
    with pytest.raises(InvalidData, match="data_columns=True"):
        open_source(path, features=()).number_type("values_block_0")
    with pytest.raises(InvalidData, match="data_columns=True"):
        open_source(path, features=(), wanted=("b",))


def test_the_table_with_the_columns_is_chosen_and_a_choice_between_two_is_refused(tmp_path, monkeypatch):
    path = h5(tmp_path / "x.h5", **{"one/a": np.zeros(2), "one/b": np.zeros(2), "two/a": np.ones(3)})
    assert open_source(path, features=(), wanted=("a", "b")).n_rows == 2
    with pytest.raises(InvalidData, match=r"2 tables .* /one, /two. Name one: x.h5::/one"):
        open_source(path, features=(), wanted=("a",))
    assert open_source(f"{path}::/two", features=(), wanted=("a",)).n_rows == 3
    with pytest.raises(EmptySource, match=r"no table at /three; tables are: /one, /two"):
        open_source(f"{path}::/three", features=())
    monkeypatch.chdir(tmp_path)
    catalog = dgmmis.ingest("x.h5::two", tmp_path / "x.zarr", features=["a"])
    assert catalog.n_rows == 3


def test_nothing_outside_an_hdf5_file_is_opened(tmp_path):
    (tmp_path / "secret").write_bytes(np.arange(4.0).tobytes())
    h5(tmp_path / "other.h5", a=np.arange(4.0))
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "a", shape=(4,))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("raw", shape=(4,), dtype="f8", external=[(str(tmp_path / "secret"), 0, 32)])
        file.create_virtual_dataset("virtual", layout)
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "a")
    source = open_source(tmp_path / "x.h5", features=())
    assert "linked" not in source.columns
    for name in ("raw", "virtual"):
        with pytest.raises(InvalidData, match="another file, which is not opened"):
            source.number_type(name)
        with pytest.raises(InvalidData, match="another file"):
            dgmmis.ingest(tmp_path / "x.h5", tmp_path / "x.zarr", features=[name])


def test_a_cut_or_altered_hdf5_file_is_refused_or_gives_numbers(tmp_path):
    write_hdf5(make_columns(), tmp_path / "right.h5", "compound h5")
    right = (tmp_path / "right.h5").read_bytes()
    path = tmp_path / "x.h5"

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, len(right) - 1), st.integers(0, 7), st.booleans())
    def judge(at, bit, cut):
        altered = bytearray(right[:at] if cut else right)
        if not cut:
            altered[at] ^= 1 << bit
        path.write_bytes(altered)
        with suppress(InvalidData):
            (wide,) = read(open_source(path, features=(), wanted=("wide",)), "wide")
            assert wide.dtype == float

    judge()


# --- HATS


def test_a_hats_collection_gives_each_row_once_in_the_order_of_the_sky(tmp_path):
    columns = make_columns()
    folder = write_hats(columns, tmp_path / "sky")
    source = open_source(folder, features=())
    assert source.n_rows == len(columns["id"])
    np.testing.assert_array_equal(read(source, "id", id="id")[0], columns["id"])
    np.testing.assert_array_equal(read(open_source(folder / "main", features=()), "wide")[0], columns["wide"])


def test_a_hats_catalogue_that_is_not_whole_is_refused(tmp_path):
    folder = write_hats(make_columns(), tmp_path / "sky")
    with pytest.raises(InvalidData, match=r"type 'margin', not a catalogue of rows. .*'main'"):
        open_source(folder / "main_margin", features=())
    properties = folder / "main/hats.properties"
    text = properties.read_text()
    properties.write_text(text.replace("hats_nrows=23", "hats_nrows=24"))
    with pytest.raises(InvalidData, match="has 23 rows in its partitions; its properties say 24"):
        open_source(folder, features=())
    (folder / "main/dataset/Norder=0/Dir=0/Npix=2.parquet").unlink()
    with pytest.raises(InvalidData, match="lacks partition Norder=0, Npix=2"):
        open_source(folder, features=())
    (folder / "main/partition_info.csv").write_text("Norder,Npix\n0,99\n")
    with pytest.raises(InvalidData, match="no partitions that are pixels of the sky"):
        open_source(folder, features=())
    (folder / "main/partition_info.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidData, match=r"partition_info\.csv, cannot be read"):
        open_source(folder, features=())
    (folder / "main/partition_info.csv").unlink()
    with pytest.raises(InvalidData, match="partitions; its properties say 24"):
        open_source(folder, features=())
    (folder / "collection.properties").write_text("hats_primary_table_url=../../etc\n")
    with pytest.raises(InvalidData, match="is not in it"):
        open_source(folder, features=())


@pytest.mark.filterwarnings("ignore")  # of what lsdb calls
def test_a_catalogue_that_lsdb_wrote_is_read_from_disk_and_from_its_object(tmp_path):
    lsdb = pytest.importorskip("lsdb", reason="lsdb is large and no part of the dev extra")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": np.arange(60),
            "ra": rng.uniform(0, 360, 60),
            "dec": rng.uniform(-80, 80, 60),
            "g": rng.normal(size=60),
        }
    )
    made = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", partition_rows=20)
    made.write_catalog(tmp_path / "sky", catalog_name="stars", progress_bar=False)
    on_disk = read_all(open_source(tmp_path / "sky", features=()), ("n", "g"), 7)
    as_object = read_all(open_arrays(lsdb.open_catalog(tmp_path / "sky"), features=()), ("n", "g"), 7)
    np.testing.assert_array_equal(on_disk["n"], as_object["n"])
    np.testing.assert_array_equal(frame["g"].to_numpy()[on_disk["n"]], on_disk["g"])
    assert sorted(on_disk["n"]) == list(range(60))


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


def test_a_missing_h5py_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    import sys

    path = h5(tmp_path / "x.h5", a=np.zeros(2))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingLibrary, match=r'pip install "dgmmis\[readers\]"'):
        open_source(path, features=())
