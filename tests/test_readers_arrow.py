"""Parquet and CSV: gaps, units, rows that cannot be read."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dgmmis.errors import EmptySource, InvalidData, UnknownColumn
from dgmmis.readers import open_source


def write(path, table):
    pyarrow.parquet.write_table(table, path)
    return path


def read(path, *columns, id=None, batch_rows=2):
    parts = [batch.columns for batch in open_source(path, features=()).batches(columns, batch_rows, id=id)]
    return [np.concatenate([part[name] for part in parts]) for name in columns]


def test_integers_with_gaps_arrive_as_floats_in_every_batch(tmp_path):
    table = pa.table({"n": pa.array([1, 2, 3, 4, None]), "m": pa.array([1, 2, 3, 4, 5], pa.int16())})
    path = write(tmp_path / "x.parquet", table)
    batches = list(open_source(path, features=()).batches(("n", "m"), 2))
    assert {batch.columns["n"].dtype for batch in batches} == {np.dtype(float)}
    assert {batch.columns["m"].dtype for batch in batches} == {np.dtype(np.int64)}
    np.testing.assert_array_equal(read(path, "n")[0], [1, 2, 3, 4, np.nan])


def test_kinds_of_number_that_numpy_lacks_are_read(tmp_path):
    table = pa.table({
        "flag": pa.array([True, None, False]),
        "price": pa.array([Decimal("1.25"), Decimal(2), None]),
        "nothing": pa.nulls(3),
        "half": pa.array(np.array([1, 2, 3], np.float16)),
    })  # fmt: skip
    flag, price, nothing, half = read(
        write(tmp_path / "x.parquet", table), "flag", "price", "nothing", "half"
    )
    assert flag.tolist() == [True, False, False]
    np.testing.assert_array_equal(price, [1.25, 2, np.nan])
    assert np.isnan(nothing).all()
    assert half.dtype == np.float32


def test_units_come_from_the_metadata_of_fields(tmp_path):
    schema = pa.schema([pa.field("a", pa.float64(), metadata={"unit": "mas"}), pa.field("b", pa.float64())])
    path = write(tmp_path / "x.parquet", pa.table({"a": [1.0], "b": [2.0]}, schema=schema))
    assert dict(open_source(path, features=()).units) == {"a": "mas"}


def test_a_row_without_an_id_is_named(tmp_path):
    path = write(tmp_path / "x.parquet", pa.table({"id": pa.array([1, 2, 3, None, 5])}))
    with pytest.raises(InvalidData, match="row 3: no id in column 'id'") as caught:
        read(path, "id", id="id")
    assert caught.value.row == 3
    (tmp_path / "x.csv").write_text("id,a\ns1,1\n,2\n")
    with pytest.raises(InvalidData, match="row 1: no id"):
        read(tmp_path / "x.csv", "id", id="id")


def test_categories_serve_as_text_ids(tmp_path):
    path = write(tmp_path / "x.parquet", pa.table({"id": pa.array(["a", "b", "a"]).dictionary_encode()}))
    assert read(path, "id", id="id")[0].tolist() == [b"a", b"b", b"a"]


def test_files_of_a_folder_need_the_same_columns_and_share_the_widest_type(tmp_path):
    write(tmp_path / "1.parquet", pa.table({"a": pa.array([1.0], pa.float32()), "b": [1]}))
    write(tmp_path / "2.parquet", pa.table({"a": pa.array([2.0], pa.float64())}))
    (a,) = read(tmp_path, "a")
    assert a.dtype == np.float64
    with pytest.raises(UnknownColumn, match=r"2\.parquet has no column 'b'"):
        read(tmp_path, "b")


def test_csv_knows_the_usual_spellings_of_missing(tmp_path):
    spellings = ["", "NaN", "nan", "null", "NULL", "N/A", "--"]
    (tmp_path / "x.csv").write_text("a,b\n" + "\n".join(f"{text},1" for text in [*spellings, "2.5"]) + "\n")
    (a,) = read(tmp_path / "x.csv", "a")
    np.testing.assert_array_equal(a, [np.nan] * len(spellings) + [2.5])


def test_csv_names_the_row_and_column_it_cannot_read(tmp_path):
    # An odd value among the first is enough for the column to be taken as text.
    rows = [f"x{i},{i},{i}.5" for i in range(50)]
    rows[37] = "x37,37,oops"
    (tmp_path / "x.csv").write_text("name,n,a\n" + "\n".join(rows) + "\n")
    with pytest.raises(InvalidData, match="'a'") as caught:
        read(tmp_path / "x.csv", "a")
    assert (caught.value.row, caught.value.column, caught.value.value) == (37, "a", "oops")


def test_csv_ids_are_never_rounded(tmp_path):
    (tmp_path / "x.csv").write_text("id\n9223372036854775807\n-1\n")
    assert read(tmp_path / "x.csv", "id", id="id")[0].tolist() == [2**63 - 1, -1]
    (tmp_path / "y.csv").write_text("id\n9223372036854775808\n1\n")
    assert read(tmp_path / "y.csv", "id", id="id")[0].tolist() == [b"9223372036854775808", b"1"]


def test_csv_flags_and_whole_numbers_that_turn_fractional_are_read(tmp_path):
    # The fraction comes after the block from which types are guessed.
    head = "1,true\n" * 700_000
    (tmp_path / "x.csv").write_text("a,flag\n" + head + "2.5,false\n")
    a, flag = read(tmp_path / "x.csv", "a", "flag", batch_rows=200_000)
    assert a[-1] == 2.5
    assert flag.sum() == 700_000


def test_csv_names_the_row_of_a_value_that_breaks_the_guessed_type(tmp_path):
    (tmp_path / "x.csv").write_text("n,a\n" + "1,2\n" * 1_500_000 + "1,oops\n")
    with pytest.raises(InvalidData, match="oops") as caught:
        read(tmp_path / "x.csv", "a", batch_rows=500_000)
    assert (caught.value.row, caught.value.column) == (1_500_000, "a")


def test_a_table_without_rows_is_an_empty_batch_or_none(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n")
    path = write(tmp_path / "x.parquet", pa.table({"a": pa.array([], pa.float64())}))
    for source in (open_source(tmp_path / "x.csv", features=()), open_source(path, features=())):
        assert sum(len(batch) for batch in source.batches(("a",), 10)) == 0
    (tmp_path / "y.csv").write_text("")
    with pytest.raises(EmptySource):
        open_source(tmp_path / "y.csv", features=())
