"""Every format gives the same rows, whatever the size of the batches."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.errors import EmptySource, InvalidData, MissingLibrary, UnknownColumn
from dgmmis.readers import open_arrays, open_source, require_columns
from source_tables import FORMATS, write_table


def read_all(source, columns, batch_rows=5, id=None):
    batches = list(source.batches(columns, batch_rows, id=id))
    assert [b.first_row for b in batches] == np.cumsum([0, *(len(b) for b in batches)]).tolist()[:-1]
    assert all(len(b) <= batch_rows for b in batches)
    return {name: np.concatenate([b.columns[name] for b in batches]) for name in columns}


def read(source, *columns, id=None, batch_rows=3):
    return [read_all(source, columns, batch_rows, id=id)[name] for name in columns]


def make_columns(n_rows=23, seed=0):
    rng = np.random.default_rng(seed)
    wide = rng.normal(size=n_rows)
    wide[rng.random(n_rows) < 0.2] = np.nan
    narrow = rng.normal(size=n_rows).astype(np.float32)
    narrow[rng.random(n_rows) < 0.2] = np.nan
    return {
        "id": rng.integers(-(2**62), 2**62, n_rows),
        "wide": wide,
        "narrow": narrow,
        "whole": rng.integers(-100, 100, n_rows).astype(np.int32),
    }


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=8, deadline=None)
@given(
    n_rows=st.integers(5, 40),
    batch_rows=st.integers(1, 50),
    row_group=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_every_format_gives_the_rows_that_were_written(form, n_rows, batch_rows, row_group, seed):
    columns = make_columns(n_rows, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = write_table(columns, Path(folder), form, row_group)
        source = open_source(path, features=())
        in_order = sorted(columns) if form == "group h5" else columns  # HDF5 orders a group by name
        assert source.columns == tuple(in_order)
        assert source.n_rows in (None, n_rows)
        read = read_all(source, tuple(columns), batch_rows, id="id")
        assert source.id_kind("id") == "integer"
    for name, column in columns.items():
        # Text holds as many digits as single precision needs: back in single precision it is the same.
        np.testing.assert_array_equal(read[name].astype(column.dtype), column)
        assert read[name].dtype.isnative
        if name != "id":
            assert read[name].dtype == source.number_type(name)


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"csv", "csv.gz"}))
def test_single_precision_and_integers_keep_their_kind(form, tmp_path):
    source = open_source(write_table(make_columns(), tmp_path, form), features=())
    assert source.number_type("narrow") == np.float32
    assert source.number_type("wide") == np.float64
    assert source.number_type("whole") == np.int64


@pytest.mark.parametrize("form", FORMATS)
def test_text_ids_arrive_as_utf8(form, tmp_path):
    texts = np.array(["Gaia 1", "étoile", "x" * 64])
    if form.startswith("fits"):
        texts[1] = "etoile"  # FITS text is ASCII
    path = write_table({"name": texts, "a": np.arange(3.0)}, tmp_path, form)
    source = open_source(path, features=())
    assert source.id_kind("name") == "text"
    read = read_all(source, ("a", "name"), 2, id="name")
    assert [text.decode() for text in read["name"]] == texts.tolist()
    np.testing.assert_array_equal(read["a"], [0, 1, 2])


@pytest.mark.parametrize("form", FORMATS)
def test_text_is_refused_as_a_number(form, tmp_path):
    path = write_table({"name": np.array(["a", "b"])}, tmp_path, form)
    with pytest.raises(InvalidData, match="name"):
        open_source(path, features=()).number_type("name")


@pytest.mark.parametrize("form", ["parquet", "parquet folder", "fits", "npz", "structured npy"])
def test_a_floating_point_column_is_refused_as_id(form, tmp_path):
    path = write_table({"a": np.arange(9.0)}, tmp_path, form)
    with pytest.raises(InvalidData, match=r"id is integer or text"):
        open_source(path, features=()).id_kind("a")


@pytest.mark.parametrize("form", FORMATS)
def test_an_id_longer_than_64_bytes_is_refused_with_its_row(form, tmp_path):
    path = write_table({"name": np.array(["a", "b", "c", "d" * 65]), "a": np.arange(4.0)}, tmp_path, form)
    source = open_source(path, features=())
    with pytest.raises(InvalidData, match="longer than 64") as caught:
        read_all(source, ("name", "a"), 3, id="name")
    assert caught.value.column == "name"
    assert caught.value.row == 3


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.fits", "x.npy", "x.npz", "x.fits.gz"])
def test_a_file_that_is_not_what_its_suffix_says_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x00\xff\x01nonsense" * 20)
    with pytest.raises(InvalidData, match="x") as caught:
        read_all(open_source(path, features=("a",)), ("a",))
    assert not isinstance(caught.value, UnknownColumn)


def test_an_unknown_suffix_is_answered_with_the_known_formats(tmp_path):
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"")
    with pytest.raises(InvalidData, match=r"Parquet .* FITS .* CSV .* NumPy"):
        open_source(path, features=())
    with pytest.raises(InvalidData, match="does not exist"):
        open_source(tmp_path / "y.csv", features=())


def test_empty_sources_are_named_as_such(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"")
    with pytest.raises(EmptySource):
        open_source(tmp_path / "x.csv", features=())
    (tmp_path / "folder").mkdir()
    with pytest.raises(EmptySource):
        open_source(tmp_path / "folder", features=())


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    path = write_table(make_columns(), tmp_path, "csv")
    monkeypatch.setitem(sys.modules, "pyarrow.csv", None)
    with pytest.raises(MissingLibrary, match=r'pip install "dgmmis\[readers\]"'):
        open_source(path, features=())


def test_an_unknown_column_is_answered_with_similar_names():
    with pytest.raises(UnknownColumn, match=r"Similar: parallax, parallax_error") as caught:
        require_columns("x.csv", ["parallax", "parallax_error", "ra"], ["Paralax"])
    assert caught.value.column == "Paralax"


def test_columns_of_one_name_are_refused_only_when_wanted():
    require_columns("x.csv", ["a", "b", "b"], ["a"])
    with pytest.raises(InvalidData, match="2 columns named 'b'"):
        require_columns("x.csv", ["a", "b", "b"], ["b"])


def test_columns_in_memory_are_a_table():
    columns = make_columns()
    read = read_all(open_arrays(columns, features=()), tuple(columns), 4, id="id")
    for name, column in columns.items():
        np.testing.assert_array_equal(read[name], column)
