"""A folder that appears at its place whole, or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from dgmmis.disk_faults import naming_faults
from dgmmis.errors import AlreadyExists, CatalogLocked
from dgmmis.store.manifest import MANIFEST

__all__ = ["PartialFolder", "hold", "sync", "sync_tree"]

SYNC_THREADS = 16
MARKS = {MANIFEST: b'"dgmmis_manifest"', "zarr.json": b'"dgmmis_format"'}
"""What in a folder shows that it is a catalogue, even a damaged one."""


class PartialFolder:
    """A folder beside `destination` that is renamed to it when it is complete.

    While it exists it is locked, and the lock falls with its process however that ends: a later ingest to
    the same destination removes what a killed one left, and leaves alone what a living one writes.

    Parameters
    ----------
    destination : Path
    overwrite : bool
        Replace a catalogue that lies there.

    Raises
    ------
    AlreadyExists
        If something lies at the destination that may not be replaced.
    """

    def __init__(self, destination: Path, *, overwrite: bool) -> None:
        self.destination, self._overwrite = Path(os.path.abspath(destination)), overwrite
        self._require_free()
        self.destination.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(self.destination)
        self.path = _sibling(self.destination, "partial")
        try:
            with naming_faults(self.path):
                self._lock = _make_locked(self.path)
        except FileExistsError as error:
            raise AlreadyExists(
                f"{self.path} exists: this process is writing to {destination} already. Finish that first."
            ) from error

    def place(self) -> None:
        """Bring everything to disk and rename the folder to its destination."""
        sync_tree(self.path)
        self._require_free()
        replaced = _sibling(self.destination, "replaced")
        with self._replacing(replaced):
            self.path.rename(self.destination)
        sync(self.destination.parent)
        os.close(self._lock)
        shutil.rmtree(replaced, ignore_errors=True)

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    @contextmanager
    def _replacing(self, replaced: Path) -> Iterator[None]:
        """Move what lies at the destination out of the way, and back if what comes next fails."""
        if not (self._overwrite and self.destination.exists()):
            yield
            return
        with _held(self.destination):
            self.destination.rename(replaced)
            try:
                yield
            except BaseException:
                replaced.rename(self.destination)
                raise

    def _require_free(self) -> None:
        destination = self.destination
        if not os.path.lexists(destination):
            return
        if not self._overwrite:
            raise AlreadyExists(
                f"{destination} exists. Choose another destination, or allow it to be overwritten: --overwrite."
            )
        if not _is_catalog(destination):
            raise AlreadyExists(
                f"{destination} exists and is not a catalogue, so it is not overwritten. Remove it or "
                "choose another destination."
            )


def _is_catalog(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    for name, mark in MARKS.items():
        with suppress(OSError):
            if mark in (path / name).read_bytes():
                return True
    return False


def _sibling(destination: Path, kind: str) -> Path:
    return destination.with_name(f".{destination.name}.{kind}-{os.getpid()}")


def _make_locked(path: Path) -> int:
    """Make a folder and lock it, again if another ingest took it for abandoned between the two."""
    while True:
        path.mkdir()
        lock = os.open(path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_dir():
            return lock
        os.close(lock)


def _remove_abandoned(destination: Path) -> None:
    """Remove partial folders whose process has ended, known by their lock being free."""
    prefix = f".{destination.name}.partial-"
    for path in destination.parent.iterdir():
        if not path.name.startswith(prefix) or not path.is_dir():
            continue
        lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue  # a living ingest holds it
        finally:
            os.close(lock)


def hold(catalog: Path) -> int:
    """Be the one process that changes a catalogue, until the returned lock is closed, or the process ends.

    Raises
    ------
    CatalogLocked
        If another one appends to it.
    """
    lock = os.open(catalog, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(lock), catalog.stat()):
            raise BlockingIOError(f"{catalog} was replaced between the two")
    except (BlockingIOError, FileNotFoundError) as error:
        os.close(lock)
        raise CatalogLocked(
            f"another process appends to {catalog} or replaces it. Wait until that is done, and try again."
        ) from error
    return lock


@contextmanager
def _held(catalog: Path) -> Iterator[None]:
    lock = hold(catalog)
    try:
        yield
    finally:
        os.close(lock)


def sync_tree(path: Path) -> None:
    """Bring a folder with all it holds to disk; a disk serves many requests at once quicker."""
    walked = [(folder, files) for folder, _, files in os.walk(path)]
    with ThreadPoolExecutor(SYNC_THREADS) as threads:
        paths = (os.path.join(folder, name) for folder, files in walked for name in files)
        for _ in threads.map(sync, paths):
            pass
        for _ in threads.map(sync, (folder for folder, _ in walked)):
            pass


def sync(path: str | Path) -> None:
    """Bring a file or a folder's list of files to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
