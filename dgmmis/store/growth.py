"""A folder for one more part of a catalogue, which counts from the moment the manifest names it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import zarr
from zarr.storage import LocalStore

from dgmmis.disk_faults import naming_faults
from dgmmis.errors import CatalogLocked, NotACatalog
from dgmmis.store.catalog import Catalog, open_catalog
from dgmmis.store.manifest import MANIFEST, FileRecord, Manifest
from dgmmis.store.parts import APPENDED, prefix_of
from dgmmis.store.placement import hold, sync, sync_tree

__all__ = ["PartFolder"]

GROUP = f"{APPENDED}/zarr.json"


class PartFolder:
    """The folder `appended/N` of a catalogue, N being one more than its manifest names.

    While it is there the catalogue is locked against other appends, and the lock falls with its process however
    that ends.  Nothing that the manifest names is touched; what an append that died left behind, it does not name,
    and the next one removes it.

    Parameters
    ----------
    catalog : Path

    Attributes
    ----------
    catalog : Catalog
        As it is before.
    path : Path

    Raises
    ------
    NotACatalog, CorruptCatalog
    CatalogLocked
        If another process appends to it.
    """

    def __init__(self, catalog: Path) -> None:
        open_catalog(catalog)
        self._lock = hold(catalog)
        try:
            self.catalog: Catalog = open_catalog(catalog)
            self._folder = Path(os.path.abspath(catalog))
            self.manifest = Manifest.read(self._folder)
            self._appended = self._folder / APPENDED
            self._remove_abandoned()
            self.path = self._folder / prefix_of(self.catalog.n_parts)
            with naming_faults(self.path):
                self.path.mkdir(parents=True)
        except BaseException:
            os.close(self._lock)
            raise

    def place(self, grown: Manifest) -> None:
        """Bring everything to disk, and then put the new manifest in the place of the old one.

        Raises
        ------
        CatalogLocked
            If the catalogue was replaced meanwhile.
        """
        if self.catalog.n_parts == 1:
            zarr.create_group(LocalStore(self._appended), overwrite=False)
        if GROUP not in grown.files:
            grown.files[GROUP] = FileRecord.of_file(self._folder / GROUP)
        sync_tree(self.path)
        sync(self._folder / GROUP)
        sync(self._appended)
        sync(self._folder)
        writing = self._folder / f".{MANIFEST}.writing"
        writing.write_bytes(grown.to_bytes())
        sync(writing)
        if not self._is_unchanged():
            raise CatalogLocked(
                f"{self._folder} was replaced while rows were appended to it. Append them again."
            )
        writing.replace(self._folder / MANIFEST)
        sync(self._folder)
        os.close(self._lock)

    def discard(self) -> None:
        """Remove the folder, unless the manifest names it already."""
        with suppress(OSError, NotACatalog):
            if self._is_unchanged():
                self._remove_abandoned()
        with suppress(OSError):
            os.close(self._lock)

    def _remove_abandoned(self) -> None:
        """Remove what the manifest does not name: all parts from the next one on, and a manifest never placed."""
        (self._folder / f".{MANIFEST}.writing").unlink(missing_ok=True)
        if self.catalog.n_parts == 1:
            shutil.rmtree(self._appended, ignore_errors=True)
            return
        named = {prefix_of(part).split("/")[1] for part in range(1, self.catalog.n_parts)}
        for path in self._appended.iterdir():
            if path.is_dir() and path.name not in named:
                shutil.rmtree(path)

    def _is_unchanged(self) -> bool:
        """Tell whether the folder that was locked still lies at its path, with the manifest that it had."""
        here = self._folder
        same = os.path.samestat(os.fstat(self._lock), here.stat())
        return same and Manifest.read(here).fingerprint == self.catalog.fingerprint
