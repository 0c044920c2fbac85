"""A catalogue on disk, read chunk by chunk with every byte checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import CorruptCatalog, InvalidSetting
from dgmmis.noise import NoiseKind
from dgmmis.packed import Array
from dgmmis.row_hash import Hashes, hash_integers, hash_texts
from dgmmis.rows import Rows
from dgmmis.samples import Samples
from dgmmis.store.description import description_of
from dgmmis.store.layout import ArrayLayout
from dgmmis.store.manifest import MANIFEST, QUARANTINE
from dgmmis.store.quarantine import read_entries, readable_ids
from dgmmis.store.reading import VerifiedArrays
from dgmmis.store.schema import Schema

__all__ = ["Catalog", "open_catalog"]


def open_catalog(path: str | Path) -> Catalog:
    """Open a catalogue.

    The manifest and all metadata are checked now, every chunk when it is read.

    Parameters
    ----------
    path : str or Path
        Its folder.

    Raises
    ------
    NotACatalog
        If there is none, or one that this version cannot read.
    CorruptCatalog
        If its metadata are not what was written.
    """
    folder = Path(os.path.abspath(path))
    arrays = VerifiedArrays(folder)
    attributes, numbers = arrays.attributes, arrays.manifest.numbers
    try:
        schema = Schema.from_json(attributes["schema"])
        n_quarantined = int(numbers["n_quarantined"])
    except (KeyError, TypeError, ValueError) as error:
        rows = (0, arrays.layout.n_rows)
        raise CorruptCatalog("zarr.json", 0, rows, f"its attributes make no sense ({error!r})") from error
    return Catalog(
        folder,
        arrays.manifest.fingerprint,
        schema,
        arrays.layout.n_rows,
        arrays.layout.chunk_rows,
        arrays.layout.pilot_rows,
        n_quarantined,
        arrays,
    )


@dataclass(frozen=True)
class Catalog:
    """A catalogue that was opened; `open_catalog` gives one.

    It may be read by several threads at once.  Pickled, it is its path and fingerprint and is opened anew
    where it arrives, once per process; a catalogue that was replaced meanwhile is refused there.

    Attributes
    ----------
    path : Path
    fingerprint : str
        64 hexadecimal digits: two catalogues that share it give the same numbers.
    schema : Schema
    n_rows : int
        Usable rows, those with nothing observed included.
    chunk_rows : int
        Rows of every chunk but the last one.
    pilot_rows : int
    n_quarantined : int
        Rows of the source that could not be used.
    kept_noise : tuple of int
        Columns whose noise `read_samples` keeps even for rows that lack them.
    hash_key : int or None
        With which `read_samples` hashes the rows' ids.
    """

    path: Path
    fingerprint: str
    schema: Schema = field(compare=False, repr=False)
    n_rows: int = field(compare=False)
    chunk_rows: int = field(compare=False)
    pilot_rows: int = field(compare=False)
    n_quarantined: int = field(compare=False)
    _arrays: VerifiedArrays = field(compare=False, repr=False)
    kept_noise: tuple[int, ...] = field(default=(), compare=False, repr=False)
    hash_key: int | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (str(self.path), self.fingerprint, self.kept_noise, self.hash_key)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        return self.schema.features

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the features, "" where unknown."""
        return self.schema.units

    @property
    def n_features(self) -> int:
        """D."""
        return self.schema.n_features

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return self._arrays.layout.n_chunks

    @property
    def noise_kind(self) -> NoiseKind:
        """Kind of the noise that `read_rows` gives."""
        return self.schema.noise_kind

    @property
    def follows_source(self) -> bool:
        """Whether chunks hold the rows of the source one stretch after the other."""
        return bool(self.summary.get("order", "chunk") == "chunk")

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._arrays.manifest.nbytes + (self.path / MANIFEST).stat().st_size

    @property
    def pass_nbytes(self) -> int:
        """Bytes on disk of what one pass reads: values, noise and weights of all rows."""
        return sum(sum(self._arrays.manifest.chunks[array.name].lengths) for array in self._pass_arrays)

    @property
    def column_nbytes(self) -> tuple[int, ...]:
        """Bytes of a decoded row in each of the arrays that a pass reads."""
        return tuple(array.chunk_bytes // array.chunk_entries for array in self._pass_arrays)

    @property
    def metadata_nbytes(self) -> int:
        """Bytes on disk of the manifest and of the attributes."""
        return sum((self.path / name).stat().st_size for name in (MANIFEST, "zarr.json"))

    @property
    def _pass_arrays(self) -> list[ArrayLayout]:
        return [
            array for name, array in self._arrays.layout.rows.items() if name not in ("row_id", "source_row")
        ]

    @property
    def summary(self) -> dict[str, Any]:
        """The attributes that were summed up at ingest."""
        return self._arrays.attributes

    def row_range(self, chunk: int) -> tuple[int, int]:
        """Give the first row of a chunk and one past its last row.

        Raises
        ------
        InvalidSetting
            If there is no such chunk.
        """
        if not 0 <= chunk < self.n_chunks:
            raise InvalidSetting(
                f"chunk {chunk} does not exist: the catalogue has chunks 0 to {self.n_chunks - 1}."
            )
        return chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.n_rows)

    def read_rows(self, chunk: int) -> Rows:
        """Read the rows of a chunk, in float64, their noise as the schema has it.

        Raises
        ------
        CorruptCatalog
            If a file of the chunk is not what was written; array, chunk and rows are named.
        """
        return self._rows(self._arrays.layout.rows, *self.row_range(chunk))

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
        name = "source_row" if self.schema.id_kind == "row" else "row_id"
        ids = self._arrays.read(self._arrays.layout.rows[name], *self.row_range(chunk))
        return (hash_texts if self.schema.id_kind == "text" else hash_integers)(ids, self.hash_key)

    def read_ids(self, chunk: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Read the ids of a chunk's rows, as int64 or str, and their numbers in the source."""
        arrays, span = self._arrays.layout.rows, self.row_range(chunk)
        source_rows = self._arrays.read(arrays["source_row"], *span)
        if self.schema.id_kind == "row":
            return source_rows, source_rows
        return readable_ids(self._arrays.read(arrays["row_id"], *span)), source_rows

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
        return self._rows(self._arrays.layout.pilot, 0, min(wanted, self.pilot_rows))

    def quarantined(self, limit: int | None = None) -> list[dict[str, Any]]:
        """List the rows that could not be used: row, id, column, reason, value; in source order."""
        return read_entries(self._arrays.files.verify_file(QUARANTINE), limit)

    def read_zones(self, name: str) -> NDArray[Any]:
        """Read a zone map (C, D): low, high, missing, noise_low or noise_high of each chunk's features."""
        zones = self._arrays.layout.zones
        if f"zone_{name}" not in zones:
            known = ", ".join(zone.removeprefix("zone_") for zone in zones)
            raise InvalidSetting(f"there is no zone map '{name}'; this catalogue has {known}.")
        array = zones[f"zone_{name}"]
        return self._arrays.read(array, 0, array.n_entries)

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

    def _rows(self, arrays: dict[str, ArrayLayout], first: int, end: int) -> Rows:
        values: Array = self._arrays.read(arrays["values"], first, end).astype(np.float64, copy=False)
        columns = {name: self._arrays.read(arrays[name], first, end) for name in self.schema.noise_widths}
        weights = self._arrays.read(arrays["weights"], first, end) if self.schema.has_weights else None
        return Rows(values, self.schema.noise(columns), weights)

    def _require_same_manifest(self) -> None:
        fingerprint = VerifiedArrays(self.path).manifest.fingerprint
        if fingerprint != self.fingerprint:
            raise CorruptCatalog(
                MANIFEST, 0, (0, self.n_rows), f"fingerprint is {fingerprint}, was {self.fingerprint}"
            )


@lru_cache(maxsize=16)
def _reopen(path: str, fingerprint: str, kept_noise: tuple[int, ...], hash_key: int | None) -> Catalog:
    """Open a catalogue that travelled to this process, once; its fingerprint must still be the same."""
    catalog = open_catalog(path)
    if catalog.fingerprint != fingerprint:
        raise CorruptCatalog(
            MANIFEST, 0, (0, catalog.n_rows), f"fingerprint is {catalog.fingerprint}, was {fingerprint}"
        )
    return replace(catalog, kept_noise=kept_noise, hash_key=hash_key)
