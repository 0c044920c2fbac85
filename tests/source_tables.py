"""One table, written in every format that can be read."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from astropy.io import fits
from astropy.table import Table

FORMATS = (
    "csv", "csv.gz", "parquet", "parquet folder", "hats folder", "fits", "fits.gz", "npz", "structured npy",
    "compound h5", "group h5",
)  # fmt: skip


def write_table(columns: dict, folder: Path, form: str, row_group: int = 7) -> Path:
    path = folder / f"table.{form.split()[-1]}"
    if form.startswith("csv"):
        _write_csv(columns, path)
    elif form == "parquet":
        pyarrow.parquet.write_table(_arrow(columns), path, row_group_size=row_group)
    elif form == "parquet folder":
        return _write_folder(columns, folder, row_group)
    elif form == "hats folder":
        return write_hats(columns, folder / "sky", row_group)
    elif form.endswith("h5"):
        write_hdf5(columns, path, form, row_group)
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


def write_hdf5(columns: dict, path: Path, form: str, chunk_rows: int = 7) -> None:
    stored = {
        name: np.char.encode(column, "utf-8") if column.dtype.kind == "U" else column
        for name, column in columns.items()
    }
    chunks = (min(chunk_rows, len(next(iter(stored.values())))),)
    with h5py.File(path, "w") as file:
        if form == "compound h5":
            rows = np.rec.fromarrays(list(stored.values()), names=list(stored)).view(np.ndarray)
            file.create_dataset("deep/table", data=rows, chunks=chunks, compression="gzip")
        else:
            for name, column in stored.items():
                file.create_dataset(f"deep/{name}", data=column, chunks=chunks, track_order=True)


PIXELS = ((1, 3), (0, 2), (2, 190))
"""(order, pixel), in the order of the sky."""


def write_hats(columns: dict, folder: Path, row_group: int = 7) -> Path:
    """Write a collection as its standard has it: a catalogue of three partitions, a margin that repeats rows."""
    whole = _arrow(columns)
    cuts = [0, whole.num_rows // 3, whole.num_rows // 2, whole.num_rows]
    for name, kind in (("main", "object"), ("main_margin", "margin")):
        for (order, pixel), first, last in zip(PIXELS, cuts, cuts[1:], strict=False):
            place = folder / name / f"dataset/Norder={order}/Dir=0"
            place.mkdir(parents=True, exist_ok=True)
            part = whole.slice(first, last - first)
            pyarrow.parquet.write_table(part, place / f"Npix={pixel}.parquet", row_group_size=row_group)
        listed = "".join(f"{order},{pixel}\n" for order, pixel in reversed(PIXELS))
        (folder / name / "partition_info.csv").write_text("Norder,Npix\n" + listed)
        text = f"#HATS catalog\nobs_collection={name}\ndataproduct_type={kind}\nhats_nrows={whole.num_rows}\n"
        text += "hats_npix_suffix=.parquet\nhats_primary_table_url=main\n"
        (folder / name / "hats.properties").write_text(text)
        pyarrow.parquet.write_table(whole.slice(0, 2), folder / name / "dataset/data_thumbnail.parquet")
    (folder / "collection.properties").write_text("#HATS Collection\nhats_primary_table_url=main\n")
    return folder


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
