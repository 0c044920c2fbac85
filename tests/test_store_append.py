"""An append adds new chunks and changes no old one; a grown catalogue is that of all rows at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.errors import (
    CatalogLocked,
    CorruptCatalog,
    DiskFull,
    EmptySource,
    InvalidSetting,
    NotACatalog,
    StorageFailed,
    TooManyQuarantined,
)
from dgmmis.store import CatalogAppender, CatalogWriter, growth, open_catalog
from dgmmis.store.catalog import _reopen
from dgmmis.store.manifest import Manifest, canonical_json
from dgmmis.store.pilot import PILOT_ROWS
from grown_catalogs import append_rows, assert_same_columns, assert_same_pilot, columns, files_of, grow
from stored_sources import FORMS, IDS, make_source, write

SUMS = (
    "rows",
    "rows_with_nothing_observed",
    "patterns",
    "features",
    "noise",
    "quarantined",
    "pilot_rows",
    "order",
)
"""What a description tells of the rows, whatever their chunks."""


@st.composite
def scenes(draw):
    """Rows, every eleventh of them unusable, where to cut them, and options.

    A pilot in which all first rows found room does not tell how many rows it may have, unless that is the default.
    """
    n_rows = draw(st.integers(4, 90))
    cuts = sorted(draw(st.sets(st.integers(2, n_rows - 1), min_size=1, max_size=2)))
    unusable = np.arange(n_rows) % 11 == 5
    unusable[[0, 1, *cuts]] = False
    schema, rows = make_source(
        draw(st.integers(0, 2**32)),
        n_rows,
        2,
        draw(st.sampled_from(FORMS)),
        ids=draw(st.sampled_from(IDS)),
        dtype=draw(st.sampled_from(("<f4", "<f8"))),
        weights=draw(st.booleans()),
    )
    rows.values[unusable] = np.inf
    some = st.integers(1, int(np.count_nonzero(~unusable[: cuts[0]])) - 1)
    options = {
        "chunk_rows": draw(st.integers(3, 40)),
        "pilot_rows": draw(st.one_of(some, st.just(PILOT_ROWS))),
        "order": draw(st.sampled_from(("chunk", "catalog"))),
    }
    return schema, rows, cuts, options


@settings(max_examples=5)
@given(scene=scenes(), asked=st.integers(1, 20))
def test_a_grown_catalog_is_that_of_all_rows_at_once(scene, asked):
    schema, rows, cuts, options = scene
    with tempfile.TemporaryDirectory() as folder:
        whole = write(Path(folder) / "whole", schema, rows, **options)
        states = grow(Path(folder) / "grown", schema, rows, cuts, **options)
        grown = states[-1]
        assert_same_columns(grown, whole)
        assert_same_pilot(grown, whole)
        assert_same_pilot(grown, whole, asked)
        assert grown.quarantined() == whole.quarantined()
        assert grown.quarantined(2) == whole.quarantined(2)
        ours, theirs = grown.describe(), whole.describe()
        assert {name: ours[name] for name in SUMS} == {name: theirs[name] for name in SUMS}
        assert grown.fingerprints == tuple(state.fingerprint for state in states)
        assert grown.verify() > 0
        for before in states:
            now = grown.as_of(before.fingerprint)
            assert now.describe() == before.describe()
            assert_same_columns(now, before)


def test_rows_of_whole_chunks_are_cut_as_at_once_and_read_alike(tmp_path):
    schema, rows = make_source(1, 50, 3)
    whole = write(tmp_path / "whole", schema, rows, chunk_rows=10)
    grown = grow(tmp_path / "grown", schema, rows, (20, 30), chunk_rows=10)[-1]
    assert [grown.row_range(chunk) for chunk in range(5)] == [whole.row_range(chunk) for chunk in range(5)]
    for chunk in range(5):
        np.testing.assert_array_equal(grown.read_rows(chunk).values, whole.read_rows(chunk).values)
    np.testing.assert_array_equal(grown.read_zones("low"), whole.read_zones("low"))


def test_chunks_are_full_but_the_last_of_each_append(tmp_path):
    schema, rows = make_source(2, 57, 2)
    grown = grow(tmp_path / "c", schema, rows, (7, 30, 31), chunk_rows=10)[-1]
    assert grown.part_rows == (7, 23, 1, 26)
    sizes = [end - first for first, end in map(grown.row_range, range(grown.n_chunks))]
    assert sizes == [7, 10, 10, 3, 1, 10, 10, 6]
    assert [grown.part_range(chunk) for chunk in (0, 3, 4, 7)] == [
        (0, 0, 7),
        (1, 20, 23),
        (2, 0, 1),
        (3, 20, 26),
    ]
    for chunk in range(grown.n_chunks):
        first, end = grown.row_range(chunk)
        values = grown.read_rows(chunk).values
        assert len(values) == end - first == grown.read_samples(chunk).n_rows
        np.testing.assert_array_equal(grown.read_zones("low")[chunk], np.fmin.reduce(values))
    assert sum(n for n in grown.column_nbytes) > 0
    assert (
        grown.pass_nbytes < grown.nbytes == sum(len(content) for content in files_of(tmp_path / "c").values())
    )


def test_no_file_that_was_there_is_touched_but_the_manifest(tmp_path):
    schema, rows = make_source(3, 60, 2)
    write(tmp_path / "c", schema, rows.take(slice(0, 35)), chunk_rows=10)
    for first, end in ((35, 50), (50, 60)):
        before = {path: path.stat() for path in (tmp_path / "c").rglob("*") if path.is_file()}
        append_rows(tmp_path / "c", rows.take(slice(first, end)))
        for path, was in before.items():
            now = path.stat()
            same = (now.st_ino, now.st_mtime_ns, now.st_size) == (was.st_ino, was.st_mtime_ns, was.st_size)
            assert same == (path.name != "manifest.json"), path


def test_who_has_a_catalog_open_goes_on_with_its_rows(tmp_path):
    schema, rows = make_source(4, 60, 2)
    old = write(tmp_path / "c", schema, rows.take(slice(0, 35)), chunk_rows=10)
    expected, sent = columns(old), pickle.dumps(old.keeping_noise((1,)))
    append_rows(tmp_path / "c", rows.take(slice(35, 50)))
    append_rows(tmp_path / "c", rows.take(slice(50, 60)))
    _reopen.cache_clear()
    for catalog in (old, pickle.loads(sent)):
        assert catalog.n_rows == 35
        for name, column in columns(catalog).items():
            np.testing.assert_array_equal(column, expected[name])
        assert catalog.verify() > 0
    assert pickle.loads(sent).kept_noise == (1,)
    with pytest.raises(InvalidSetting, match="never had"):
        old.as_of("0" * 64)


def test_a_catalog_that_never_grew_has_format_1_and_a_grown_one_says_its_format_to_older_versions(tmp_path):
    """An older version compares the fingerprint by its own formula before it names the format."""
    schema, rows = make_source(5, 30, 2)
    old, new = grow(tmp_path / "c", schema, rows, (20,), chunk_rows=10)
    assert (old.describe()["format"], new.describe()["format"]) == (1, 2)
    body = json.loads((tmp_path / "c" / "manifest.json").read_bytes())
    content = {
        "numbers": body["numbers"],
        "chunks": {name: records["sha256"] for name, records in body["chunks"].items()},
        "quarantine": body["files"]["quarantine.jsonl"]["sha256"],
    }
    assert body["fingerprint"] == hashlib.sha256(canonical_json(content)).hexdigest() == new.fingerprint
    assert body["numbers"]["dgmmis_format"] == 2


@pytest.mark.filterwarnings("ignore:Object at")
def test_plain_zarr_reads_the_parts(tmp_path):
    schema, rows = make_source(6, 30, 2)
    grown = grow(tmp_path / "c", schema, rows, (20, 25), chunk_rows=10)[-1]
    group = zarr.open_group(tmp_path / "c", mode="r")
    parts = [group, *(group[f"appended/{part}"] for part in (1, 2))]
    sources = np.concatenate([part["source_row"][:] for part in parts])
    assert sorted(sources) == list(range(30))
    assert parts[-1].attrs["n_rows"] == 30
    assert "appended" in dict(group.groups())
    ids = np.concatenate([part["row_id"][:] for part in parts])
    assert (
        ids.tolist() == np.concatenate([grown.read_ids(chunk)[0] for chunk in range(grown.n_chunks)]).tolist()
    )


@pytest.fixture(scope="module")
def grown_folder(tmp_path_factory) -> Path:
    schema, rows = make_source(7, 40, 2)
    rows.values[[3, 30], 0] = np.inf
    path = tmp_path_factory.mktemp("grown") / "c"
    grow(path, schema, rows, (20,), chunk_rows=8, pilot_rows=12)
    return path


def test_damage_to_any_appended_file_is_seen(grown_folder, tmp_path):
    """One file after the other has its last byte changed and put back."""
    folder = shutil.copytree(grown_folder, tmp_path / "c")
    files = [path for path in (folder / "appended").rglob("*") if path.is_file()]
    assert open_catalog(folder).verify() == len(files_of(folder)) - 1  # the manifest vouches for itself
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(CorruptCatalog):
            open_catalog(folder).verify()
        path.write_bytes(content)
    assert open_catalog(folder).verify() > 0


def test_a_damaged_appended_chunk_is_named_with_its_rows(grown_folder, tmp_path):
    folder = shutil.copytree(grown_folder, tmp_path / "c")
    (folder / "appended/1/values/c/1/0").unlink()
    catalog = open_catalog(folder)
    assert catalog.row_range(4) == (27, 35)
    with pytest.raises(CorruptCatalog, match="missing") as caught:
        catalog.read_rows(4)
    assert (caught.value.array, caught.value.chunk, caught.value.rows) == ("appended/1/values", 1, (27, 35))


@pytest.mark.parametrize(
    "change", [{"appended": []}, {"appended": [{}]}, {"n_rows": 3}, {"pilot_limit": 0}, {"appended": None}]
)
def test_a_manifest_without_sense_is_refused(change, grown_folder, tmp_path):
    folder = shutil.copytree(grown_folder, tmp_path / "c")
    manifest = Manifest.read(folder)
    manifest.numbers.update(change)
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    with pytest.raises(NotACatalog, match="makes no sense"):
        open_catalog(folder)


@pytest.mark.parametrize("failing_write", [1, 5, 20, 45])
def test_a_failing_disk_leaves_the_catalog_as_it_was(failing_write, grown_folder, tmp_path, monkeypatch):
    folder = shutil.copytree(grown_folder, tmp_path / "c")
    before, (_, rows) = files_of(folder), make_source(8, 30, 2)
    original, calls = zarr.storage.LocalStore.set, Counter()

    async def fail(store, key, value):
        calls["set"] += 1
        if calls["set"] >= failing_write:
            raise OSError(28, "No space left on device")
        await original(store, key, value)

    unless_there = zarr.storage.LocalStore.set_if_not_exists

    async def come_late(store, key, value):
        await asyncio.sleep(0.03)  # written beside the file that fails, and after it
        await unless_there(store, key, value)

    monkeypatch.setattr(zarr.storage.LocalStore, "set", fail)
    monkeypatch.setattr(zarr.storage.LocalStore, "set_if_not_exists", come_late)
    with pytest.raises(DiskFull, match="No space left"):
        append_rows(folder, rows)
    assert files_of(folder) == before
    assert [path.name for path in (folder / "appended").iterdir() if path.is_dir()] == ["1"]


def test_a_failure_after_the_manifest_was_placed_does_not_take_its_part_away(tmp_path, monkeypatch):
    schema, rows = make_source(14, 40, 2)
    old = write(tmp_path / "c", schema, rows.take(slice(0, 20)), chunk_rows=8)

    def fail(path: Path) -> None:
        if Manifest.read(tmp_path / "c").fingerprint != old.fingerprint:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(growth, "sync", fail)
    with pytest.raises(StorageFailed, match="Input/output"):
        append_rows(tmp_path / "c", rows.take(slice(20, 40)))
    found = open_catalog(tmp_path / "c")
    assert (found.n_rows, found.verify() > 0) == (40, True)
    monkeypatch.undo()
    assert append_rows(tmp_path / "c", rows.take(slice(20, 40))).n_rows == 60


def test_an_append_without_usable_rows_or_with_too_many_bad_ones_changes_nothing(grown_folder, tmp_path):
    folder = shutil.copytree(grown_folder, tmp_path / "c")
    before, (_, rows) = files_of(folder), make_source(9, 10, 2, missing=0)
    bad = replace(rows, values=np.full((10, 2), np.inf))
    with pytest.raises(EmptySource, match="can be used"):
        append_rows(folder, bad)
    with pytest.raises(TooManyQuarantined, match="row 4 ") as caught:
        append_rows(
            folder,
            replace(rows, values=np.where(np.arange(10)[:, None] > 3, np.inf, rows.values)),
            max_quarantined=0,
        )
    assert caught.value.row == 4  # counted in its own source
    with CatalogAppender(folder) as appender:
        appender.append(rows)
    assert files_of(folder) == before


def test_one_process_at_a_time_appends_and_none_replaces_meanwhile(tmp_path):
    schema, rows = make_source(10, 20, 2)
    write(tmp_path / "c", schema, rows)
    with CatalogAppender(tmp_path / "c") as appender:
        appender.append(rows)
        with pytest.raises(CatalogLocked, match="another process appends"):
            CatalogAppender(tmp_path / "c")
        with pytest.raises(CatalogLocked, match="another process appends"):
            write(tmp_path / "c", schema, rows, overwrite=True)
        assert appender.finish({}).n_rows == 40
    assert append_rows(tmp_path / "c", rows).n_rows == 60
    assert write(tmp_path / "c", schema, rows, overwrite=True).n_rows == 20


def test_a_catalog_that_was_replaced_by_hand_is_not_spoiled(tmp_path):
    schema, rows = make_source(11, 20, 2)
    write(tmp_path / "c", schema, rows)
    other = write(tmp_path / "other", schema, rows.take(slice(0, 9)))
    with CatalogAppender(tmp_path / "c") as appender:
        appender.append(rows)
        shutil.rmtree(tmp_path / "c")
        (tmp_path / "other").rename(tmp_path / "c")
        with pytest.raises((CatalogLocked, CorruptCatalog)):
            appender.finish({})
    assert open_catalog(tmp_path / "c").fingerprint == other.fingerprint
    assert open_catalog(tmp_path / "c").verify() > 0


def test_what_is_no_catalog_is_not_appended_to(tmp_path):
    with pytest.raises(NotACatalog):
        CatalogAppender(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


STAGES = ("chunks", "disk", "manifest", "placed")
SCRIPT = """
import asyncio, os, sys, threading, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import zarr.storage
from grown_catalogs import append_rows
from stored_sources import make_source

