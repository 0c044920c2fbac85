"""One table, written in every format that can be read."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from astropy.io import fits
from astropy.table import Table

FORMATS = ("csv", "csv.gz", "parquet", "parquet folder", "fits", "fits.gz", "npz", "structured npy")


def write_table(columns: dict, folder: Path, form: str, row_group: int = 7) -> Path:
    path = folder / f"table.{form.split()[-1]}"
    if form.startswith("csv"):
        _write_csv(columns, path)
    elif form == "parquet":
        pyarrow.parquet.write_table(_arrow(columns), path, row_group_size=row_group)
    elif form == "parquet folder":
        return _write_folder(columns, folder, row_group)
    elif form.startswith("fits"):
        Table(columns).write(path, overwrite=True)
    elif form == "npz":
        np.savez_compressed(path, **columns)
    else:
        path = folder / "table.npy"
        np.save(path, np.rec.fromarrays(list(columns.values()), names=list(columns)).view(np.ndarray))
    return path


def write_fits(path: Path, *columns: fits.Column) -> Path:
    fits.BinTableHDU.from_columns(list(columns)).writeto(path, overwrite=True)
    return path


def _arrow(columns: dict) -> pa.Table:
    return pa.table({name: pa.array(column, from_pandas=True) for name, column in columns.items()})


def _write_csv(columns: dict, path: Path) -> None:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    pyarrow.csv.write_csv(_arrow(columns), plain)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))


def _write_folder(columns: dict, folder: Path, row_group: int) -> Path:
    """Three files of unequal length, one of them in a folder below; and one that is not to be read."""
    whole = _arrow(columns)
    cuts = [0, whole.num_rows // 5, whole.num_rows // 2, whole.num_rows]
    parts = folder / "parts"
    (parts / "b").mkdir(parents=True, exist_ok=True)
    for name, first, last in zip(("a.parquet", "b/x.parquet", "c.parquet"), cuts, cuts[1:], strict=False):
        part = whole.slice(first, last - first)
        pyarrow.parquet.write_table(part, parts / name, row_group_size=row_group)
    (parts / "_metadata.parquet").write_bytes(b"bookkeeping")
    return parts
