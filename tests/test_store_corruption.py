"""No damage to any file of a catalogue goes unseen, and each is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from dgmmis.errors import CorruptCatalog, NotACatalog
from dgmmis.store import Catalog, open_catalog
from dgmmis.store.manifest import ChunkRecords, Manifest
from stored_sources import make_source, write

N_ROWS, CHUNK_ROWS, PILOT_ROWS = 23, 5, 12


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """A small catalogue with every array there is, and a few quarantined rows."""
    schema, rows = make_source(20, N_ROWS + 2, 3)
    rows.values[[3, 9], 0] = np.inf
    path = tmp_path_factory.mktemp("pristine") / "c"
    write(path, schema, rows, chunk_rows=CHUNK_ROWS, pilot_rows=PILOT_ROWS)
    return path


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    return shutil.copytree(pristine, tmp_path / "c")


ROW_ARRAYS = ("values", "errors", "correlations", "weights", "row_id", "source_row")
ZONES = ("zone_low", "zone_high", "zone_missing", "zone_noise_low", "zone_noise_high")
ARRAYS = (*ROW_ARRAYS, *(f"pilot/{name}" for name in ROW_ARRAYS), *ZONES)


def chunk_files(folder: Path, array: str) -> list[Path]:
    return sorted(path for path in (folder / array / "c").rglob("*") if path.is_file())


def rows_of(array: str, chunk: int) -> tuple[int, int]:
    if array in ZONES:
        return 0, N_ROWS
    n_rows = PILOT_ROWS if array.startswith("pilot/") else N_ROWS
    return chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, n_rows)


def read(catalog: Catalog, array: str, chunk: int) -> object:
    """Read a chunk of an array by the way that a fit or a person takes."""
    if array in ZONES:
        return catalog.read_zones(array.removeprefix("zone_"))
    if array in ("pilot/row_id", "pilot/source_row"):
        return verify(catalog)  # kept for whoever reads with Zarr; nothing of ours reads them
    if array.startswith("pilot/"):
        return catalog.read_pilot()
    return catalog.read_ids(chunk) if array in ("row_id", "source_row") else catalog.read_samples(chunk)


def verify(catalog: Catalog) -> None:
    assert catalog.verify() > 0


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_other_rows(path: Path) -> None:
    """Put a chunk of the same array in this one's place; where there is no other, one of another array."""
    array = path.parents[path.parts[::-1].index("c")]
    others = [other for other in sorted(array.rglob("c/**/*")) if other.is_file() and other != path]
    pool = others or [p for p in sorted(array.parent.rglob("*/c/**/*")) if p.is_file() and p != path]
    different = next(other for other in pool if other.read_bytes() != path.read_bytes())
    path.write_bytes(different.read_bytes())


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "lengthened": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "flipped in its header": lambda path: flip(path, 37),
    "flipped in its middle": lambda path: flip(path, path.stat().st_size * 4),
    "flipped in its checksum": lambda path: flip(path, path.stat().st_size * 8 - 5),
    "swapped": of_other_rows,
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder": into_a_folder,
}


@contextmanager
def damaged(path: Path, damage: str) -> Iterator[None]:
    """Do a damage to a file, and mend it afterwards."""
    content = path.read_bytes()
    try:
        DAMAGES[damage](path)
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)


@pytest.mark.parametrize("array", ARRAYS)
def test_a_damaged_chunk_is_an_error_that_names_array_chunk_and_rows(array, pristine):
    chunk = len(chunk_files(pristine, array)) - 1
    for damage in DAMAGES:
        with damaged(chunk_files(pristine, array)[chunk], damage):
            catalog = open_catalog(pristine)
            for check in (lambda catalog: read(catalog, array, chunk), verify):
                with pytest.raises(CorruptCatalog, match=f"'{array}', chunk {chunk}") as caught:
                    check(catalog)
                assert (caught.value.array, caught.value.chunk) == (array, chunk), damage
                assert caught.value.rows == rows_of(array, chunk)
    verify(open_catalog(pristine))


def test_every_single_bit_of_a_chunk_counts(folder):
    path = chunk_files(folder, "values")[1]
    content = path.read_bytes()
    catalog = open_catalog(folder)
    catalog.read_rows(1)  # from here on only length and crc32c are compared
    for bit in range(0, 8 * len(content), 7):
        flip(path, bit)
        with pytest.raises(CorruptCatalog, match="array 'values', chunk 1"):
            catalog.read_rows(1)
        path.write_bytes(content)
    catalog.read_rows(1)


