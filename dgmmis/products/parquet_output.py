"""Products as a folder of Parquet files, one per chunk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dgmmis.disk_faults import naming_faults
from dgmmis.errors import InvalidSetting, MissingLibrary
from dgmmis.packed import lower_indices
from dgmmis.products.chunk_rows import ChunkRows

__all__ = ["require_parquet", "write_parquet"]


def require_parquet(features: tuple[str, ...]) -> None:
    """Raise `MissingLibrary` without pyarrow, `InvalidSetting` if two columns would have one name."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingLibrary(
            'Parquet needs pyarrow: pip install "dgmmis[readers]", or write Zarr.'
        ) from error
    names = [_covariance_name(features, i, j) for i, j in zip(*lower_indices(len(features)), strict=True)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidSetting(
            f"the names of these features make two columns called {twice[0]}. Write Zarr, which numbers them."
        )


def _covariance_name(features: tuple[str, ...], i: int, j: int) -> str:
    return f"posterior_covariance_{features[i]}_{features[j]}"


def write_parquet(rows: ChunkRows, features: tuple[str, ...], path: Path) -> None:
    """Write one chunk's rows to `path`, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    posterior = rows.posterior
    columns: dict[str, NDArray[Any]] = {
        "row_id": rows.ids,
        "source_row": rows.source_rows,
        "log_density": posterior.log_density,
    }
    if posterior.background_probability is not None:
        columns["background_probability"] = posterior.background_probability
    for rank in range(posterior.components.shape[1]):
        columns[f"component_{rank + 1}"] = posterior.components[:, rank]
        columns[f"responsibility_{rank + 1}"] = posterior.responsibilities[:, rank]
    for j, name in enumerate(features):
        columns[f"posterior_mean_{name}"] = posterior.means[:, j]
    for entry, (i, j) in enumerate(zip(*lower_indices(len(features)), strict=True)):
        columns[_covariance_name(features, i, j)] = posterior.covariances[:, entry]
    writing = path.with_suffix(f".writing-{os.getpid()}")
    with naming_faults(path):
        pq.write_table(pa.table(columns), writing)
        writing.replace(path)
