"""Reading of sources: files and arrays as batches of columns, never more than a few batches in memory."""

from dgmmis.readers.formats import is_matrix, is_table, open_arrays, open_source
from dgmmis.readers.source import ColumnBatch, Source, require_columns

__all__ = ["ColumnBatch", "Source", "is_matrix", "is_table", "open_arrays", "open_source", "require_columns"]
