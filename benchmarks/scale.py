"""A catalogue beyond memory, from nothing to a fitted mixture: `python scale.py` writes results_scale.md beside it.

Simulates 200 million rows, ingests them, and fits 32 components with two workers of 1 GiB each; times the stages
and watches the memory of every process.  `--rows 2000000` is a trial of a minute.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results_table import Record
from scale_table import write_scale_results
from simulate_large import COMPONENTS, DEFAULT_ROWS, FEATURES
from surroundings import describe_surroundings
from watched import run_watched

from dgmmis import Model, open_catalog, open_run

__all__ = ["main"]

HERE = Path(__file__).parent
RESULTS = HERE / "results_scale.md"
BYTES_PER_ROW = 70
"""Free disk wanted: 24 for the Parquet files, at most 32 for the catalogue, and some to spare."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages and write the page."""
    options = _parser().parse_args(arguments)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scale-", dir=options.folder) as name:
        folder = Path(name)
        _require_disk(folder, options.rows)
        stages = [_simulate(folder, options), _ingest(folder, options.rows), _fit(folder, options)]
        facts = _facts(folder)
    write_scale_results(options.out, describe_surroundings(), stages, facts)
    print(f"wrote {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--max-passes", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory-limit", default="1 GiB", help="of a worker")
    parser.add_argument("--folder", type=Path, help="on the disk to use; default: that of temporary files")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the table")
    return parser


def _require_disk(folder: Path, rows: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < rows * BYTES_PER_ROW:
        raise SystemExit(
            f"{rows:,} rows want {rows * BYTES_PER_ROW / 1e9:.0f} GB of disk, {free / 1e9:.0f} are free: "
            "name another --folder or fewer --rows."
        )


def _simulate(folder: Path, options: argparse.Namespace) -> Record:
    script, rows = str(HERE / "simulate_large.py"), options.rows
    command = [sys.executable, script, str(folder / "rows"), "--rows", str(rows), "--workers"]
    record = _stage("simulate", [*command, str(options.workers)], folder, rows)
    return record | {"disk": _size(folder / "rows")}


def _ingest(folder: Path, rows: int) -> Record:
    source, catalog = folder / "rows", folder / "rows.zarr"
    command = [sys.executable, "-m", "dgmmis", "ingest", str(source), str(catalog)]
    record = _stage(
        "ingest", [*command, "--features", ",".join(FEATURES), "--error", "{}_error"], folder, rows
    )
    shutil.rmtree(source)
    return record | {"disk": _size(catalog)}


def _fit(folder: Path, options: argparse.Namespace) -> Record:
    command = [sys.executable, "-m", "dgmmis", "fit", str(folder / "rows.zarr"), "-K", str(COMPONENTS)]
    command += ["--run", str(folder / "run"), "--max-passes", str(options.max_passes), "--json"]
    command += ["--workers", str(options.workers), "--memory-limit", options.memory_limit]
    record = _stage("fit", command, folder, options.rows)
    return record | {"disk": _size(folder / "run"), "limit": options.memory_limit}


def _stage(name: str, command: list[str], folder: Path, rows: int) -> Record:
    watched = run_watched(command, folder / f"{name}.log")
    print(f"{name}: {watched.seconds:.0f} s", flush=True)
    return {
        "name": name,
        "rows": rows,
        "seconds": watched.seconds,
        "cpu_seconds": watched.cpu_seconds,
        "peaks": watched.peaks,
    }


def _facts(folder: Path) -> dict[str, Any]:
    """Gather what the run says of itself, and how its mixture and the true one explain the pilot."""
    catalog, run = open_catalog(folder / "rows.zarr"), open_run(folder / "run")
    seconds = {
        kind: [event["seconds"] for event in run.trace() if event["event"] == kind]
        for kind in ("start", "pass")
    }
    final = json.loads((folder / "fit.log").read_text())
    pilot = catalog.read_pilot()
    fitted, true = (
        model.mixture.log_density(pilot.values, pilot.noise)
        for model in (run.model(), Model.load(folder / "rows.truth.npz"))
    )
    return {
        "n_chunks": catalog.n_chunks,
        "n_rows": catalog.n_rows,
        "n_passes": final["n_passes"],
        "reason": final["reason"],
        "start_seconds": sum(seconds["start"]),
        "pass_seconds": seconds["pass"],
        "mean_log_likelihood": final["mean_log_likelihood"],
        "pilot_rows": len(fitted),
        "fitted": float(fitted.mean()),
        "true": float(true.mean()),
        "error": float(np.std(fitted - true)) / math.sqrt(len(fitted)),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
