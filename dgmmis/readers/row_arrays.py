"""Arrays along the rows of a source: in memory, or streamed from .npy files and members of .npz files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dgmmis.errors import InvalidData

__all__ = ["MemoryArray", "RowArray", "StoredArray", "npz_members"]


UNREADABLE = (
    OSError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile and zlib raise for files that were cut off, altered, encrypted or never were archives."""

WAY_OUT = "Save the file again, or fetch it again."


class RowArray(Protocol):
    """An array whose first axis counts rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type, in native byte order once read."""

    def rows(self, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, `batch_rows` at a time."""


class MemoryArray:
    """An array that is in memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.shape = array.shape
        self.dtype = array.dtype
        self._array = array

    def rows(self, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, `batch_rows` at a time."""
        for first in range(0, len(self._array), batch_rows):
            yield _native(self._array[first : first + batch_rows])


class StoredArray:
    """An array in NumPy's format, read as a stream (whole only if it is stored column by column).

    Parameters
    ----------
    name : str
        What errors call it.
    open_stream : callable
        Opens the stream anew.

    Raises
    ------
    InvalidData
        If it is not in NumPy's format, or holds Python objects.
    """

    def __init__(self, name: str, open_stream: Callable[[], IO[bytes]]) -> None:
        self._name, self._open = name, open_stream
        with open_stream() as stream:
            self.shape, self._by_column, self.dtype = self._read_header(stream)
        if self.dtype.hasobject:
            raise InvalidData(
                f"{name} holds Python objects, which are never loaded. Save plain numbers instead.",
                array=name,
            )
        if not self.shape:
            raise InvalidData(f"{name} is a single number; expected an array along the rows.", array=name)

    def rows(self, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, `batch_rows` at a time."""
        with self._open() as stream:
            self._read_header(stream)
            if self._by_column and len(self.shape) > 1:
                whole = self._take(stream, self.shape[::-1], 0).T
                yield from MemoryArray(whole).rows(batch_rows)
                return
            for first in range(0, self.shape[0], batch_rows):
                n_rows = min(batch_rows, self.shape[0] - first)
                yield _native(self._take(stream, (n_rows, *self.shape[1:]), first))

    def _take(self, stream: IO[bytes], shape: tuple[int, ...], first: int) -> NDArray[Any]:
        wanted = int(np.prod(shape)) * self.dtype.itemsize
        try:
            data = stream.read(wanted)
        except UNREADABLE as error:
            raise InvalidData(
                f"{self._name} cannot be read: {error}. {WAY_OUT}", array=self._name, row=first
            ) from error
        if len(data) < wanted:
            raise InvalidData(f"{self._name} is truncated. {WAY_OUT}", array=self._name, row=first)
        return np.frombuffer(data, self.dtype).reshape(shape)

    def _read_header(self, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        try:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            return read(stream)
        except (ValueError, *UNREADABLE) as error:
            raise InvalidData(
                f"{self._name} is not in NumPy's format: {error}. {WAY_OUT}", array=self._name
            ) from error


def npz_members(path: Path) -> dict[str, StoredArray]:
    """Open every array of an .npz file.

    Raises
    ------
    InvalidData
        If the file is not readable, or an array holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    except (ValueError, *UNREADABLE) as error:
        raise InvalidData(
            f"{path.name} cannot be read as .npz: {error}. {WAY_OUT}", array=path.name
        ) from error
    return {
        member.removesuffix(".npy"): StoredArray(
            f"{path.name}, array '{member.removesuffix('.npy')}'", _MemberOpener(path, member)
        )
        for member in members
    }


class _MemberOpener:
    """Opens one member of an archive anew each time."""

    def __init__(self, path: Path, member: str) -> None:
        self._path, self._member = path, member

    def __call__(self) -> IO[bytes]:
        # The member keeps the archive's file open for as long as it is read itself.
        try:
            with zipfile.ZipFile(self._path) as archive:
                return archive.open(self._member)
        except UNREADABLE as error:
            raise InvalidData(
                f"{self._path.name}, array '{self._member.removesuffix('.npy')}' cannot be read: {error}. {WAY_OUT}",
                array=self._path.name,
            ) from error


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