def test_a_swap_of_equally_long_chunks_is_seen_even_after_both_were_read(folder):
    first, second = chunk_files(folder, "values")[:2]
    contents = first.read_bytes(), second.read_bytes()
    assert len(contents[0]) == len(contents[1])
    catalog = open_catalog(folder)
    verify(catalog)
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    for chunk in (0, 1):
        with pytest.raises(CorruptCatalog, match=f"chunk {chunk} .*crc32c"):
            catalog.read_rows(chunk)


def test_a_chunk_of_an_older_ingest_is_seen(folder, tmp_path):
    schema, rows = make_source(20, N_ROWS, 3)
    old = write(tmp_path / "old", schema, replace(rows, values=rows.values + 1), chunk_rows=CHUNK_ROWS)
    shutil.copy(chunk_files(old.path, "values")[2], chunk_files(folder, "values")[2])
    with pytest.raises(CorruptCatalog, match=r"array 'values', chunk 2 \(rows 10\.\.14\)"):
        open_catalog(folder).read_rows(2)


METADATA = ("zarr.json", "pilot/zarr.json", "quarantine.jsonl", *(f"{name}/zarr.json" for name in ARRAYS))


@pytest.mark.parametrize("damage", ["deleted", "emptied", "truncated", "flipped in its middle", "a folder"])
def test_damaged_metadata_are_an_error_that_names_the_file(damage, pristine):
    for name in METADATA:
        with damaged(pristine / name, damage):
            with pytest.raises(CorruptCatalog) as caught:
                verify(open_catalog(pristine))
            assert (caught.value.array, caught.value.rows) == (name, (0, N_ROWS))


def test_a_damaged_quarantine_is_not_shown(pristine):
    assert len(open_catalog(pristine).quarantined()) == 2
    with (
        damaged(pristine / "quarantine.jsonl", "truncated"),
        pytest.raises(CorruptCatalog, match="quarantine"),
    ):
        open_catalog(pristine).quarantined()


@pytest.mark.parametrize("name", ["manifest.json", "zarr.json", "values/zarr.json"])
def test_any_flip_or_cut_of_metadata_is_a_typed_error_at_open(name, folder):
    path = folder / name
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.integers(8 * len(content), size=60).tolist():
        flip(path, bit)
        with pytest.raises((NotACatalog, CorruptCatalog)):
            open_catalog(folder)
        path.write_bytes(content[: bit // 8])
        with pytest.raises((NotACatalog, CorruptCatalog)):
            open_catalog(folder)
        path.write_bytes(content)
    open_catalog(folder)


def test_what_is_no_catalog_is_called_so(tmp_path, folder):
    (tmp_path / "file").write_text("x")
    zarr.create_group(tmp_path / "group")
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "manifest.json").write_text('["of something else"]')
    (tmp_path / "empty").mkdir()
    (folder / "manifest.json").unlink()
    for name in ("absent", "file", "group", "listed", "empty", "c"):
        with pytest.raises(NotACatalog, match=name):
            open_catalog(tmp_path / name)


def test_an_unreadable_file_is_a_typed_error(folder, monkeypatch):
    catalog = open_catalog(folder)

    def fail(path: Path, most: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("dgmmis.store.raw_files.read_plain", fail)
    with pytest.raises(CorruptCatalog, match="Input/output error"):
        catalog.read_rows(0)


def test_verify_sees_that_the_catalog_was_replaced(folder, tmp_path):
    catalog = open_catalog(folder)
    schema, rows = make_source(21, N_ROWS, 3)
    write(folder, schema, rows, overwrite=True)
    with pytest.raises(CorruptCatalog, match=r"manifest\.json"):
        verify(catalog)


def test_verify_counts_every_file_but_the_manifest(folder):
    progress = []
    open_catalog(folder).verify(lambda done, of: progress.append((done, of)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert progress == [(done, len(files) - 1) for done in range(1, len(files))]


def test_the_crc32c_of_whole_files_would_not_tell_chunks_apart(folder):
    """Why the manifest leaves the last four bytes out: with them, all files have the same crc32c."""
    whole = set()
    for path in chunk_files(folder, "values"):
        one = ChunkRecords([], [], [])
        one.append(path.read_bytes() + bytes(4))
        whole.add(one.crc32c[0])
    assert len(whole) == 1
    assert len(set(Manifest.read(folder).chunks["values"].crc32c)) == 5


def test_the_codecs_of_the_format_are_those_written(folder):
    array = zarr.open_array(folder / "values", mode="r")
    assert [type(codec) for codec in array.compressors] == [BloscCodec, Crc32cCodec]
    assert np.isnan(array.fill_value)
    assert array.chunks == (CHUNK_ROWS, 3)
