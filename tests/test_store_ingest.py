"""An ingest gives a whole catalogue or nothing, and no unusable row is lost from sight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr.storage

from dgmmis.errors import (
    AlreadyExists,
    DiskFull,
    EmptySource,
    InvalidSetting,
    NotACatalog,
    StorageFailed,
    TooManyQuarantined,
)
from dgmmis.store import CatalogWriter, StoredRows, open_catalog
from stored_sources import batches, make_source, write

SPOILED = {
    "infinite value": ("errors", "values", np.inf, "feature 1", "infinite value", "inf"),
    "no error": ("errors", "errors", np.nan, "errors[feature 1]", "no noise for a present feature", "nan"),
    "infinite error": (
        "errors",
        "errors",
        np.inf,
        "errors[feature 1]",
        "infinite noise of a present feature",
        "inf",
    ),
    "negative error": (
        "correlated",
        "errors",
        -0.5,
        "errors[feature 1]",
        "negative error of a present feature",
        -0.5,
    ),
    "negative variance": (
        "variances",
        "variances",
        -0.5,
        "variances[feature 1]",
        "negative variance of a present feature",
        -0.5,
    ),
}


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("what", SPOILED)
def test_an_unusable_row_is_set_aside_with_its_column_reason_and_value(what, jitter, tmp_path):
    form, array, bad, column, reason, value = SPOILED[what]
    schema, rows = make_source(30, 20, 3, form, missing=0, jitter=jitter, ids="text")
    columns = {"values": rows.values, **rows.noise}
    columns[array][13, 1] = bad
    catalog = write(tmp_path / "c", schema, rows, chunk_rows=10, batch_rows=7)
    (entry,) = catalog.quarantined()
    name = bytes(rows.ids[13]).rstrip(b"\0").decode()
    assert entry == {"row": 13, "id": name, "column": column, "reason": reason, "value": value}
    assert (catalog.n_rows, catalog.n_quarantined) == (19, 1)
    sources = np.concatenate([catalog.read_ids(chunk)[1] for chunk in range(catalog.n_chunks)])
    assert sorted(sources) == [*range(13), *range(14, 20)]
    assert catalog.describe()["quarantined"] == {"rows": 1, "reasons": {reason: 1}}


@pytest.mark.parametrize(
    ("bad", "reason", "value"),
    [(np.nan, "covariance not finite", "nan"), (1.5, "noise covariance not positive semi-definite", 1.5)],
)
def test_a_correlation_that_cannot_be_is_named_with_its_pair(bad, reason, value, tmp_path):
    schema, rows = make_source(31, 8, 3, missing=0)
    rows.noise["correlations"][5, 1] = bad
    (entry,) = write(tmp_path / "c", schema, rows).quarantined()
    assert (entry["row"], entry["reason"], entry["value"]) == (5, reason, value)
    assert entry["column"] == "correlations[feature 2, feature 0]"


def test_a_negative_weight_is_named(tmp_path):
    schema, rows = make_source(32, 8, 2)
    rows.weights[2] = -1
    (entry,) = write(tmp_path / "c", schema, rows).quarantined()
    assert (entry["row"], entry["column"], entry["value"]) == (2, "weights", -1)


def test_faults_of_features_that_a_row_lacks_do_not_matter(tmp_path):
    schema, rows = make_source(33, 8, 2, "errors", missing=0)
    rows.values[4], rows.noise["errors"][4] = np.nan, -np.inf
    catalog = write(tmp_path / "c", schema, rows)
    assert (catalog.n_rows, catalog.n_quarantined) == (8, 0)
    assert catalog.describe()["rows_with_nothing_observed"] == 1


def test_a_value_too_large_for_the_stored_precision_is_set_aside(tmp_path):
    schema, rows = make_source(34, 8, 2, "none", missing=0)
    rows.values[3, 0] = 1e300
    catalog = write(tmp_path / "c", replace(schema, value_dtype="<f4"), rows)
    assert catalog.quarantined()[0]["reason"] == "infinite value"


def test_the_quarantine_lists_rows_in_source_order_whatever_the_batches(tmp_path):
    schema, rows = make_source(35, 60, 2, "errors", missing=0)
    bad = [4, 17, 18, 40, 59]
    rows.values[bad, 1] = np.inf
    listed = [
        write(tmp_path / str(size), schema, rows, batch_rows=size, chunk_rows=20).quarantined()
        for size in (3, 7, 60)
    ]
    assert [entry["row"] for entry in listed[0]] == bad
    assert listed[0] == listed[1] == listed[2]
    catalog = open_catalog(tmp_path / "7")
    assert catalog.quarantined(2) == listed[0][:2]
    assert catalog.fingerprint == open_catalog(tmp_path / "60").fingerprint


def test_more_unusable_rows_than_allowed_are_an_error_that_names_the_first(tmp_path):
    schema, rows = make_source(36, 30, 2, "errors", missing=0)
    rows.values[[7, 11, 20], 1] = np.inf
    assert write(tmp_path / "enough", schema, rows, max_quarantined=3).n_quarantined == 3
    with pytest.raises(TooManyQuarantined, match=r"row 7 .*row 11 ") as caught:
        write(tmp_path / "c", schema, rows, max_quarantined=1, batch_rows=8)
    assert (caught.value.row, caught.value.column, caught.value.value) == (7, "feature 1", "inf")
    assert [path.name for path in tmp_path.iterdir()] == ["enough"]


def test_a_source_without_a_usable_row_is_an_error(tmp_path):
    schema, rows = make_source(37, 5, 2, "none")
    with pytest.raises(EmptySource, match="source is empty"):
        write(tmp_path / "c", schema, rows.take(slice(0, 0)))
    rows.values[:] = np.inf
    with pytest.raises(EmptySource, match="'infinite value': 5"):
        write(tmp_path / "c", schema, rows)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_batch_and_one_that_ends_with_a_chunk_change_nothing(tmp_path):
    schema, rows = make_source(38, 12, 2)
    whole = write(tmp_path / "whole", schema, rows, chunk_rows=4)
    with CatalogWriter(tmp_path / "parts", schema, chunk_rows=4) as writer:
        writer.append(rows.take(slice(0, 0)))
        for batch in batches(rows, 4):
            writer.append(batch)
            writer.append(rows.take(slice(0, 0)))
        assert (writer.n_rows, writer.n_quarantined) == (12, 0)
        assert writer.finish().fingerprint == whole.fingerprint


@pytest.mark.parametrize("failing_write", [1, 9, 40, 60])
def test_a_failing_disk_leaves_nothing(failing_write, tmp_path, monkeypatch):
    schema, rows = make_source(39, 40, 2)
    original, calls = zarr.storage.LocalStore.set, Counter()

    async def fail(store, key, value):
        calls["set"] += 1
        if calls["set"] >= failing_write:
            raise OSError(28, "No space left on device")
        await original(store, key, value)

    monkeypatch.setattr(zarr.storage.LocalStore, "set", fail)
    with pytest.raises(DiskFull, match="No space left"):
        write(tmp_path / "c", schema, rows, chunk_rows=8)
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_block_without_finish_leaves_nothing(tmp_path):
    schema, rows = make_source(40, 10, 2)
    with CatalogWriter(tmp_path / "c", schema, chunk_rows=3) as writer:
        writer.append(rows)
        assert not (tmp_path / "c").exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidSetting, match="make another"):
        writer.append(rows)


SCRIPT = """
import os, sys, threading, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from stored_sources import make_source
from dgmmis.store import CatalogWriter

