"""The optional libraries that draw and serve, loaded when a job needs them."""

from __future__ import annotations

import importlib
from typing import Any

from dgmmis.errors import MissingLibrary

__all__ = ["load"]


def load(module: str, job: str) -> Any:
    """Import an optional library.

    Parameters
    ----------
    module : str
        Such as "bokeh.plotting".
    job : str
        What it is needed for, as it appears in the error.

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
            f'{job} needs {package}, which cannot be imported ({error}). Install it: pip install "dgmmis[dashboard]".'
        ) from error
