"""Reading `.npz` files: all of it is checked before any of it is used."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNREADABLE", "read_npz"]

# What zipfile, zlib, numpy and json raise for files that were cut off, altered or never were arrays.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(content: bytes) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz file.

    NumPy compares a member's checksum only if it reads the member to its end. An altered shape or type may
    make it read less: each checksum is compared here first.

    Raises
    ------
    UNREADABLE
        One of these, if it is no such file, or was cut off or altered.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        altered = archive.testzip()
    if altered is not None:
        raise zipfile.BadZipFile(f"its member {altered} does not match its checksum")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return dict(stored)
