"""The manifest: what every file of a catalogue must hold, and the fingerprint made of it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np

from dgmmis.errors import NotACatalog
from dgmmis.location import Location
from dgmmis.plain_files import as_json
from dgmmis.store.file_record import FileRecord
from dgmmis.store.parts import APPENDED, Addition, additions_of, numbers_of_part, prefix_of
from dgmmis.store.raw_files import raw_files

__all__ = [
    "MANIFEST",
    "QUARANTINE",
    "ChunkRecords",
    "FileRecord",
    "Manifest",
    "canonical_json",
    "payload_crc32c",
]

MANIFEST = "manifest.json"
QUARANTINE = "quarantine.jsonl"
MOST_MANIFEST = 256 << 20
"""Bytes of a manifest: about 90 for each chunk of each array, so 10 billion rows need a quarter of this."""


@dataclass(frozen=True)
class ChunkRecords:
    """Stored lengths, crc32c of the payloads and sha256 of the chunk files of one array, in order."""

    lengths: list[int]
    crc32c: list[int]
    sha256: list[str]

    def append(self, stored: bytes) -> None:
        """Record the next chunk file."""
        self.lengths.append(len(stored))
        self.crc32c.append(payload_crc32c(stored))
        self.sha256.append(hashlib.sha256(stored).hexdigest())

    def fault(self, chunk: int, stored: bytes, *, thorough: bool) -> str | None:
        """Say in which way `stored` is not the file that was recorded, or None.

        Parameters
        ----------
        thorough : bool
            Compare the sha256 too.
        """
        if len(stored) != self.lengths[chunk]:
            return f"{len(stored)} bytes long, {self.lengths[chunk]} were written"
        crc32c = payload_crc32c(stored)
        if crc32c != self.crc32c[chunk]:
            return f"crc32c is {crc32c}, {self.crc32c[chunk]} was written"
        if stored[-4:] != struct.pack("<I", crc32c):
            return "its last four bytes are not its crc32c"
        if thorough and hashlib.sha256(stored).hexdigest() != self.sha256[chunk]:
            return f"sha256 is not {self.sha256[chunk]}"
        return None


@dataclass(frozen=True)
class Manifest:
    """What every file of a catalogue must hold.

    Attributes
    ----------
    numbers : dict
        The attributes that shape the numbers which the catalogue gives.
    chunks : dict of ChunkRecords
        By array.
    files : dict of FileRecord
        By path: every zarr.json, and the quarantine.
    """

    numbers: dict[str, Any]
    chunks: dict[str, ChunkRecords]
    files: dict[str, FileRecord]

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) over all chunks, the quarantine and the attributes that shape the numbers.

        When and from where the rows were ingested, and how a version of Zarr words its metadata, do not
        enter.
        """
        content = {
            "numbers": self.numbers,
            "chunks": {name: records.sha256 for name, records in self.chunks.items()},
            "quarantine": self.files[QUARANTINE].sha256,
        }
        return hashlib.sha256(canonical_json(content)).hexdigest()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of the catalogue as it was ingested, and after each append; the last one is its own."""
        earlier = (addition.grown_from for addition in additions_of(self.numbers))
        return (*earlier, self.fingerprint)

    def as_of(self, fingerprint: str) -> Manifest:
        """Return the manifest of a state in which this catalogue was, before rows were appended.

        Raises
        ------
        ValueError
            If `fingerprint` is none of `fingerprints`, or its files are not those of that state.
        """
        last = self.fingerprints.index(fingerprint)
        if last == len(self.fingerprints) - 1:
            return self
        gone = tuple(prefix_of(part) for part in range(last + 1, len(self.fingerprints)))
        gone += (f"{APPENDED}/",) if last == 0 else ()
        earlier = Manifest(
            numbers_of_part(self.numbers, last),
            {name: records for name, records in self.chunks.items() if not name.startswith(gone)},
            {name: record for name, record in self.files.items() if not name.startswith(gone)},
        )
        if earlier.fingerprint != fingerprint:
            raise ValueError(f"its parts do not make up fingerprint {fingerprint}")
        return earlier

    def grown(self, numbers: Mapping[str, Any], addition: Addition, added: Manifest) -> Manifest:
        """Return the manifest of this catalogue with one more part.

        Parameters
        ----------
        numbers : dict
            Of the whole, without the appends.
        addition : Addition
        added : Manifest
            Of the part, its files named from the folder of the part.
        """
        recorded = [*self.numbers.get("appended", ()), vars(addition)]
        prefix = prefix_of(len(recorded))
        return Manifest(
            {**numbers, "appended": recorded},
            self.chunks | {prefix + name: records for name, records in added.chunks.items()},
            self.files | {prefix + name: record for name, record in added.files.items()},
        )

    @property
    def nbytes(self) -> int:
        """Bytes on disk of all the files it lists."""
        chunks = sum(sum(records.lengths) for records in self.chunks.values())
        return chunks + sum(record.length for record in self.files.values())

    def to_bytes(self) -> bytes:
        """Content of manifest.json."""
        body = {
            "dgmmis_manifest": 1,
            "fingerprint": self.fingerprint,
            "numbers": self.numbers,
            "chunks": {name: vars(records) for name, records in self.chunks.items()},
            "files": {name: vars(record) for name, record in self.files.items()},
        }
        return canonical_json(body | {"sha256": hashlib.sha256(canonical_json(body)).hexdigest()})

    @classmethod
    def read(cls, folder: Location) -> Manifest:
        """Read a catalogue's manifest and check it against its own hash.

        Raises
        ------
        NotACatalog
            If there is none, or it is not what was written.
        ObjectStoreError
            If an object store does not give it.
        """
        raw = raw_files(folder)
        try:
            for _ in range(raw.attempts - 1):  # it may come damaged over a network
                with suppress(NotACatalog):
                    return cls.of(raw.read(MANIFEST, MOST_MANIFEST), f"{folder}/{MANIFEST}")
            return cls.of(raw.read(MANIFEST, MOST_MANIFEST), f"{folder}/{MANIFEST}")
        except OSError as error:
            raise NotACatalog(
                f"{folder} is not a catalogue: {MANIFEST} cannot be read ({error.strerror or error}). Give the folder "
                "that an ingest has finished; a table becomes one by: dgmmis ingest TABLE DEST.zarr."
            ) from error

    @classmethod
    def of(cls, content: bytes, path: str) -> Manifest:
        """Read a manifest that was read from `path`; raises `NotACatalog` if it is not what was written."""
        try:
            body = as_json(content)
            stated = body.pop("sha256")
            right = (
                body["dgmmis_manifest"] == 1 and hashlib.sha256(canonical_json(body)).hexdigest() == stated
            )
            if not right:
                raise NotACatalog(_altered(path, "its content does not match its own sha256"))
            manifest = cls(
                body["numbers"],
                {name: ChunkRecords(**records) for name, records in body["chunks"].items()},
                {name: FileRecord(**record) for name, record in body["files"].items()},
            )
            if manifest.fingerprint != body["fingerprint"]:
                raise NotACatalog(_altered(path, "its fingerprint does not match its content"))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotACatalog(_altered(path, f"it is not the JSON of a manifest ({error!r})")) from error
        return manifest


def payload_crc32c(stored: bytes) -> int:
    """Compute the crc32c of a chunk file without its last four bytes.

    Those four are that same number.  With them every file has one and the same crc32c (its residue), and
    a swapped chunk would go unseen.
    """
    return int(google_crc32c.value(np.frombuffer(stored, np.uint8)[:-4]))


def canonical_json(content: Mapping[str, Any]) -> bytes:
    """JSON in the one form that is hashed: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _altered(path: str, what: str) -> str:
    return (
        f"{path} was altered after it was written: {what}. Restore it from a copy or ingest the source again."
    )
