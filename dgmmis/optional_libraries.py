"""Optional libraries, loaded when a job needs them."""

from __future__ import annotations

import importlib
from typing import Any

from dgmmis.errors import MissingLibrary

__all__ = ["load_library"]


def load_library(module: str, job: str, extra: str) -> Any:
    """Import an optional library.

    Parameters
    ----------
    module : str
        Such as "pyarrow.parquet".
    job : str
        What it is needed for, as it appears in the error: "reading Parquet files".
    extra : str
        The extra of this package that it belongs to: "readers".

    Raises
    ------
    MissingLibrary
        If it is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingLibrary(
            f'{job} needs {package}, which cannot be imported ({error}). Install it: pip install "dgmmis[{extra}]".'
        ) from error