root, once = Path({folder!r}), {{}}

def hang(stage):
    if not once.setdefault(stage, 0):
        once[stage] = 1
        print(stage, flush=True)
    time.sleep(60)

fsync, put, replace = os.fsync, zarr.storage.LocalStore.set, Path.replace

def slow_fsync(descriptor):
    if f"/disk/" in os.readlink(f"/proc/self/fd/{{descriptor}}"):
        hang("disk")
    fsync(descriptor)

async def slow_put(store, key, value):
    await put(store, key, value)
    if "/chunks/" in str(store.root) and key.startswith("values/c/1"):
        print("chunks", flush=True)
        await asyncio.sleep(60)

def slow_replace(path, target):
    if "/manifest/" in str(path):
        hang("manifest")
    done = replace(path, target)
    if "/placed/" in str(path) and path.name == ".manifest.json.writing":
        hang("placed")
    return done

os.fsync, zarr.storage.LocalStore.set, Path.replace = slow_fsync, slow_put, slow_replace
_, rows = make_source(12, 50, 2)
for stage in {stages!r}:
    threading.Thread(
        target=append_rows, args=(root / stage / "c", rows.take(slice(20, 50))), daemon=True
    ).start()
time.sleep(60)
"""


def test_a_kill_at_any_moment_leaves_the_old_catalog_or_the_new_one(tmp_path):
    """One process appends to four catalogues and is killed while each is at another stage."""
    schema, rows = make_source(12, 50, 2)
    for stage in (*STAGES, "undisturbed"):
        old = write(tmp_path / stage / "c", schema, rows.take(slice(0, 20)), chunk_rows=8)
    undisturbed = tmp_path / "undisturbed/c"
    new = append_rows(undisturbed, rows.take(slice(20, 50)))
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path), stages=STAGES)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reached = {process.stdout.readline().strip() for _ in STAGES}
        process.send_signal(signal.SIGKILL)
    assert reached == set(STAGES)
    for stage in STAGES:
        path = tmp_path / stage / "c"
        found = open_catalog(path)
        assert found.fingerprint == (new if stage == "placed" else old).fingerprint
        assert found.verify() > 0
        if stage != "placed":
            assert (path / "appended/1").is_dir()
            append_rows(path, rows.take(slice(20, 50)))
        assert files_of(path).keys() == files_of(undisturbed).keys()
        assert open_catalog(path).fingerprint == new.fingerprint


def test_a_writer_that_was_finished_takes_no_more(tmp_path):
    schema, rows = make_source(13, 5, 1)
    with CatalogWriter(tmp_path / "c", schema) as writer:
        writer.append(rows)
        writer.finish()
    with CatalogAppender(tmp_path / "c") as appender:
        appender.append(rows)
        appender.finish({})
        with pytest.raises(InvalidSetting, match="make another"):
            appender.append(rows)
