"""Models as files of this program and of others: pyGMMis, XDGMM, FITS tables, scikit-learn's arrays."""

from dgmmis.model_formats.exporting import FORMATS, export_model, format_of
from dgmmis.model_formats.importing import import_model
from dgmmis.model_formats.provenance import provenance_of, read_provenance

__all__ = ["FORMATS", "export_model", "format_of", "import_model", "provenance_of", "read_provenance"]
