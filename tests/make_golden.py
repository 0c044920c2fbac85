"""Makes a golden folder: a catalogue, a run that stopped after three updates, a model, and where they lead.

Run it with the version of dgmmis that is to be remembered:

    PYTHONPATH=OLD/VERSION python tests/make_golden.py NAME

It writes tests/golden/NAME.tar.xz.  Those that are there are never made anew: they are what older versions wrote.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np

import dgmmis
from dgmmis.runs import numerics_fingerprint, open_run

GOLDEN = Path(__file__).parent / "golden"
PLACE = Path("/tmp/golden")
"""Where it is made: the paths that the files name are the same on every machine."""
STOPPED, RESUMED = 3, 5


def table(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two clusters, a tenth of the values missing, and their variances."""
    rng = np.random.default_rng(seed)
    centers = np.array([[0.0, 0.0], [6.0, 3.0]])[rng.integers(2, size=n_rows)]
    variances = rng.uniform(0.05, 0.3, (n_rows, 2))
    values = centers + rng.normal(size=(n_rows, 2)) * np.sqrt(1 + variances)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values, variances


def make(name: str) -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    values, variances = table(120, 0)
    catalog = dgmmis.ingest(values, PLACE / "stars.zarr", features=("a", "b"), noise=variances, chunk_rows=50)
    if hasattr(dgmmis, "append"):
        catalog = grown(PLACE / "stars.zarr")
    settings = {"n_components": 2, "tolerance": 0, "run": PLACE / "run"}
    dgmmis.fit(catalog, max_passes=STOPPED, **settings).model.save(PLACE / "run" / "model.npz")
    shutil.copytree(PLACE / "run", PLACE / "resumed")
    dgmmis.resume(PLACE / "resumed", max_passes=RESUMED)
    last = open_run(PLACE / "resumed").latest()
    assert last is not None
    expected = {
        "numerics": numerics_fingerprint(),
        "stopped": open_run(PLACE / "run").latest().digest,
        "resumed": last.digest,
        "log_likelihoods": last.scan.log_likelihoods,
        "means": last.scan.mixture.means.tolist(),
    }
    shutil.rmtree(PLACE / "resumed")
    (PLACE / "run" / "lock").unlink()
    (PLACE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    with tarfile.open(GOLDEN / f"{name}.tar.xz", "x:xz") as archive:
        archive.add(PLACE, ".", filter=_of_nobody)


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def grown(path: Path) -> dgmmis.Catalog:
    """Append the rows of a table to the catalogue."""
    values, variances = table(30, 1)
    return dgmmis.append(path, values, noise=variances)


if __name__ == "__main__":
    make(sys.argv[1])
