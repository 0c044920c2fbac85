"""Products as a Zarr group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from dgmmis.disk_faults import naming_faults
from dgmmis.model import Model
from dgmmis.packed import lower_indices, packed_size
from dgmmis.products.chunk_rows import ChunkRows
from dgmmis.store import Catalog
from dgmmis.store.parts import prefix_of

__all__ = ["create_arrays", "write_zarr"]

TEXT_BYTES = 64


def create_arrays(folder: Path, model: Model, catalog: Catalog, top: int) -> None:
    """Create the arrays that `write_zarr` fills, on the catalogue's chunks: appended rows in their own groups."""
    d = model.mixture.n_features
    is_text = catalog.schema.id_kind == "text"
    layout: dict[str, tuple[tuple[int, ...], str]] = {
        "row_id": ((TEXT_BYTES,), "|u1") if is_text else ((), "<i8"),
        "source_row": ((), "<i8"),
        "log_density": ((), "<f8"),
        "component": ((top,), "<i4"),
        "responsibility": ((top,), "<f8"),
        "posterior_mean": ((d,), "<f8"),
        "posterior_covariance": ((packed_size(d),), "<f8"),
    }
    if model.backgrounds:
        layout["background_probability"] = ((), "<f8")
    group = zarr.create_group(folder, zarr_format=3, overwrite=True)
    for part, n_rows in enumerate(catalog.part_rows):
        for name, (columns, dtype) in layout.items():
            group.create_array(
                prefix_of(part) + name,
                shape=(n_rows, *columns),
                chunks=(catalog.chunk_rows, *columns),
                dtype=dtype,
                compressors=[BloscCodec(cname="lz4", shuffle="shuffle"), Crc32cCodec()],
            )
    entries = zip(*lower_indices(d), strict=True)
    group.attrs.update(
        {
            "features": list(model.features),
            "units": list(model.units),
            "covariance_entries": [[model.features[i], model.features[j]] for i, j in entries],
            "row_id_is_text": is_text,
            "catalog_fingerprint": catalog.fingerprint,
            "part_rows": list(catalog.part_rows),
        }
    )


def write_zarr(rows: ChunkRows, folder: str, place: tuple[int, int, int]) -> None:
    """Write one chunk's rows to their place, as `Catalog.part_range` gives it."""
    group = zarr.open_group(folder, mode="r+")
    columns = {
        "row_id": rows.ids if rows.ids.dtype.kind == "i" else _text_bytes(rows.ids),
        "source_row": rows.source_rows,
        "log_density": rows.posterior.log_density,
        "component": rows.posterior.components,
        "responsibility": rows.posterior.responsibilities,
        "posterior_mean": rows.posterior.means,
        "posterior_covariance": rows.posterior.covariances,
    }
    if rows.posterior.background_probability is not None:
        columns["background_probability"] = rows.posterior.background_probability
    part, first, end = place
    with naming_faults(Path(folder)):
        for name, column in columns.items():
            array = group[prefix_of(part) + name]
            assert isinstance(array, zarr.Array)
            array[first:end] = column


def _text_bytes(texts: NDArray[Any]) -> NDArray[np.uint8]:
    encoded = np.char.encode(texts.astype(str), "utf-8").astype(f"S{TEXT_BYTES}")
    return encoded.view(np.uint8).reshape(len(texts), TEXT_BYTES)
