"""Arrays of `.npz` files, read so that no file can run code or decode to more than it is."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

__all__ = ["read_arrays"]

KINDS = "biufU"
"""Of numbers and texts: booleans, integers, floats, Unicode.  Never objects, which are pickles."""
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    LookupError,
    RuntimeError,
    EOFError,
    OSError,
)
"""What zipfile raises for files that were cut off, altered or never were archives."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(content: bytes, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz file as `numpy.savez` writes it: not compressed, no Python objects.

    All arrays together are then no larger than the file, whatever it declares.  Every member is read to its end, as
    only then its checksum is compared: NumPy itself would read less if an altered shape or type says so.

    Parameters
    ----------
    content : bytes
        Of the file.
    names : iterable of str, optional
        Of the arrays to read, as far as they are there; the others may be anything.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if names is not None:
                wanted = {f"{name}.npy" for name in names}
                members = [member for member in members if member.filename in wanted]
            _require_uncompressed(members, len(content))
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except BROKEN as error:
        raise ValueError(f"it is no npz file ({error})") from error


def _require_uncompressed(members: list[zipfile.ZipInfo], size: int) -> None:
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
            raise ValueError(f"its member {member.filename!r:.80} is compressed or no array")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members declare more bytes than the file has")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    data = archive.read(member)
    stream = io.BytesIO(data)
    shape, dtype = _header(stream)
    name, held = member.filename, len(data) - stream.tell()
    if dtype.hasobject or dtype.kind not in KINDS:
        raise ValueError(f"its array {name!r:.80} is of type {dtype}, which is not read")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"its array {name!r:.80} declares shape {shape} and holds {held} bytes")
    return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"an array of NumPy's format {version}")
    try:
        shape, _, dtype = HEADERS[version](stream)
    except (TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"an array's header makes no sense ({error})") from error
    return shape, dtype
