"""Files that nobody should ingest, load or compare: broken tables, options, models and lists."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask.dataframe as dd
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import xarray as xr
from astropy.io import fits
from astropy.table import Table
from hypothesis import strategies as st

import dgmmis
from dgmmis.model_formats import FORMATS, export_model, import_model
from malformed import Attempt
from malformed_settings import JUNK, fitted

N = 12
FORMS = (
    "csv", "csv.gz", "parquet", "fits", "npz", "npy", "h5", "mapping", "pandas", "dask", "xarray", "astropy",
)  # fmt: skip
ASKED: dict[str, Any] = {"features": ["a", "b"], "error": ["{}_error"], "corr": "{}_{}_corr", "id": "id"}
ALSO = (
    "a",
    "b",
    "id",
    "w",
    "table",
    "row",
    "column",
    "source",
    "noise",
    "weights",
    "features",
    "frame",
    "Dataset",
)


def right_table() -> dict[str, np.ndarray]:
    """A table that nothing is wrong with."""
    rng = np.random.default_rng(3)
    return {
        "a": rng.normal(size=N),
        "b": rng.normal(size=N),
        "a_error": rng.uniform(0.1, 1, N),
        "b_error": rng.uniform(0.1, 1, N),
        "a_b_corr": rng.uniform(-0.9, 0.9, N),
        "id": np.arange(N),
        "w": np.ones(N),
    }


ODD = (np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, -1.0, 5e-324, 1.0000001, 99.0)
CELLS = (
    "text",
    "1,5",
    "",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "True",
    "\x00",
    "ß",
    '"',
    "1 2",
    "--",
    "1e5",
    "9" * 400,
)


def _odd_number(table: dict[str, Any], draw: Any) -> None:
    name = draw(st.sampled_from(sorted(table)))
    try:
        column = np.array(table[name], dtype=float).ravel()
    except (TypeError, ValueError):
        return
    if not len(column):
        return
    column[draw(st.integers(0, len(column) - 1))] = draw(st.sampled_from(ODD) | st.floats(width=64))
    table[name] = column


def _odd_column(table: dict[str, Any], draw: Any) -> None:
    name = draw(st.sampled_from(sorted(table)))
    column = table[name]
    table[name] = {
        "text": lambda: np.array(["text"] * N),
        "numbers as text": lambda: np.array([str(x) for x in column]),
        "bool": lambda: np.arange(N) % 2 == 0,
        "all missing": lambda: np.full(N, np.nan),
        "all zero": lambda: np.zeros(N),
        "all infinite": lambda: np.full(N, np.inf),
        "negative": lambda: -np.arange(N) - 1.0,
        "unsigned": lambda: np.full(N, 2**64 - 1, dtype=np.uint64),
        "small integers": lambda: np.arange(N, dtype=np.int8),
        "vectors": lambda: np.ones((N, 2)),
        "dates": lambda: np.array(["2020-01-01"] * N, dtype="datetime64[s]"),
        "complex": lambda: np.ones(N, dtype=complex),
        "duplicates": lambda: np.zeros(N, dtype=int),
        "half": lambda: np.ones(N, dtype=np.float16),
        "objects": lambda: np.array([None, 1, "x"] * (N // 3), dtype=object),
        "long text": lambda: np.array(["x" * 70] * N),
        "big endian": lambda: np.arange(N, dtype=">f8"),
    }[draw(st.sampled_from(COLUMN_KINDS))]()


COLUMN_KINDS = (
    "text", "numbers as text", "bool", "all missing", "all zero", "all infinite", "negative", "unsigned",
    "small integers", "vectors", "dates", "complex", "duplicates", "half", "objects", "long text", "big endian",
)  # fmt: skip


def _without(table: dict[str, Any], draw: Any) -> None:
    del table[draw(st.sampled_from(sorted(table)))]


def _renamed(table: dict[str, Any], draw: Any) -> None:
    name = draw(st.sampled_from(sorted(table)))
    table[draw(st.sampled_from(("A", " a", "a\n", "", "ä", "a" * 80, "1", "a,b", "x")))] = table.pop(name)


def _cut_short(table: dict[str, Any], draw: Any) -> None:
    rows = draw(st.sampled_from((0, 0, 1, 2)))
    for name in table:
        table[name] = table[name][:rows]


def _ragged(table: dict[str, Any], draw: Any) -> None:
    name = draw(st.sampled_from(sorted(table)))
    table[name] = table[name][:-1]


TABLE_FAULTS = (_odd_number, _odd_number, _odd_column, _odd_column, _without, _renamed, _cut_short, _ragged)


def write(table: dict[str, Any], folder: Path, form: str) -> Any:
    """Write a table in some form; what that form cannot hold raises here, and is no attempt."""
    path = folder / f"table.{form}"
    if form.startswith("csv"):
        rows = zip(*(np.asarray(column).tolist() for column in table.values()), strict=False)
        text = "\n".join([",".join(table), *(",".join(map(str, row)) for row in rows)])
        path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    elif form == "parquet":
        pyarrow.parquet.write_table(
            pa.table({name: pa.array(list(column)) for name, column in table.items()}), path
        )
    elif form == "fits":
        fits.BinTableHDU(np.rec.fromarrays(list(table.values()), names=list(table))).writeto(path)
    elif form == "npz":
        np.savez(path, **table)
    elif form == "npy":
        np.save(path, np.rec.fromarrays(list(table.values()), names=list(table)).view(np.ndarray))
    elif form == "h5":
        with h5py.File(path, "w") as file:
            for name, column in table.items():
                file[name] = column
    else:
        return LIBRARIES[form](table)
    return path


LIBRARIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "mapping": lambda table: table,
    "pandas": pd.DataFrame,
    "dask": lambda table: dd.from_pandas(pd.DataFrame(table), npartitions=2, sort=False),
    "xarray": lambda table: xr.Dataset({name: ("row", column) for name, column in table.items()}),
    "astropy": Table,
}


def _truncated(path: Path, draw: Any) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: draw(st.integers(0, len(whole)))])


def _flipped(path: Path, draw: Any) -> None:
    whole = bytearray(path.read_bytes())
    for _ in range(draw(st.integers(1, 8))):
        if whole:
            whole[draw(st.integers(0, len(whole) - 1))] ^= 1 << draw(st.integers(0, 7))
    path.write_bytes(bytes(whole))


def _replaced(path: Path, draw: Any) -> None:
    path.write_bytes(
        draw(st.binary(max_size=60) | st.sampled_from((b"", b"\n", b"a,b\n", b"\xff\xfe", b"PK\x03\x04")))
    )


def _odd_cell(path: Path, draw: Any) -> None:
    if path.suffix != ".csv":
        return
    lines = path.read_bytes().split(b"\n")
    line = draw(st.integers(0, len(lines) - 1))
    cells = lines[line].split(b",")
    cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(CELLS)).encode("latin1", "replace")
    lines[line] = b",".join(cells)
    path.write_bytes(b"\n".join(lines))


def _missing_file(path: Path, draw: Any) -> None:
    path.unlink()


def _a_folder(path: Path, draw: Any) -> None:
    path.unlink()
    path.mkdir()


FILE_FAULTS = (
    _truncated,
    _flipped,
    _flipped,
    _replaced,
    _odd_cell,
    _odd_cell,
    _odd_cell,
    _missing_file,
    _a_folder,
)
OPTIONS = (
    "features", "error", "corr", "jitter", "derive", "id", "weights", "where", "units", "missing_error", "chunk_rows",
    "order", "max_quarantined", "overwrite", "noise", "progress",
)  # fmt: skip
NEARLY: dict[str, tuple[Any, ...]] = {
    "features": (["a", "a"], ["a"], "a", [], ["a", "nowhere"], [1, 2], ["c"]),
    "error": (["{}"], ["{}_{}"], ["a=-1"], ["a=nan"], ["a=inf"], ["a="], ["=x"], ["a=b_error"], ["a=1e300"],
    ["x"], ["a=a"]),
    "corr": ("{}", "{}_{}_{}", "", "no", "{}_{}"),
    "jitter": ({"a": -1}, {"x": 1}, {"a": np.nan}, {"a": "1"}, {"a": 1e300}),
    "derive": (["c=a*b"], ["c=a+"], ["c"], ["a=b"], ["c=a**9**9"], ["c=__import__('os')"], ["c=1/0"],
    ["c=a-a"], ["c=1"]),
    "where": ("a >", "nowhere > 1", "a", "a.real", "9**9**9 > a", "'x'", "a > 'x'", "a > 99", "[a]",
    "lambda: 1", "a/0 > 1"),
    "units": ({"a": "parsec per fortnight"}, {"x": "deg"}, {"a": 1}, {"a": "deg", "a_error": "kg"}),
    "id": ("a", "nowhere", "a_b_corr"),
    "weights": ("id", "nowhere", "a"),
    "chunk_rows": (0, -1, 1.5, 10**12, 1, True),
    "max_quarantined": (-1, 0, 1.5, np.nan),
    "noise": (np.eye(2), [[1]]),
}  # fmt: skip


class Folders:
    """New folders below one that the test removes."""

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, 0

    def __call__(self) -> Path:
        self.made += 1
        folder = self.root / str(self.made)
        folder.mkdir()
        return folder


@st.composite
def malformed_ingests(draw: Any, folders: Callable[[], Path]) -> Attempt:
    """Ingests of broken tables and files, and with impossible options; some are appended instead."""
    form = draw(st.sampled_from(FORMS))
    kind = draw(st.sampled_from(("table", "table", "file", "options", "options")))
    table, notes = _broken_table(draw) if kind == "table" else (right_table(), [])
    asked = _broken_options(draw) if kind == "options" or draw(st.integers(0, 3)) == 0 else {}
    options, folder = {**ASKED, **asked}, folders()
    try:
        source = write(table, folder, form)
    except Exception:  # what a form cannot hold is given as arrays
        source = table
    if kind == "file" and isinstance(source, Path):
        fault = draw(st.sampled_from(FILE_FAULTS))
        fault(source, draw)
        notes.append(fault.__name__)
    appended = draw(st.integers(0, 4)) == 0

    def call() -> dgmmis.Catalog:
        if appended:
            more = {name: options[name] for name in ("units", "max_quarantined", "noise") if name in options}
            return dgmmis.append(_plain_catalog(folder), source, **more)
        return dgmmis.ingest(source, folder / "x.zarr", **options)

    return Attempt(call, (*ALSO, *options), what=f"{form} {notes} {asked} append={appended}")


def _broken_table(draw: Any) -> tuple[dict[str, Any], list[str]]:
    table: dict[str, Any] = right_table()
    faults = draw(st.lists(st.sampled_from(TABLE_FAULTS), min_size=1, max_size=2))
    for fault in faults:
        if table:
            fault(table, draw)
    return table, [fault.__name__ for fault in faults]


def _broken_options(draw: Any) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=2))
    near = {name: st.sampled_from(NEARLY[name]) if name in NEARLY else JUNK for name in names}
    options = {name: draw(near[name] | near[name] | JUNK) for name in names}
    if callable(options.get("progress")):  # what it raises is its caller's own
        del options["progress"]
    return options


def _plain_catalog(folder: Path) -> dgmmis.Catalog:
    return dgmmis.ingest(right_table(), folder / "plain.zarr", **ASKED)


@cache
def _saved_model(form: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        export_model(fitted().model, path, form)
        return path.read_bytes()


HEADERS: tuple[Any, ...] = (None, 1, "x", [], {}, {"format": "x"})


@st.composite
def malformed_models(draw: Any, folders: Callable[[], Path]) -> Attempt:
    """Saved models whose arrays, header or bytes were tampered with."""
    folder = folders()
    path = folder / "model.npz"
    form = draw(st.sampled_from(("dgmmis", "dgmmis", *FORMATS)))
    path.write_bytes(_saved_model(form))
    kind = (
        draw(st.sampled_from(("bytes", "array", "header", "header value"))) if form == "dgmmis" else "bytes"
    )
    if kind == "bytes":
        draw(st.sampled_from((_truncated, _flipped, _replaced, _missing_file, _a_folder)))(path, draw)
    else:
        with np.load(path) as stored:
            arrays: dict[str, Any] = dict(stored)
        _tamper(arrays, kind, draw)
        np.savez(path, **arrays)
    user = draw(st.sampled_from(("load", "initial", "gmm") if form == "dgmmis" else ("import", "initial")))

    def call() -> Any:
        if user == "load":
            return dgmmis.Model.load(path)
        if user == "import":
            return import_model(path)
        if user == "gmm":
            from dgmmis import pygmmis

            return pygmmis.GMM.from_file(path)
        values = np.random.default_rng(0).normal(size=(9, 2))
        return dgmmis.fit(values, n_components=2, initial=path, max_passes=1, method="em", floor=0.1)

    return Attempt(
        call,
        (str(path), "amplitude", "means", "covariance", "model", "component", "initial"),
        what=f"{form} {kind} {user}",
    )


def _tamper(arrays: dict[str, Any], kind: str, draw: Any) -> None:
    if kind == "array":
        name = draw(st.sampled_from(("amplitudes", "means", "covariances")))
        array = np.array(arrays[name])
        change = draw(st.sampled_from(("number", "shape", "type", "gone")))
        if change == "number":
            array.flat[draw(st.integers(0, array.size - 1))] = draw(
                st.sampled_from(ODD) | st.floats(width=64)
            )
        elif change == "shape":
            array = draw(st.sampled_from((array[:-1], array[None], array.ravel()[:1], array[:0])))
        elif change == "type":
            array = draw(
                st.sampled_from((array.astype(str), array.astype(complex), array > 0, array.astype(">f4")))
            )
        arrays[name] = array
        if change == "gone":
            del arrays[name]
        return
    header = json.loads(str(arrays["header"]))
    if kind == "header":
        given = draw(st.sampled_from(HEADERS))
        arrays["header"] = np.array(json.dumps(given)) if draw(st.booleans()) else np.array([1.0])
        return
    key = draw(st.sampled_from(("format", "features", "units", "backgrounds", "selection", "selection_note")))
    header[key] = draw(st.sampled_from((None, 1, "x", [], ["a"], ["a", "a"], [1, 2], {}, {"kind": "Box"},
    [{"kind": "uniform"}],
        [{"kind": "density", "density": "os:system"}], {"kind": "Callback", "reference": "os:system"}, True,
        [[]], [None])))  # fmt: skip
    arrays["header"] = np.array(json.dumps(header))
