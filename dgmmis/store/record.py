"""What is known of a catalogue once it is open, before a row is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dgmmis.location import Location
from dgmmis.noise import NoiseKind
from dgmmis.store.manifest import MANIFEST
from dgmmis.store.reading import VerifiedArrays
from dgmmis.store.schema import Schema
from dgmmis.store.stored_reading import column_nbytes, pass_nbytes

__all__ = ["CatalogRecord"]


@dataclass(frozen=True)
class CatalogRecord:
    """A catalogue's place, counts, columns and sizes.

    Attributes
    ----------
    path : Path or S3Url
    fingerprint : str
        64 hexadecimal digits: two catalogues that share it give the same numbers.
    schema : Schema
    n_rows : int
        Usable rows, those with nothing observed included.
    chunk_rows : int
        Rows of every chunk but the last one, and the last one before each append.
    pilot_rows : int
    n_quarantined : int
        Rows of the source that could not be used.
    kept_noise : tuple of int
        Columns whose noise `read_samples` keeps even for rows that lack them.
    hash_key : int or None
        With which `read_samples` hashes the rows' ids.
    """

    path: Location
    fingerprint: str
    schema: Schema = field(compare=False, repr=False)
    n_rows: int = field(compare=False)
    chunk_rows: int = field(compare=False)
    pilot_rows: int = field(compare=False)
    n_quarantined: int = field(compare=False)
    _arrays: VerifiedArrays = field(compare=False, repr=False)
    kept_noise: tuple[int, ...] = field(default=(), compare=False, repr=False)
    hash_key: int | None = field(default=None, compare=False, repr=False)

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
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints after the ingest and after each append; the last one is that of this catalogue."""
        return self._arrays.manifest.fingerprints

    @property
    def noise_kind(self) -> NoiseKind:
        """Kind of the noise that `read_rows` gives."""
        return self.schema.noise_kind

    @property
    def follows_source(self) -> bool:
        """Whether chunks hold the rows of the source, or of several, one stretch after the other."""
        return bool(self.summary.get("order", "chunk") == "chunk")

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._arrays.manifest.nbytes + self._arrays.files.size(MANIFEST)

    @property
    def pass_nbytes(self) -> int:
        """Bytes on disk of what one pass reads: values, noise and weights of all rows."""
        return pass_nbytes(self._arrays)

    @property
    def column_nbytes(self) -> tuple[int, ...]:
        """Bytes of a decoded row in each of the arrays that a pass reads."""
        return column_nbytes(self._arrays)

    @property
    def metadata_nbytes(self) -> int:
        """Bytes on disk of the manifest and of the attributes."""
        names = (MANIFEST, self._arrays.layout.attributes_key)
        return sum(self._arrays.files.size(name) for name in names)

    @property
    def summary(self) -> dict[str, Any]:
        """The attributes that were summed up at ingest, and again at each append."""
        return self._arrays.attributes

    @property
    def part_rows(self) -> tuple[int, ...]:
        """Rows that were ingested, and that each append added."""
        return tuple(part.n_rows for part in self._arrays.layout.parts)

    @property
    def n_parts(self) -> int:
        """One, and one more for each append."""
        return len(self._arrays.layout.parts)
