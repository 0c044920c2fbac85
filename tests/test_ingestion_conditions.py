"""Conditions select rows, and can do nothing else."""

import numpy as np
import pytest

from dgmmis.errors import InvalidData, InvalidSetting, UnknownColumn
from dgmmis.ingestion import ingest
from dgmmis.ingestion.expressions import parse_expression

COLUMNS = {
    "a": np.array([1.0, np.nan, 3.0, 4.0]),
    "n": np.array([1, 2, 3, 2**60 + 1]),
    "flag": np.array([True, False, True, True]),
    "narrow": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
}


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("a > 1", [2, 3]),
        ("a <= 1e9", [0, 2, 3]),
        ("a == a", [0, 2, 3]),
        ("a != a", [1]),
        ("(a > 1) & (n < 10)", [2]),
        ("(a > 3) | (n == 2)", [1, 3]),
        ("~(n > 1)", [0]),
        ("n / 2 == 1.5", [2]),
        ("n == 1152921504606846977", [3]),
        ("flag & (n > 1)", [2, 3]),
        ("(n & 2) == 2", [1, 2]),
        ("sqrt(n) < 1.5", [0, 1]),
        ("narrow * 10 > 2.5", [2, 3]),
    ],
)
def test_a_condition_keeps_the_rows_that_meet_it(where, rows, tmp_path):
    catalog = ingest(COLUMNS, tmp_path / "x.zarr", features=["a"], where=where)
    assert sorted(catalog.read_ids(0)[1].tolist()) == rows
    assert catalog.schema.provenance["counts"]["excluded_by_where"] == 4 - len(rows)


@pytest.mark.parametrize(
    "where",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "a[0] > 1",
        "(lambda: a)()",
        "[a for a in b]",
        "a > 1 and n > 1",
        "1 < a < 3",
        "a if n else a",
        "a >",
        "a + 1",
        "1 < 2",
        "nosuch(a) > 1",
        "(a := 3) > 1",
        "f'{a}'",
        "a > 'x'",
        "a\x00 > 1",
        "",
    ],
)
def test_what_is_no_condition_is_refused_with_an_example(where, tmp_path):
    with pytest.raises(InvalidSetting, match=r"Example: .*parallax > 0"):
        ingest(COLUMNS, tmp_path / "x.zarr", features=["a"], where=where)
    assert not list(tmp_path.iterdir())


def test_unknown_columns_of_a_condition_are_named(tmp_path):
    with pytest.raises(UnknownColumn, match=r"'flags'\. Similar: flag"):
        ingest(COLUMNS, tmp_path / "x.zarr", features=["a"], where="flags & (a > 1)")


def test_text_is_not_compared(tmp_path):
    columns = {"name": np.array(["a", "b"]), "a": np.zeros(2)}
    for id in (None, "name"):
        with pytest.raises(InvalidData, match="'name' has type <U1, not one number per row"):
            ingest(columns, tmp_path / "x.zarr", features=["a"], where="name > 1", id=id)


def test_large_integer_ids_are_compared_exactly(tmp_path):
    (tmp_path / "x.csv").write_text("id,a\n1152921504606846976,1\n1152921504606846977,2\n")
    for where, kept in (("id == 1152921504606846977", [1]), ("id < 1152921504606846977", [0])):
        catalog = ingest(
            tmp_path / "x.csv", tmp_path / "x.zarr", features=["a"], id="id", where=where, overwrite=True
        )
        assert catalog.read_ids(0)[1].tolist() == kept


def test_functions_are_not_taken_for_columns():
    found = parse_expression("sqrt(a**2 + b**2) < arctan2(a, c)", "where", "")
    assert found.columns == ("a", "b", "c")
