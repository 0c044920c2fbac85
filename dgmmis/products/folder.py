"""Where products are written: whole or not at all, and over nothing but an older product."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgmmis.errors import AlreadyExists

__all__ = ["product_folder"]

MARKER = "_dgmmis_product"
"""Tells a product from everything else; readers of Parquet folders pass over names that begin so."""


@contextmanager
def product_folder(destination: Path, overwrite: bool) -> Iterator[Path]:
    """Give a folder to write into that becomes `destination` only when all went well.

    Raises
    ------
    AlreadyExists
        If something is there that may not be replaced: a product without `overwrite`, anything else ever.
    """
    _require_free(destination, overwrite)
    partial = destination.with_name(f".{destination.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        yield partial
        (partial / MARKER).write_text("written by dgmmis apply\n")
        _require_free(destination, overwrite)
        older = destination.with_name(f".{destination.name}.replaced-{os.getpid()}")
        if destination.exists():
            destination.rename(older)
        partial.rename(destination)
        shutil.rmtree(older, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require_free(destination: Path, overwrite: bool) -> None:
    if not destination.exists():
        return
    if not (destination / MARKER).is_file():
        raise AlreadyExists(f"{destination} exists and is nothing that apply wrote. Name another place.")
    if not overwrite:
        raise AlreadyExists(f"{destination} exists. Name another place, or allow it with --overwrite.")
