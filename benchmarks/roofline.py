"""How near a pass comes to what the machine can do: `python roofline.py` writes results_roofline.md and a figure.

Two roofs: the operations a core makes, and the bytes it gets, from memory or from disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from duels import run_contender, run_script
from flops import least_flops
from results_table import Record, spread, table_lines
from roofline_figure import draw_roofline
from scenes import FULL_ROWS, SELECTED, Scene, make_scene, save_scene

import dgmmis

__all__ = ["main", "stored_bytes_per_row"]

RESULTS = Path(__file__).parent / "results_roofline.md"
UPDATES = [1, 5]
HEAD = (
    "scene | N | D | K | CPU s per pass | GFLOP/s on least operations | of peak | bytes per row in memory | on disk | "
    "operations per byte on disk | least s to read from disk | of the pass"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the machine and the scenes, write the page and draw the figure."""
    options = _parser().parse_args(arguments)
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        rates = run_script("peak.py", str(core)) | run_script("transfer.py", name, str(core))
        records = [_run_scene(scene, folder, options, core) for scene in options.only]
    _write(options, rates, records, load)
    figure = options.out.parent / "figures" / "roofline.png"
    draw_roofline(rates, records, figure)
    print(f"wrote {options.out} and {figure}")


def stored_bytes_per_row(scene: Scene, folder: Path) -> float:
    """Bytes on disk, compressed, that a pass over the scene's catalogue reads per row: values and noise."""
    features = [f"x{j}" for j in range(scene.values.shape[1])]
    catalog = dgmmis.ingest(
        scene.values, folder / "bytes.zarr", features=features, noise=scene.noise, overwrite=True
    )
    arrays = ("values", *catalog.schema.noise_widths)
    files = (path for array in arrays for path in (catalog.path / array).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files) / len(scene.values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    scenes = [name for name in FULL_ROWS if name not in SELECTED]
    parser.add_argument("--only", nargs="*", choices=scenes, default=scenes, help="scenes")
    parser.add_argument("--scale", type=float, default=1.0, help="rows of all scenes are multiplied by this")
    parser.add_argument("--repetitions", type=int, default=3, help="processes for each scene")
    parser.add_argument("--core", type=int, help="where everything runs; default: the last one allowed")
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure; default: that of temporary files"
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="the table; the figure goes to figures/ beside it"
    )
    return parser


def _run_scene(name: str, folder: Path, options: argparse.Namespace, core: int) -> Record:
    scene = make_scene(name, int(FULL_ROWS[name] * options.scale))
    path = folder / "scene.npz"
    save_scene(scene, path)
    seconds = [run_contender("dgmmis", path, core, UPDATES).seconds for _ in range(options.repetitions)]
    print(f"{name}: done", flush=True)
    numbers = scene.values.size + (0 if scene.noise is None else scene.noise.size)
    return {
        "scene": name,
        "shape": [*scene.values.shape, len(scene.amplitudes)],
        "seconds": seconds,
        "flops": least_flops(scene),
        "memory_bytes": 8 * numbers / len(scene.values),
        "disk_bytes": stored_bytes_per_row(scene, folder),
    }


def _write(options: argparse.Namespace, rates: Record, records: list[Record], load: float) -> None:
    where = run_script("surroundings.py")
    page = [
        "# Benchmark results: against the machine",
        "",
        "Written by `benchmarks/roofline.py`; how to read it: docs/performance.md.",
        "",
        *(f"- {key}: {value}" for key, value in where.items()),
        f"- one core, {options.repetitions} processes per line, rows x {options.scale:g}; load average {load:.1f} "
        f"before, {os.getloadavg()[0]:.1f} after",
        f"- peak of the core, double precision: {rates['compiled']:.1f} GFLOP/s compiled multiply-adds, "
        f"{rates['matrix']:.1f} matrix product",
        f"- reading: {rates['memory']:.1f} GB/s from memory, {rates['disk']:.2f} GB/s from disk",
        "",
        "## Scenes",
        "",
        "Operations are counted for all pairs: a pass that skips some makes fewer, and its rate is nominal.",
        "",
        *table_lines(HEAD, (_row(record, rates) for record in records)),
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(page) + "\n")


def _row(record: Record, rates: Record) -> list[str]:
    n, d, k = record["shape"]
    seconds = np.array(record["seconds"])
    gflops = record["flops"] / np.median(seconds) / 1e9
    reading = n * record["disk_bytes"] / rates["disk"] / 1e9
    return [
        record["scene"],
        f"{n:,}",
        str(d),
        str(k),
        spread(seconds),
        f"{gflops:.2f}",
        f"{gflops / max(rates['compiled'], rates['matrix']):.1%}",
        f"{record['memory_bytes']:.0f}",
        f"{record['disk_bytes']:.0f}",
        f"{record['flops'] / (n * record['disk_bytes']):.0f}",
        f"{reading:.2g}",
        f"{reading / np.median(seconds):.1%}",
    ]


if __name__ == "__main__":
    main()
