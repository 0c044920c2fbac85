"""What would be wrong without a word is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dgmmis
from dgmmis.errors import InvalidData, InvalidSetting, UnitMismatch


def test_files_of_one_folder_in_different_units_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    for name, unit in (("a", "deg"), ("b", "mas")):
        field = pa.field("ra", pa.float64(), metadata={"unit": unit})
        pq.write_table(
            pa.table({"ra": np.ones(5)}, schema=pa.schema([field])), tmp_path / "table" / f"{name}.parquet"
        )
    with pytest.raises(UnitMismatch, match=r"'mas' in b\.parquet and in 'deg'"):
        dgmmis.ingest(tmp_path / "table", tmp_path / "x.zarr", features=["ra"])
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.parametrize("where", ["9**9**9**9>a", "a>10**10**8", "a>2**3"])
def test_a_power_of_bare_numbers_is_refused_before_it_is_computed(tmp_path: Path, where: str) -> None:
    with pytest.raises(InvalidSetting, match="power"):
        dgmmis.ingest({"a": np.ones(5)}, tmp_path / "x.zarr", features=["a"], where=where)


def test_a_misspelt_array_of_an_npz_is_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", values=np.ones((5, 2)), nois=np.ones((5, 2)))
    with pytest.raises(InvalidData, match="nois"):
        dgmmis.ingest(tmp_path / "t.npz", tmp_path / "x.zarr", features=["a", "b"])


def test_a_mixture_is_no_model_and_a_number_no_start(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(200, 2))
    result = dgmmis.fit(values, n_components=1)
    with pytest.raises(InvalidSetting, match="initial is a int; expected a Mixture, Population or Model"):
        dgmmis.fit(values, n_components=1, initial=1)
    dgmmis.ingest(values, tmp_path / "x.zarr", features=["x0", "x1"])
    with pytest.raises(InvalidSetting, match=r"result\.model"):
        dgmmis.apply(result.mixture, tmp_path / "x.zarr", tmp_path / "out.zarr")
    dgmmis.apply(result.model, tmp_path / "x.zarr", tmp_path / "out.zarr")


def test_a_csv_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"a,b\xe9\n1,2\n3,4\n")
    with pytest.raises(InvalidData, match="UTF-8"):
        dgmmis.ingest(tmp_path / "latin.csv", tmp_path / "x.zarr", features=["a"])
