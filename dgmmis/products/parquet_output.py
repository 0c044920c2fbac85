"""Products as a folder of Parquet files, one per chunk."""

from __future__ import annotations

import os
from pathlib import Path

from dgmmis.disk_faults import naming_faults
from dgmmis.errors import MissingLibrary
from dgmmis.model import Model
from dgmmis.products.chunk_rows import ChunkRows
from dgmmis.products.posterior_columns import column_units, posterior_columns, require_distinct_names

__all__ = ["require_parquet", "write_parquet"]


def require_parquet(features: tuple[str, ...]) -> None:
    """Raise `MissingLibrary` without pyarrow, `InvalidSetting` if two columns would have one name."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingLibrary(
            'Parquet needs pyarrow: pip install "dgmmis[readers]", or write Zarr.'
        ) from error
    require_distinct_names(features)


def write_parquet(rows: ChunkRows, model: Model, path: Path) -> None:
    """Write one chunk's rows to `path`, whole or not at all; units are those fields' metadata key "unit"."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"row_id": rows.ids, "source_row": rows.source_rows}
    columns |= posterior_columns(rows.posterior, model.features)
    units = column_units(model.features, model.units)
    table = pa.table(columns)
    fields = [
        field.with_metadata({"unit": units[field.name]}) if field.name in units else field
        for field in table.schema
    ]
    writing = path.with_suffix(f".writing-{os.getpid()}")
    with naming_faults(path):
        pq.write_table(table.cast(pa.schema(fields)), writing)
        writing.replace(path)
