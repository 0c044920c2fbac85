"""Catalogues, runs and models as a stranger could make them: whole by their own account, and up to no good."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr

import dgmmis
from dgmmis.store.manifest import ChunkRecords, FileRecord, Manifest

EVIL = """
import pathlib
pathlib.Path(__file__).with_name("executed").touch()
def keep(values):
    return values[:, 0] * 0 + 1
def density(values, covariances):
    return values[:, 0] * 0 + 1
"""

Case = tuple[str, str, str]
"""Name, what to do with it, and its path."""


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.mark,)


# --- catalogues


def forged(catalog: Path, to: Path, change: Callable[[Path, Manifest], None]) -> None:
    """Copy a catalogue, change it, and have the manifest agree with whatever lies there."""
    shutil.copytree(catalog, to)
    manifest = Manifest.read(to)
    change(to, manifest)
    (to / "manifest.json").write_bytes(manifest.to_bytes())


def metadata(**changes: object) -> Callable[[Path, Manifest], None]:
    def change(folder: Path, manifest: Manifest) -> None:
        name = "values/zarr.json"
        content = json.dumps(json.loads((folder / name).read_bytes()) | changes).encode()
        (folder / name).write_bytes(content)
        manifest.files[name] = FileRecord.of(content)

    return change


def chunk(content: bytes) -> Callable[[Path, Manifest], None]:
    def change(folder: Path, manifest: Manifest) -> None:
        one, records = ChunkRecords([], [], []), manifest.chunks["values"]
        one.append(content + bytes(4))
        stored = content + one.crc32c[0].to_bytes(4, "little")
        one = ChunkRecords([], [], [])
        one.append(stored)
        for mine, theirs in zip(vars(records).values(), vars(one).values(), strict=True):
            mine[0] = theirs[0]
        (folder / "values/c/0/0").write_bytes(stored)

    return change


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path, Manifest], None]:
    def change(folder: Path, manifest: Manifest) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def numbers(**changes: object) -> Callable[[Path, Manifest], None]:
    return lambda folder, manifest: manifest.numbers.update(changes)


def codecs(*names: str) -> list[dict[str, object]]:
    return [{"name": name, "configuration": {}} for name in names]


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


CATALOGS = {
    "a pickle codec": metadata(codecs=codecs("bytes", "numcodecs.pickle", "crc32c")),
    "an object codec": metadata(codecs=codecs("vlen-utf8", "blosc", "crc32c")),
    "an unknown codec": metadata(codecs=codecs("bytes", "evil", "crc32c")),
    "a codec that is a module": metadata(codecs=codecs("bytes", "evil_cuts:keep", "crc32c")),
    "an object dtype": metadata(data_type="object"),
    "a string dtype": metadata(data_type={"name": "variable_length_utf8"}),
    "a huge shape": metadata(shape=[10**15, 2]),
    "a negative shape": metadata(shape=[-1, 2]),
    "a huge chunk": metadata(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**12, 2]}}),
    "a storage transformer": metadata(chunk_key_encoding={"name": "evil_cuts"}),
    "a decompression bomb": chunk(numcodecs.Blosc(cname="lz4").encode(bytes(64 << 20))),
    "a chunk of noise": chunk(b"\x02\x01\x21\x08" + b"\xff" * 60),
    "a chunk of a tebibyte": replaced("values/c/0/0", sparse),
    "a chunk without end": replaced("values/c/0/0", zero),
    "a chunk that is a pipe": replaced("values/c/0/0", os.mkfifo),
    "metadata that are a pipe": replaced("values/zarr.json", os.mkfifo),
    "metadata without end": replaced("zarr.json", zero),
    "more rows than chunks": numbers(n_rows=10**15),
    "a pilot larger than the world": numbers(pilot_rows=10**15),
    "a chunk larger than the world": numbers(chunk_rows=10**15, n_rows=10**15),
    "rows that are a text": numbers(n_rows="__import__('os').system('true')"),
}


def hostile_catalogs(folder: Path, catalog: Path) -> list[Case]:
    cases: list[Case] = []
    for name, change in CATALOGS.items():
        place = name.replace(" ", "_")
        forged(catalog, folder / place, change)
        cases.append((name, "catalog", place))
    for name, make in {"pipe": os.mkfifo, "zero": zero, "sparse": sparse}.items():
        shutil.copytree(catalog, folder / f"manifest_{name}")
        (folder / f"manifest_{name}" / "manifest.json").unlink()
        make(folder / f"manifest_{name}" / "manifest.json")
        cases.append((f"a manifest that is {name}", "catalog", f"manifest_{name}"))
    shutil.copytree(catalog, folder / "nested")
    (folder / "nested" / "manifest.json").write_text("[" * 1_000_000)
    cases.append(("a manifest nested a million deep", "catalog", "nested"))
    zarr.create_array(folder / "version2", shape=(3,), chunks=(3,), dtype="f8", zarr_format=2)
    array = json.loads((folder / "version2" / ".zarray").read_text())
    array |= {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 4}], "compressor": None}
    (folder / "version2" / ".zarray").write_text(json.dumps(array))
    (folder / "version2" / "0").write_bytes(pickle.dumps([Payload(folder / "unpickled")]))
    cases.append(("a Zarr 2 array of pickles", "catalog", "version2"))
    return cases


def expression(text: str) -> Callable[[Path, Manifest], None]:
    """An ingest whose recorded condition is a program: an append would evaluate it."""

    def change(folder: Path, manifest: Manifest) -> None:
        content = json.loads((folder / "zarr.json").read_bytes())
        content["attributes"]["schema"]["provenance"]["options"]["where"] = text
        (folder / "zarr.json").write_bytes(json.dumps(content).encode())
        manifest.files["zarr.json"] = FileRecord.of((folder / "zarr.json").read_bytes())

    return change


# --- npz files


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(*members: tuple[str, bytes], compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def huge_header(dtype: str = "<f8", shape: str = "(1000000000000,)") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def hostile_archives(mark: Path) -> dict[str, bytes]:
    objects = np.empty(1, object)
    objects[0] = Payload(mark)
    lying = bytearray(zipped(("means.npy", npy(np.zeros(3)))))
    at = lying.rindex(b"PK\x01\x02")
    lying[at + 24 : at + 28] = (1 << 31).to_bytes(4, "little")
    return {
        "an array of objects": npz(amplitudes=objects, means=objects, covariances=objects, header=objects),
        "a compressed bomb": zipped(("means.npy", npy(np.zeros(1 << 27))), compressed=True),
        "a header that claims a terabyte": zipped(("means.npy", huge_header())),
        "a negative shape": zipped(("means.npy", huge_header(shape="(-1, -8)") + bytes(64))),
        "a header that is a program": zipped(("means.npy", huge_header(shape="__import__('os').mkdir('x')"))),
        "a header nested deep": zipped(("means.npy", huge_header(shape="(" * 60 + ")" * 60))),
        "a size that lies": bytes(lying),
        "a member that is a path": zipped(("../../evil.npy", npy(np.zeros(3)))),
        "a pickle": pickle.dumps(Payload(mark)),
        "nothing": b"",
    }


def hostile_models(folder: Path) -> list[Case]:
    cases: list[Case] = []
    for name, content in hostile_archives(folder / "unpickled").items():
        path = f"model_{name.replace(' ', '_')}.npz"
        (folder / path).write_bytes(content)
        cases.append((f"a model: {name}", "model", path))
    parameters = {"amplitudes": np.ones(1), "means": np.zeros((1, 2)), "covariances": np.eye(2)[None]}
    callback = {
        "kind": "Callback",
        "reference": "evil_cuts:keep",
        "source_sha256": "0",
        "features": None,
        "name": None,
    }
    density = {"kind": "density", "density": "evil_cuts:density", "n_features": 2}
    plain = {
        "format": "dgmmis model 2",
        "features": ["a", "b"],
        "units": ["", ""],
        "backgrounds": [],
        "selection": None,
    }
    deep: dict[str, Any] = {"kind": "Box"}
    for _ in range(300):
        deep = {"kind": "Complement", "parts": [deep]}
    headers = {
        "a selection by name": {**plain, "selection": callback},
        "a selection inside others": {**plain, "selection": {"kind": "Union", "parts": [callback, callback]}},
        "a selection that unpickles": {**plain, "selection": {**callback, "reference": "pickle:loads"}},
        "a selection nested deep": {**plain, "selection": deep},
        "a density by name": {**plain, "backgrounds": [density]},
        "a density of the library": {**plain, "backgrounds": [{**density, "density": "os:system"}]},
        "a density that is no name": {**plain, "backgrounds": [{**density, "density": {"a": 1}}]},
    }
    for name, header in headers.items():
        path = f"model_{name.replace(' ', '_')}.npz"
        (folder / path).write_bytes(npz(header=np.array(json.dumps(header)), **parameters))
        cases.append((f"a model: {name}", "model", path))
    (folder / "model_deep.npz").write_bytes(npz(header=np.array("[" * 100_000), **parameters))
    os.mkfifo(folder / "model_pipe.npz")
    zero(folder / "model_zero.npz")
    return [
        *cases,
        *((f"a model: {name}", "model", f"model_{name}.npz") for name in ("deep", "pipe", "zero")),
    ]


# --- runs


def sealed(payload: bytes) -> bytes:
    return payload + hashlib.sha256(payload).digest()


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def hostile_runs(folder: Path, run: Path) -> list[Case]:
    """Runs to look at and to resume; `run` is one that stopped, of a catalogue that is there."""
    cases: list[Case] = []

    def case(name: str, part: str, make: Callable[[Path], object], *verbs: str) -> None:
        place = folder / f"run_{len(cases)}"
        shutil.copytree(run, place)
        (place / part).unlink(missing_ok=True)
        (place / part).parent.mkdir(exist_ok=True)
        make(place / part)
        cases.extend((f"a run: {name}", verb, place.name) for verb in verbs)

    described = json.loads((run / "run.json").read_text())
    urls = {**described, "data": {**described["data"], "path": "http://169.254.169.254/latest/meta-data"}}
    last = max((run / "ckpt").iterdir()).name
    for name, content in hostile_archives(folder / "unpickled").items():
        write = partial(_write, sealed(content))
        case(f"a checkpoint of {name}", f"ckpt/{last}", write, "look")
        case(f"a start of {name}", "start.ckpt", write, "resume")
    every: dict[str, tuple[str, Callable[[Path], object]]] = {
        "its rows at a URL": ("run.json", text(json.dumps(urls))),
        "nested deep": ("run.json", text("[" * 1_000_000)),
        "empty": ("run.json", text(json.dumps({"format": "dgmmis run 2"}))),
        "of nulls": ("run.json", text(json.dumps(dict.fromkeys(described) | {"format": "dgmmis run 2"}))),
        "a pipe": ("run.json", os.mkfifo),
        "without end": ("run.json", zero),
        "a log without end": ("log/0001.jsonl", zero),
        "a log that is a pipe": ("log/0001.jsonl", os.mkfifo),
        "a log of nonsense": ("log/0001.jsonl", text('{"event": "pass"}\n[1]\n"x"\n')),
        "an attempt of nonsense": ("attempts/0001.json", text('{"tolerance": "rm -rf"}')),
        "an attempt without end": ("attempts/0001.json", zero),
        "an end of nonsense": ("final.json", text('{"state": {"a": 1}}')),
        "a lock that is a pipe": ("lock", os.mkfifo),
        "a request of nonsense": (
            "requests/0001.json",
            text('{"asked": 1, "tolerance": "rm", "workers": [-1]}'),
        ),
        "a request that is a list": ("requests/0001.json", text("[1]")),
        "a request that is a pipe": ("requests/0001.json", os.mkfifo),
        "a request without end": ("requests/0001.json", zero),
        "a request nested deep": ("requests/0001.json", text("[" * 1_000_000)),
        "a cancel that is a pipe": ("cancel", os.mkfifo),
        "a cancel that leads elsewhere": ("cancel", lambda path: path.symlink_to("/etc/passwd")),
        "collected garbage of nonsense": ("collected/0001.json", text("[1]")),
    }
    for name, (part, make) in every.items():
        case(name, part, make, "look", "report", "resume")
    return cases


def run_with_functions(folder: Path, catalog: Path, **settings: Any) -> None:
    """Begin a run of functions, and stop it after a pass."""
    dgmmis.fit(catalog, n_components=1, run=folder, max_passes=1, tolerance=0, **settings)
