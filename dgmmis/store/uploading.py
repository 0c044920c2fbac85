"""A catalogue, or one more part of it, that is written on this machine and then put into a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import zarr
from zarr.storage import LocalStore

from dgmmis.errors import AlreadyExists, CatalogLocked, ObjectStoreError
from dgmmis.location import S3Url
from dgmmis.object_store import Changed, bucket_at
from dgmmis.store.catalog import Catalog, open_catalog
from dgmmis.store.file_record import FileRecord
from dgmmis.store.manifest import MANIFEST, Manifest
from dgmmis.store.parts import APPENDED, prefix_of

__all__ = ["UploadedFolder", "UploadedPart"]

THREADS = 8
ROOT = "zarr.json"
GROUP = f"{APPENDED}/{ROOT}"


class UploadedFolder:
    """A scratch folder whose files become a catalogue in a bucket; see `PartialFolder`.

    A catalogue is there from the moment its manifest is.  The first object that is put is the root's metadata, once:
    of two that write to one destination, one goes on.

    Parameters
    ----------
    destination : S3Url
    overwrite : bool
        Replace a catalogue, or an upload that did not finish.

    Attributes
    ----------
    path : Path
        The scratch folder.

    Raises
    ------
    AlreadyExists
        If something lies at the destination that may not be replaced.
    """

    def __init__(self, destination: S3Url, *, overwrite: bool) -> None:
        self.destination, self._overwrite = destination, overwrite
        self._bucket = bucket_at(destination)
        self._require_free()
        self._scratch = TemporaryDirectory(prefix="dgmmis-")
        self.path = Path(self._scratch.name) / "catalog"
        self.path.mkdir()

    def place(self) -> None:
        """Put all files, the manifest last, and remove what a catalogue that lay there leaves over."""
        there = self._require_free()
        names = _files_in(self.path)
        if self._overwrite:
            self._bucket.delete(MANIFEST)
            self._bucket.put(ROOT, (self.path / ROOT).read_bytes())
        else:
            self._put_once(ROOT)
        _each(self._put, (name for name in names if name not in (ROOT, MANIFEST)))
        _each(self._bucket.delete, (name for name in there if name not in names))
        self._put_once(MANIFEST)
        self._scratch.cleanup()

    def discard(self) -> None:
        """Remove the scratch folder."""
        self._scratch.cleanup()

    def _put(self, name: str) -> None:
        self._bucket.put(name, (self.path / name).read_bytes())

    def _put_once(self, name: str) -> None:
        try:
            self._bucket.put_if_absent(name, (self.path / name).read_bytes())
        except FileExistsError as error:
            raise AlreadyExists(
                f"another ingest writes to {self.destination} at this moment, or came first. Choose another "
                "destination."
            ) from error

    def _require_free(self) -> list[str]:
        there = self._bucket.names()
        if not there:
            return there
        if not {ROOT, MANIFEST} & set(there):
            raise AlreadyExists(f"{self.destination} holds something else. Choose another destination.")
        if not self._overwrite:
            unfinished = "" if MANIFEST in there else ", from an ingest that goes on or did not finish"
            raise AlreadyExists(
                f"{self.destination} exists{unfinished}. Choose another destination, or allow it to be "
                "overwritten: --overwrite."
            )
        return there


class UploadedPart:
    """A scratch folder whose files become one more part of a catalogue in a bucket; see `PartFolder`.

    Each object of the part is put where there is none, and the manifest over the one that was read.  So of several
    appends at once only one can end, and no object is of another.

    Parameters
    ----------
    catalog : S3Url

    Attributes
    ----------
    catalog : Catalog
        As it is before.
    manifest : Manifest
    path : Path
        The scratch folder.

    Raises
    ------
    NotACatalog, CorruptCatalog
    """

    def __init__(self, catalog: S3Url) -> None:
        self.catalog: Catalog = open_catalog(catalog)
        self._bucket = bucket_at(catalog)
        self._url = catalog
        stored = self._bucket.get(MANIFEST, checked=False)
        self._etag = stored.etag
        self.manifest = Manifest.of(stored.content, f"{catalog}/{MANIFEST}")
        if self.manifest.fingerprint != self.catalog.fingerprint:
            raise CatalogLocked(f"{catalog} was replaced at this moment. Append again.")
        self._prefix = prefix_of(self.catalog.n_parts)
        self._scratch = TemporaryDirectory(prefix="dgmmis-")
        self._root = Path(self._scratch.name)
        self.path = self._root / self._prefix
        self.path.mkdir(parents=True)
        self._mine: list[str] = []

    def place(self, grown: Manifest) -> None:
        """Put all files of the part, and then the new manifest over the old one.

        Raises
        ------
        CatalogLocked
            If another append goes on, or has ended meanwhile.
        """
        if GROUP not in grown.files:
            self._put_group(grown)
        names = [self._prefix + name for name in _files_in(self.path)]
        self._put_once(self._prefix + ROOT)
        _each(self._put_once, (name for name in names if name != self._prefix + ROOT))
        mine, self._mine = self._mine, []  # once the manifest may be there, they stay
        try:
            self._bucket.put_if_unchanged(MANIFEST, grown.to_bytes(), self._etag)
        except Changed:
            self._mine = mine
            raise CatalogLocked(
                f"{self._url} was replaced, or grew, while rows were appended to it. Append them again."
            ) from None
        self._scratch.cleanup()

    def discard(self) -> None:
        """Remove what was put, unless the manifest names it."""
        with suppress(ObjectStoreError):
            _each(self._bucket.delete, self._mine)
        self._scratch.cleanup()

    def _put_group(self, grown: Manifest) -> None:
        zarr.create_group(LocalStore(self._root / APPENDED), overwrite=False)
        content = (self._root / GROUP).read_bytes()
        with suppress(FileExistsError):
            self._bucket.put_if_absent(GROUP, content)
        grown.files[GROUP] = FileRecord.of(self._bucket.get(GROUP).content)

    def _put_once(self, name: str) -> None:
        try:
            self._bucket.put_if_absent(name, (self._root / name).read_bytes())
        except FileExistsError as error:
            raise CatalogLocked(
                f"another process appends to {self._url}, or one died before it was done: {self._prefix} lies there "
                f"and the manifest does not name it. If none appends, delete {self._url / self._prefix} and append "
                "again."
            ) from error
        self._mine.append(name)


def _files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _each(do: Callable[[str], None], names: Iterable[str]) -> None:
    """Do something with several objects at once; raises what the first one raises that fails."""
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(do, names):
            pass
