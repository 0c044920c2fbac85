"""A catalogue on disk, read chunk by chunk with every byte checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import CorruptCatalog, InvalidSetting
from dgmmis.location import Location, location_of
from dgmmis.packed import Array
from dgmmis.row_hash import Hashes, hash_integers, hash_texts
from dgmmis.rows import Rows
from dgmmis.samples import Samples
from dgmmis.store.description import description_of
from dgmmis.store.layout import Layout
from dgmmis.store.manifest import MANIFEST, QUARANTINE, Manifest
from dgmmis.store.quarantine import read_entries, readable_ids
from dgmmis.store.reading import VerifiedArrays
from dgmmis.store.record import CatalogRecord
from dgmmis.store.schema import Schema, StoredRows
from dgmmis.store.stored_reading import stored_ids, stored_pilot, stored_rows, stored_zones
from dgmmis.store.tabular import astropy_table, dask_frame, xarray_dataset

__all__ = ["Catalog", "open_catalog"]


def open_catalog(path: str | Location) -> Catalog:
    """Open a catalogue.

    The manifest and all metadata are checked now, every chunk when it is read.

    Parameters
    ----------
    path : path, or address in an object store
        Its folder, or "s3://BUCKET/PREFIX".

    Raises
    ------
    NotACatalog
        If there is none, or one that this version cannot read.
    CorruptCatalog
        If its metadata are not what was written.
    ObjectStoreError
        If an object store does not answer, or refuses.
    """
    location = location_of(path)
    folder = Path(os.path.abspath(location)) if isinstance(location, Path) else location
    return _opened(folder, Manifest.read(folder))


def _opened(folder: Location, manifest: Manifest) -> Catalog:
    arrays = VerifiedArrays(folder, manifest)
    layout, attributes = arrays.layout, arrays.attributes
    try:
        schema = Schema.from_json(attributes["schema"])
        n_quarantined = int(manifest.numbers["n_quarantined"])
    except (KeyError, TypeError, ValueError) as error:
        what = f"its attributes make no sense ({error!r})"
        raise CorruptCatalog(layout.attributes_key, 0, (0, layout.n_rows), what) from error
    return Catalog(
        folder,
        manifest.fingerprint,
        schema,
        layout.n_rows,
        layout.chunk_rows,
        layout.pilot_rows,
        n_quarantined,
        arrays,
    )


@dataclass(frozen=True)
class Catalog(CatalogRecord):
    """A catalogue that was opened; `open_catalog` gives one.

    It may be read by several threads at once.  Pickled, it is its path and fingerprint and is opened anew
    where it arrives, once per process; a catalogue that was replaced meanwhile is refused there.  One that rows
    were appended to is opened as it was before: an append changes no file that was there.

    Its attributes are those of `CatalogRecord`.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (str(self.path), self.fingerprint, self.kept_noise, self.hash_key)

    def as_of(self, fingerprint: str) -> Catalog:
        """Open the catalogue as it was before rows were appended.

        Parameters
        ----------
        fingerprint : str
            One of `fingerprints`.

        Raises
        ------
        InvalidSetting
            If the catalogue never had it.
        """
        if fingerprint == self.fingerprint:
            return self
        try:
            manifest = self._arrays.manifest.as_of(fingerprint)
        except ValueError as error:
            raise InvalidSetting(
                f"{self.path} never had the fingerprint {fingerprint[:16]}; it had {self._earlier()}."
            ) from error
        return replace(_opened(self.path, manifest), kept_noise=self.kept_noise, hash_key=self.hash_key)

    def _earlier(self) -> str:
        return ", ".join(fingerprint[:16] for fingerprint in self.fingerprints)

    def row_range(self, chunk: int) -> tuple[int, int]:
        """Give the first row of a chunk and one past its last row.

        Raises
        ------
        InvalidSetting
            If there is no such chunk.
        """
        part, first, end = self._locate(chunk)
        return part.first_row + first, part.first_row + end

    def part_range(self, chunk: int) -> tuple[int, int, int]:
        """Tell in which part a chunk lies (0: what was ingested, 1: the first append), and its row range there."""
        part, first, end = self._locate(chunk)
        return self._arrays.layout.parts.index(part), first, end

    def _locate(self, chunk: int) -> tuple[Layout, int, int]:
        if not 0 <= chunk < self.n_chunks:
            raise InvalidSetting(
                f"chunk {chunk} does not exist: the catalogue has chunks 0 to {self.n_chunks - 1}."
            )
        return self._arrays.layout.locate(chunk)

    def read_rows(self, chunk: int) -> Rows:
        """Read the rows of a chunk, in float64, their noise as the schema has it.

        Raises
        ------
        CorruptCatalog
            If a file of the chunk is not what was written; array, chunk and rows are named.
        """
        part, first, end = self._locate(chunk)
        return self._rows(stored_rows(self._arrays, self.schema, part.rows, first, end, ids=False))

    def read_stored(self, chunk: int) -> StoredRows:
        """Read the rows of a chunk as they are stored, ids and source rows included; raises as `read_rows` does."""
        part, first, end = self._locate(chunk)
        return stored_rows(self._arrays, self.schema, part.rows, first, end, ids=True)

    def to_dask_dataframe(self) -> Any:
        """Return a Dask data frame whose partitions are the chunks, read when they are computed; see `tabular`."""
        return dask_frame(self)

    def to_xarray(self) -> Any:
        """Return a Dataset of xarray with units, whose variables are Dask arrays along `row`."""
        return xarray_dataset(self)

    def to_astropy(self) -> Any:
        """Read all rows into a Table of astropy, with units, in memory."""
        return astropy_table(self)

    def read_samples(self, chunk: int) -> Samples:
        """Read the rows of a chunk as the kernels want them; raises as `read_rows` does."""
        rows = self.read_rows(chunk)
        first_row = self.row_range(chunk)[0]
        samples = rows.samples(
            names=self.features, first_row=first_row, checked=True, keep_noise=self.kept_noise
        ).bounded()
        return samples if self.hash_key is None else replace(samples, hashes=self._hashes(chunk))

    def keeping_noise(self, columns: Sequence[int]) -> Catalog:
        """Return this catalogue, its samples keeping their noise in `columns` where they lack these features."""
        return replace(self, kept_noise=tuple(columns))

    def hashing_ids(self, key: int) -> Catalog:
        """Return this catalogue, its samples read with the hashes of their rows' ids under `key`."""
        return replace(self, hash_key=key)

    def _hashes(self, chunk: int) -> Hashes:
        assert self.hash_key is not None
        part, first, end = self._locate(chunk)
        ids, _ = stored_ids(self._arrays, part.rows, first, end)
        return (hash_texts if self.schema.id_kind == "text" else hash_integers)(ids, self.hash_key)

    def read_ids(self, chunk: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Read the ids of a chunk's rows, as int64 or str, and their numbers in the source."""
        part, first, end = self._locate(chunk)
        ids, source_rows = stored_ids(self._arrays, part.rows, first, end)
        return readable_ids(ids), source_rows

    def row_hashes(self, chunk: int) -> Hashes:
        """Hash the ids of a chunk's rows, (n,); the pilot is drawn by the same hashes."""
        part, first, end = self._locate(chunk)
        ids, _ = stored_ids(self._arrays, part.rows, first, end)
        return hash_texts(ids) if self.schema.id_kind == "text" else hash_integers(ids)

    @property
    def latent_features(self) -> int:
        """D: catalogues hold no projected rows."""
        return self.n_features

    @property
    def projection(self) -> None:
        """Catalogues hold no projected rows."""
        return None

    def read_pilot(self, n_rows: int | None = None) -> Rows:
        """Read the rows whose ids hash smallest, in order of the hash: a random sample, as is any prefix.

        Parameters
        ----------
        n_rows : int, optional
            At most so many; default all that are stored.
        """
        wanted = self.pilot_rows if n_rows is None else n_rows
        if wanted < 1:
            raise InvalidSetting(f"n_rows is {wanted}; ask for at least one row of the pilot.")
        return self._rows(stored_pilot(self._arrays, self.schema, min(wanted, self.pilot_rows)))

    def read_stored_pilot(self) -> StoredRows:
        """Read the pilot in stored form, ids and source rows included."""
        return stored_pilot(self._arrays, self.schema, self.pilot_rows, ids=True)

    def quarantined(self, limit: int | None = None) -> list[dict[str, Any]]:
        """List the rows that could not be used: row, id, column, reason, value; in source order."""
        files, parts = self._arrays.files, self._arrays.layout.parts
        return read_entries((files.open(part.prefix + QUARANTINE) for part in parts), limit)

    def read_zones(self, name: str) -> NDArray[Any]:
        """Read a zone map (C, D): low, high, missing, noise_low or noise_high of each chunk's features."""
        return stored_zones(self._arrays, name)

    @cached_property
    def low(self) -> Array:
        """Smallest value (D,) of each feature, NaN if no row has it."""
        return np.asarray(np.fmin.reduce(self.read_zones("low")))

    @cached_property
    def high(self) -> Array:
        """Largest value (D,) of each feature, NaN if no row has it."""
        return np.asarray(np.fmax.reduce(self.read_zones("high")))

    def describe(self) -> dict[str, Any]:
        """Summarise the catalogue in plain Python that turns into JSON."""
        return description_of(self)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Hash every file again and return their number.

        Parameters
        ----------
        progress : callable, optional
            Called with (files done, files in all).

        Raises
        ------
        CorruptCatalog
            At the first file that is not what was written.
        NotACatalog
            If the manifest itself is not, or not the one this catalogue was opened with.
        """
        self._require_same_manifest()
        keys = self._arrays.files.keys()
        for done, key in enumerate(keys, start=1):
            self._arrays.files.verify(key)
            if progress is not None:
                progress(done, len(keys))
        return len(keys)

    def _rows(self, stored: StoredRows) -> Rows:
        values: Array = stored.values.astype(np.float64, copy=False)
        return Rows(values, self.schema.noise(stored.noise), stored.weights)

    def _require_same_manifest(self) -> None:
        found = Manifest.read(self.path)
        if self.fingerprint not in found.fingerprints:
            raise _replaced(found.fingerprint, self.fingerprint, self.n_rows)


def _replaced(found: str, wanted: str, n_rows: int) -> CorruptCatalog:
    return CorruptCatalog(MANIFEST, 0, (0, n_rows), f"fingerprint is {found}, was {wanted}")


@lru_cache(maxsize=16)
def _reopen(path: str, fingerprint: str, kept_noise: tuple[int, ...], hash_key: int | None = None) -> Catalog:
    """Open a catalogue that travelled to this process, once, as it was then."""
    catalog = open_catalog(path)
    if fingerprint not in catalog.fingerprints:
        raise _replaced(catalog.fingerprint, fingerprint, catalog.n_rows)
    return replace(catalog.as_of(fingerprint), kept_noise=kept_noise, hash_key=hash_key)
