"""Appending a table is ingesting both tables as one; what does not fit together is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import dgmmis
from dgmmis.cli.application import application
from dgmmis.errors import (
    EmptySource,
    InvalidData,
    InvalidSetting,
    TooManyQuarantined,
    UnitMismatch,
    UnknownColumn,
)
from grown_catalogs import assert_same_columns, assert_same_pilot, files_of
from source_tables import write_table
from stored_sources import make_source, write

SETTINGS = {
    "features": ["a", "color"],
    "derive": ["color=b-c"],
    "error": ["{}_error", "c=0.02"],
    "jitter": {"a": 0.1},
    "where": "a > -1",
    "weights": "weight",
}


def table(n_rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=n_rows) for name in "abc"}
    columns |= {f"{name}_error": rng.uniform(0.1, 0.5, n_rows) for name in "ab"}
    columns["b"][rng.random(n_rows) < 0.2] = np.nan
    columns["a_error"][4::9] = -1.0  # cannot be used
    columns["name"] = rng.permutation(n_rows) * 7 + 10**12
    columns["weight"] = rng.uniform(0.5, 1.0, n_rows)
    return columns


def part(columns: dict[str, np.ndarray], *span: int) -> dict[str, np.ndarray]:
    return {name: column[slice(*span)] for name, column in columns.items()}


@pytest.mark.parametrize("ids", [None, "name"])
@pytest.mark.parametrize(("form", "order"), [("csv", "chunk"), ("parquet", "catalog"), ("npz", "chunk")])
def test_appending_a_table_is_ingesting_both_tables_as_one(
    form: str, order: str, ids: str | None, tmp_path: Path
):
    columns = table(200)
    settings = {**SETTINGS, "id": ids, "order": order, "chunk_rows": 30}
    whole = dgmmis.ingest(columns, tmp_path / "whole", **settings)
    parts = []
    for number, span in enumerate([(0, 120), (120, 180), (180, 200)]):
        (tmp_path / str(number)).mkdir()
        parts.append(write_table(part(columns, *span), tmp_path / str(number), form))
    dgmmis.ingest(parts[0], tmp_path / "c", **settings)
    dgmmis.append(tmp_path / "c", parts[1])
    grown = dgmmis.append(str(tmp_path / "c"), parts[2])
    assert_same_columns(grown, whole)
    assert_same_pilot(grown, whole)
    assert grown.quarantined() == whole.quarantined()
    assert grown.n_quarantined == 22 - sum(columns["a"][4::9] <= -1) > 0
    ours, theirs = grown.describe(), whole.describe()
    for name in ("rows", "features", "patterns", "noise", "quarantined", "pilot_rows", "order"):
        assert ours[name] == theirs[name]
    origin = ours["provenance"]
    assert origin["source"] == str(parts[0])
    assert [added["source"] for added in origin["appended"]] == [str(path) for path in parts[1:]]
    assert [added["counts"]["read"] for added in origin["appended"]] == [60, 20]
    assert origin["options"] == theirs["provenance"]["options"]


def test_a_matrix_brings_its_noise_along_again(tmp_path):
    rng = np.random.default_rng(1)
    values, noise = rng.normal(size=(60, 2)), rng.uniform(0.1, 1, (60, 2))
    whole = dgmmis.ingest(values, tmp_path / "whole", features=["a", "b"], noise=noise, chunk_rows=20)
    catalog = dgmmis.ingest(values[:40], tmp_path / "c", features=["a", "b"], noise=noise[:40], chunk_rows=20)
    assert_same_columns(dgmmis.append(catalog, values[40:], noise=noise[40:]), whole)
    before = files_of(tmp_path / "c")
    for wrong in (None, np.eye(2), np.broadcast_to(np.eye(2), (60, 2, 2))):
        with pytest.raises(InvalidData, match="noise of array"):
            dgmmis.append(catalog, values, noise=wrong)
    shared = dgmmis.ingest(values, tmp_path / "shared", features=["a", "b"], noise=np.eye(2))
    with pytest.raises(InvalidData, match="shared covariance"):
        dgmmis.append(shared, values, noise=2 * np.eye(2))
    assert dgmmis.append(shared, values, noise=np.eye(2)).n_rows == 120
    assert files_of(tmp_path / "c") == before


def test_a_small_first_source_does_not_make_all_chunks_small(tmp_path):
    catalog = dgmmis.ingest(np.zeros((3, 1)), tmp_path / "c", features=["a"], chunk_rows=50)
    grown = dgmmis.append(catalog, np.zeros((120, 1)))
    assert [grown.row_range(chunk) for chunk in range(grown.n_chunks)] == [
        (0, 3),
        (3, 53),
        (53, 103),
        (103, 123),
    ]


def parquet(path: Path, columns: dict[str, np.ndarray], **units: str) -> Path:
    fields = [
        pa.field(name, pa.array(column).type, metadata={"unit": units[name]} if name in units else None)
        for name, column in columns.items()
    ]
    pq.write_table(pa.table({n: pa.array(c) for n, c in columns.items()}, schema=pa.schema(fields)), path)
    return path


def test_units_are_compared_and_errors_brought_to_the_catalogs_unit(tmp_path):
    columns = {"a": np.arange(8.0), "a_error": np.full(8, 2.0)}
    options = {"features": ["a"], "error": ["{}_error"]}
    catalog = dgmmis.ingest(
        parquet(tmp_path / "0.parquet", columns, a="mas/yr", a_error="mas / yr"), tmp_path / "c", **options
    )
    with pytest.raises(UnitMismatch, match=r"'a' is in deg / yr .* and in mas/yr"):
        dgmmis.append(catalog, parquet(tmp_path / "1.parquet", columns, a="deg / yr", a_error="deg / yr"))
    with pytest.raises(UnitMismatch, match="'a' is in wombat"):
        dgmmis.append(catalog, parquet(tmp_path / "2.parquet", columns, a="wombat"))
    spelt = parquet(tmp_path / "3.parquet", columns, a="mas / yr", a_error="uas / yr")
    assert dgmmis.append(catalog, spelt).n_rows == 16  # spelt otherwise, and its errors converted
    silent = parquet(tmp_path / "4.parquet", columns, a_error="uas / yr")
    grown = dgmmis.append(catalog, silent)
    declared = dgmmis.append(catalog, tmp_path / "2.parquet", units={"a": "mas/yr"})
    errors = [np.sqrt(declared.read_rows(chunk).noise.array[0, 0]) for chunk in range(4)]
    assert errors == pytest.approx([2, 0.002, 0.002, 2])
    notes = grown.describe()["provenance"]["appended"][-1]["notes"]
    assert notes == ["unit of 'a' unknown, taken as mas/yr, as in the catalogue"]
    assert declared.describe()["provenance"]["appended"][-1]["units"] == {"a": "mas/yr"}
    nameless = dgmmis.ingest(np.zeros((3, 1)), tmp_path / "n", features=["a"])
    notes = dgmmis.append(nameless, spelt).describe()["provenance"]["appended"][0]["notes"]
    assert notes == ["unit of 'a' unknown in the catalogue, taken as that of the source"]


COLUMNS = {name: table(20)[name] for name in ("a", "a_error", "name", "weight")}
REFUSED = {
    "no such column": ({"a_error": None}, UnknownColumn, "a_error"),
    "ids of another kind": ({"name": np.array(list("abcdefghijklmnopqrst"))}, InvalidData, "ids of arrays: text"),
    "no id": ({"name": None}, UnknownColumn, "name"),
    "double precision": ({"a": COLUMNS["a"]}, InvalidData, "values of arrays are in double precision"),
    "double precision of errors": ({"a_error": COLUMNS["a_error"]}, InvalidData, "noise of arrays are in double"),
    "no row": ({name: COLUMNS[name][:0].astype(np.float32) for name in COLUMNS if name != "name"}
               | {"name": np.arange(0)}, EmptySource, "no rows"),
    "too many bad rows": ({"a": np.full(20, np.inf, np.float32)}, TooManyQuarantined, "row 0 "),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_rows_of_another_kind_are_refused_and_nothing_changes(what: str, tmp_path: Path):
    change, error, message = REFUSED[what]
    single = {**COLUMNS, **{name: COLUMNS[name].astype(np.float32) for name in ("a", "a_error")}}
    catalog = dgmmis.ingest(single, tmp_path / "c", features=["a"], error=["{}_error"], id="name")
    before = files_of(tmp_path / "c")
    asked = {name: column for name, column in {**single, **change}.items() if column is not None}
    with pytest.raises(error, match=message):
        dgmmis.append(catalog, asked, max_quarantined=0)
    assert files_of(tmp_path / "c") == before


def test_wider_catalogs_take_single_precision(tmp_path):
    catalog = dgmmis.ingest(np.ones((5, 2)), tmp_path / "c", features=["a", "b"])
    assert dgmmis.append(catalog, np.ones((5, 2), np.float32)).n_rows == 10


def test_a_catalog_without_the_settings_of_an_ingest_is_refused(tmp_path):
    schema, rows = make_source(1, 10, 2)
    with pytest.raises(InvalidSetting, match="does not keep the settings"):
        dgmmis.append(write(tmp_path / "c", schema, rows), np.ones((3, 2)))


def test_the_command_line_appends_and_tells_of_it(tmp_path):
    columns = table(100)
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder, span in ((first, (0, 70)), (second, (70, 100))):
        folder.mkdir()
        write_table(part(columns, *span), folder, "csv")
    dgmmis.ingest(first / "table.csv", tmp_path / "c", **{**SETTINGS, "where": None}, chunk_rows=40)
    command = CliRunner()
    done = command.invoke(application, ["append", str(tmp_path / "c"), str(second / "table.csv")])
    assert done.exit_code == 0, done.output
    assert "27 rows appended to" in done.output
    assert "3 quarantined; now 89 rows in 3 chunks" in done.output
    told = command.invoke(application, ["describe", str(tmp_path / "c")]).output
    assert "3 of at most 40 rows" in told
    assert "parts        62, 27 rows" in told
    as_json = command.invoke(application, ["append", str(tmp_path / "c"), str(first / "table.csv"), "--json"])
    assert json.loads(as_json.output)["rows"] == 89 + 62
    refused = command.invoke(
        application, ["append", str(tmp_path / "c"), str(second / "table.csv"), "--max-quarantined", "2"]
    )
    assert isinstance(refused.exception, TooManyQuarantined)
    assert "row 6 (id 176)" in str(refused.exception)
