"""HDF5 files: layouts, units, gaps, and what is refused."""

from contextlib import suppress

import h5py
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

import dgmmis
from dgmmis.errors import EmptySource, InvalidData, MissingLibrary
from dgmmis.readers import open_source
from source_tables import write_hdf5
from test_readers_formats import make_columns, read


def h5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    return path


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


def test_a_missing_h5py_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    import sys

    path = h5(tmp_path / "x.h5", a=np.zeros(2))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingLibrary, match=r'pip install "dgmmis\[readers\]"'):
        open_source(path, features=())