once = threading.Lock()

def hang(descriptor):
    if once.acquire(blocking=False):
        print("hanging", flush=True)
    time.sleep(60)

schema, rows = make_source(41, 20, 2)
writers = [CatalogWriter(Path({folder!r}) / name, schema, overwrite=True) for name in ("new", "earlier")]
for writer in writers:
    writer.append(rows)
os.fsync = hang
writers[1].finish()
"""


def test_a_killed_ingest_leaves_nothing_that_opens_and_the_next_one_clears_up(tmp_path):
    """One ingest is killed between two batches, the other when it is complete but not yet in place."""
    schema, rows = make_source(42, 10, 2)
    earlier = write(tmp_path / "earlier", schema, rows)
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.glob(".*.partial-*"))) == 2
    with pytest.raises(NotACatalog):
        open_catalog(tmp_path / "new")
    assert open_catalog(tmp_path / "earlier").fingerprint == earlier.fingerprint
    write(tmp_path / "new", schema, rows)
    write(tmp_path / "earlier", schema, rows, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier", "new"]


def test_two_ingests_to_one_place_do_not_disturb_each_other(tmp_path):
    schema, rows = make_source(43, 10, 2)
    with CatalogWriter(tmp_path / "c", schema) as writer:
        writer.append(rows)
        with pytest.raises(AlreadyExists, match="writing to"):
            CatalogWriter(tmp_path / "c", schema)
        assert writer.finish().n_rows == 10


def test_nothing_is_overwritten_unless_asked_for(tmp_path):
    schema, rows = make_source(44, 10, 2)
    first = write(tmp_path / "c", schema, rows)
    with pytest.raises(AlreadyExists, match="allow it to be overwritten"):
        CatalogWriter(tmp_path / "c", schema)
    assert open_catalog(tmp_path / "c").fingerprint == first.fingerprint
    second = write(tmp_path / "c", schema, rows.take(slice(0, 5)), overwrite=True)
    assert open_catalog(tmp_path / "c").fingerprint == second.fingerprint != first.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_came_to_the_place_meanwhile_is_not_overwritten(tmp_path):
    schema, rows = make_source(45, 10, 2)
    with CatalogWriter(tmp_path / "c", schema) as writer:
        writer.append(rows)
        (tmp_path / "c").write_text("a diary")
        with pytest.raises(AlreadyExists):
            writer.finish()
    assert (tmp_path / "c").read_text() == "a diary"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_failed_overwrite_keeps_the_old_catalog(tmp_path):
    schema, rows = make_source(46, 10, 2)
    first = write(tmp_path / "c", schema, rows)
    spoiled = StoredRows(rows.source_rows, rows.ids, rows.values * np.inf, rows.noise, rows.weights)
    with pytest.raises(TooManyQuarantined):
        write(tmp_path / "c", schema, spoiled, overwrite=True, max_quarantined=0)
    assert open_catalog(tmp_path / "c").fingerprint == first.fingerprint


def test_the_old_catalog_comes_back_if_the_new_one_cannot_be_placed(tmp_path, monkeypatch):
    schema, rows = make_source(47, 10, 2)
    first = write(tmp_path / "c", schema, rows)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if ".partial-" in path.name:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StorageFailed, match="Input/output"):
        write(tmp_path / "c", schema, rows.take(slice(0, 5)), overwrite=True)
    assert open_catalog(tmp_path / "c").fingerprint == first.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("kind", ["folder", "file", "zarr group", "link"])
def test_only_a_catalog_is_ever_overwritten(kind, tmp_path):
    schema, rows = make_source(48, 10, 2)
    place = tmp_path / "c"
    if kind == "folder":
        place.mkdir()
        (place / "thesis.tex").write_text("x")
    elif kind == "file":
        place.write_text("x")
    elif kind == "zarr group":
        zarr.create_group(place)
    else:
        write(tmp_path / "other", schema, rows)
        os.symlink(tmp_path / "other", place)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AlreadyExists, match="is not a catalogue"):
        CatalogWriter(place, schema, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_catalog_can_be_overwritten(tmp_path):
    schema, rows = make_source(49, 10, 2)
    write(tmp_path / "c", schema, rows)
    (tmp_path / "c" / "manifest.json").write_text("{}")
    assert write(tmp_path / "c", schema, rows, overwrite=True).n_rows == 10
