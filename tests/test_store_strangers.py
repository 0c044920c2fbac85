"""A catalogue of a stranger, whose manifest agrees with whatever was put into it, is read with care."""

from __future__ import annotations

import json
from pathlib import Path

import numcodecs
import pytest
import zarr
from zarr.codecs import GzipCodec

from dgmmis.errors import CorruptCatalog, NotACatalog
from dgmmis.store import open_catalog
from dgmmis.store.manifest import ChunkRecords, FileRecord, Manifest
from stored_sources import make_source, write

N_ROWS, CHUNK_ROWS = 23, 5


@pytest.fixture
def folder(tmp_path) -> Path:
    schema, rows = make_source(20, N_ROWS, 3)
    return write(tmp_path / "c", schema, rows, chunk_rows=CHUNK_ROWS).path


def forge(folder: Path, name: str, content: bytes) -> None:
    """Put a file into a catalogue and a matching entry into its manifest, as a stranger could."""
    manifest = Manifest.read(folder)
    (folder / name).write_bytes(content)
    if name.endswith(".json"):
        manifest.files[name] = FileRecord.of(content)
    else:
        one = ChunkRecords([], [], [])
        one.append(content)
        records = manifest.chunks[name.partition("/c/")[0]]
        records.lengths[0], records.crc32c[0], records.sha256[0] = (
            one.lengths[0],
            one.crc32c[0],
            one.sha256[0],
        )
    (folder / "manifest.json").write_bytes(manifest.to_bytes())


def with_checksum(payload: bytes) -> bytes:
    one = ChunkRecords([], [], [])
    one.append(payload + bytes(4))
    return payload + one.crc32c[0].to_bytes(4, "little")


def test_a_small_file_that_would_decode_to_a_huge_block_is_not_decoded(folder):
    bomb = numcodecs.Blosc(cname="lz4").encode(bytes(64 << 20))
    assert len(bomb) < 1 << 20
    forge(folder, "values/c/0/0", with_checksum(bomb))
    with pytest.raises(CorruptCatalog, match="declares 67108864 decoded bytes"):
        open_catalog(folder).read_rows(0)


def test_a_block_that_cannot_be_decoded_is_a_typed_error(folder):
    whole = (folder / "values/c/0/0").read_bytes()[:-4]
    forge(folder, "values/c/0/0", with_checksum(whole[:2] + b"\xe1" + whole[3:16] + b"\xff" * 30))
    with pytest.raises(CorruptCatalog, match="array 'values', chunk 0"):
        open_catalog(folder).read_rows(0)


def test_a_block_that_declares_more_bytes_than_there_are_is_not_decoded(folder):
    whole = (folder / "values/c/0/0").read_bytes()[:-4]
    declared = (len(whole) + 1).to_bytes(4, "little")
    forge(folder, "values/c/0/0", with_checksum(whole[:12] + declared + whole[16:]))
    with pytest.raises(
        CorruptCatalog, match=f"declares {len(whole) + 1} compressed bytes and has {len(whole)}"
    ):
        open_catalog(folder).read_rows(0)


FORGERIES = {
    "codecs": {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}, {"name": "crc32c"}]},
    "data_type": {"data_type": "object"},
    "shape": {"shape": [10**12, 3]},
    "chunk grid": {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**9, 3]}}},
    "node_type": {"node_type": "group"},
    "byte order": {
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "blosc"},
            {"name": "crc32c"},
        ]
    },
    "metadata": {"chunk_grid": 3},
}


@pytest.mark.parametrize("what", FORGERIES)
def test_metadata_of_a_stranger_outside_the_format_are_refused_at_open(what, folder):
    metadata = json.loads((folder / "values/zarr.json").read_bytes()) | FORGERIES[what]
    forge(folder, "values/zarr.json", json.dumps(metadata).encode())
    with pytest.raises(CorruptCatalog, match=f"values/zarr.json.*{what}"):
        open_catalog(folder)


def test_another_codec_is_refused_although_zarr_could_read_it(folder):
    array = zarr.create_array(
        folder.parent / "other",
        shape=(N_ROWS, 3),
        chunks=(CHUNK_ROWS, 3),
        dtype="f8",
        compressors=[GzipCodec()],
    )
    forge(folder, "values/zarr.json", json.dumps(array.metadata.to_dict(), default=str).encode())
    with pytest.raises(CorruptCatalog, match="codecs"):
        open_catalog(folder)


NUMBERS = {
    "another format": ("dgmmis_format", 3, "this version reads formats 1 and 2"),
    "no rows": ("n_rows", 0, "makes no sense"),
    "no schema": ("schema", {}, "makes no sense"),
    "counts in words": ("chunk_rows", "many", "makes no sense"),
}


@pytest.mark.parametrize("change", NUMBERS)
def test_a_manifest_of_another_format_or_without_sense_is_refused(change, folder):
    name, value, message = NUMBERS[change]
    manifest = Manifest.read(folder)
    manifest.numbers[name] = value
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    with pytest.raises(NotACatalog, match=message):
        open_catalog(folder)


def test_a_manifest_with_fewer_chunks_than_the_array_is_refused(folder):
    manifest = Manifest.read(folder)
    manifest.chunks["errors"].sha256.pop()
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    with pytest.raises(CorruptCatalog, match="the manifest has 4 chunks, the array 5"):
        open_catalog(folder)
