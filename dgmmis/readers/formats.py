"""From what a caller names as source to the reader of its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from dgmmis.errors import InvalidData
from dgmmis.noise import Noise, NoiseLike
from dgmmis.places import local_path
from dgmmis.readers.array_sources import ArrayTable, MatrixSource
from dgmmis.readers.csv_files import CsvSource
from dgmmis.readers.data_frames import open_frame
from dgmmis.readers.fits_tables import FITS_SUFFIXES, FitsSource
from dgmmis.readers.hats_catalogs import is_hats, open_hats
from dgmmis.readers.hdf5_files import HDF5_SUFFIXES, Hdf5Source, split_node
from dgmmis.readers.labelled_arrays import open_labelled
from dgmmis.readers.lazy_arrays import DaskArray, is_a, row_array
from dgmmis.readers.parquet_files import PARQUET_SUFFIXES, ParquetSource
from dgmmis.readers.row_arrays import MemoryArray, RowArray, StoredArray, npz_members
from dgmmis.readers.source import Source

__all__ = ["is_matrix", "is_table", "open_arrays", "open_source"]

CSV_SUFFIXES = (".csv", ".csv.gz")

KINDS = (
    ("dask.array", "Array"),
    ("dask.dataframe", "DataFrame"),
    ("pandas", "DataFrame"),
    ("lsdb.catalog.dataset.healpix_dataset", "HealpixDataset"),
    ("astropy.table", "Table"),
    ("xarray", "Dataset"),
    ("xarray", "DataArray"),
)
"""Modules and classes of tables that are no files; none of them is imported here."""

FORMATS = (
    f"Parquet ({', '.join(PARQUET_SUFFIXES)}, or a folder of such files), FITS ({', '.join(FITS_SUFFIXES)}), "
    f"CSV ({', '.join(CSV_SUFFIXES)}), HDF5 ({', '.join(HDF5_SUFFIXES)}), NumPy (.npy, .npz), HATS (a folder)"
)


def open_source(path: Path | str, *, features: Sequence[str], wanted: Sequence[str] = ()) -> Source:
    """Open a file or folder by its suffix.

    Parameters
    ----------
    path : path
    features : sequence of str
        Names of the columns of a matrix, which has none of its own.
    wanted : sequence of str
        Columns by which one of several tables of a FITS or HDF5 file is chosen.

    Raises
    ------
    InvalidData
        If there is no such file, or its format is not known or not what the suffix says.
    EmptySource
        If nothing is in it.
    """
    file, node = split_node(str(path))
    path = local_path(file)
    if not path.exists():
        raise InvalidData(
            f"source {path} does not exist. Give the path of a file, or of a folder of Parquet files.",
            array=str(path),
        )
    if path.is_dir():
        return open_hats(path) if is_hats(path) else ParquetSource(path)
    return _open_file(path, node, features, wanted)


def _open_file(path: Path, node: str, features: Sequence[str], wanted: Sequence[str]) -> Source:
    name = path.name.lower()
    if name.endswith(PARQUET_SUFFIXES):
        return ParquetSource(path)
    if name.endswith(HDF5_SUFFIXES):
        return Hdf5Source(path, wanted, node)
    if name.endswith(FITS_SUFFIXES):
        return FitsSource(path, wanted)
    if name.endswith(CSV_SUFFIXES):
        return CsvSource(path)
    if name.endswith(".npy"):
        return _array_source(path.name, StoredArray(path.name, partial(_open_bytes, path)), features)
    if name.endswith(".npz"):
        return _npz_source(path, features)
    raise InvalidData(f"{path.name} has no known format. Known are {FORMATS}.", array=path.name)


def is_table(source: object) -> bool:
    """Tell whether something is neither a path nor an array but what `open_arrays` opens all the same."""
    return isinstance(source, np.ndarray | Mapping) or any(is_a(source, *kind) for kind in KINDS)


def is_matrix(source: object) -> bool:
    """Tell whether something is a matrix of values, with which noise can be given."""
    is_array = isinstance(source, np.ndarray) or is_a(source, "dask.array", "Array")
    return is_array and source.ndim == 2  # type: ignore[attr-defined]


def open_arrays(source: Any, *, features: Sequence[str], noise: NoiseLike = None) -> Source:
    """Open what is in memory, or is computed a part at a time.

    Parameters
    ----------
    source : array, mapping of arrays, table or data frame
        A matrix (N, D); a structured array (N,); a mapping of str to (N,); arrays may be Dask arrays.  A data frame of
        pandas or Dask, an LSDB catalogue, a Table of astropy, a Dataset or DataArray of xarray.
    features : sequence of D str
        Names of the columns of a matrix.
    noise : Noise or array, optional
        Of a matrix; shapes as in `Noise.of`.  It may be a Dask array.

    Raises
    ------
    InvalidData
        If shapes do not fit.
    """
    opened = open_labelled(source, features) or open_frame(source)
    if opened is not None:
        return opened
    if isinstance(source, Mapping):
        arrays = {name: row_array(f"array '{name}'", array) for name, array in source.items()}
        return ArrayTable("arrays", arrays)
    rows = row_array("array", source)
    if len(rows.shape) != 2 or noise is None:
        return _array_source("array", rows, features)
    if is_a(noise, "dask.array", "Array"):
        stored = DaskArray("noise", noise)
        _require_noise_shape("array", stored.shape, *rows.shape)
        if stored.shape[0] == rows.shape[0]:
            return MatrixSource("array", features, rows, noise=stored)
        noise = noise.compute()  # type: ignore[union-attr]
    given = Noise.of(noise, *rows.shape)
    if given.kind in ("none", "shared"):
        return MatrixSource("array", features, rows, shared_noise=given.array)
    assert given.array is not None
    return MatrixSource("array", features, rows, noise=MemoryArray(given.array))


def _open_bytes(path: Path) -> IO[bytes]:
    return path.open("rb")


def _array_source(name: str, array: RowArray, features: Sequence[str]) -> Source:
    if array.dtype.names:
        return ArrayTable(name, {}, fields_of=array)
    return MatrixSource(name, features, array)


def _npz_source(path: Path, features: Sequence[str]) -> Source:
    members: dict[str, Any] = dict(npz_members(path))
    if "values" not in members or len(members["values"].shape) != 2:
        return ArrayTable(path.name, members)
    values, noise = members.pop("values"), members.pop("noise", None)
    beside: dict[str, RowArray] = {}
    for name in ("weights", "row_id"):
        if name in members:
            beside[name] = members.pop(name)
    if members:
        raise InvalidData(
            f"{path.name} has arrays {', '.join(sorted(members))} beside 'values'; only noise, weights and row_id are "
            "read there. Rename or remove them.",
            array=path.name,
            column=min(members),
        )
    if noise is None:
        return MatrixSource(path.name, features, values, beside=beside)
    n_rows, n_features = values.shape
    _require_noise_shape(path.name, noise.shape, n_rows, n_features)
    if noise.shape == (n_features, n_features):
        (matrix,) = noise.rows(n_features)
        shared = Noise.shared(matrix).array
        return MatrixSource(path.name, features, values, shared_noise=shared, beside=beside)
    return MatrixSource(path.name, features, values, noise=noise, beside=beside)


def _require_noise_shape(name: str, shape: tuple[int, ...], n_rows: int, n_features: int) -> None:
    readings = [(n_features, n_features), (n_rows, n_features), (n_rows, n_features, n_features)]
    if readings.count(shape) == 1:
        return
    if shape in readings:
        raise InvalidData(
            f"{name}: noise of shape {shape} is ambiguous for {n_rows} rows: one covariance for all rows, or "
            "variances row by row? Give covariances (N, D, D).",
            array="noise",
        )
    raise InvalidData(
        f"{name}: noise has shape {shape}; expected {readings[0]} for one covariance shared by all rows, "
        f"{readings[1]} for variances row by row, or {readings[2]} for covariances row by row.",
        array="noise",
    )
