"""The whole comparison: `python compare.py` measures, checks and writes results.md beside it."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from contenders import CONTENDERS
from duels import DUELS, run_contender, run_duel, run_script
from flops import least_flops
from results_table import Record, write_results
from scenes import FULL_ROWS, Scene, make_scene, save_scene

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results.md"
ALONE_UPDATES = [1, 5]
LEAST_ROWS = {"W2": 10_000}
"""With fewer, a trial's components would be left without rows."""

IMPUTED = ("W6", "W8")
"""Scenes whose imputed points are looked at more closely."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every duel, then dgmmis alone on the full scenes, and write the tables."""
    options = _parser().parse_args(arguments)
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    began, load = time.monotonic(), os.getloadavg()
    where = run_script("surroundings.py")
    peaks = [run_script("peak.py", str(core))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.npz"
        duels = _run_duels(options, path, core)
        alone = _run_alone(options, path, core)
        imputed = _run_imputed(options, path, core)
    peaks.append(run_script("peak.py", str(core)))
    run: Record = {
        "pairs": options.pairs,
        "scale": options.scale,
        "load": [load[0], os.getloadavg()[0]],
        "minutes": (time.monotonic() - began) / 60,
        "peak": {key: max(peak[key] for peak in peaks) for key in peaks[0]},
        "left_out": [f"{peer}: java is not on PATH" for peer in _without_java()],
    }
    write_results(options.out, where, run, duels, alone, imputed)
    print(f"wrote {options.out} after {run['minutes']:.1f} minutes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=FULL_ROWS, default=list(FULL_ROWS), help="scenes")
    parser.add_argument("--scale", type=float, default=1.0, help="rows of all scenes are multiplied by this")
    parser.add_argument("--pairs", type=int, default=3, help="processes of each contender, alternated")
    parser.add_argument("--core", type=int, help="where everything runs; default: the last one allowed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the table")
    return parser


def _run_duels(options: argparse.Namespace, path: Path, core: int) -> list[Record]:
    records = []
    for duel in DUELS:
        if duel.scene in options.only and duel.peer not in _without_java():
            scene = _scene(duel.scene, duel.rows, options, path)
            records.append(run_duel(duel, scene, path, core, options.pairs))
            print(f"{duel.scene}, {duel.contender} against {duel.peer}: done", flush=True)
    return records


def _without_java() -> list[str]:
    """Peers that cannot run here."""
    return [] if shutil.which("java") else [name for name, peer in CONTENDERS.items() if peer.needs_java]


def _run_alone(options: argparse.Namespace, path: Path, core: int) -> list[Record]:
    records = []
    for name in options.only:
        scene = _scene(name, FULL_ROWS[name], options, path)
        measured = [run_contender("dgmmis", path, core, ALONE_UPDATES) for _ in range(options.pairs)]
        records.append(
            {
                "scene": name,
                "shape": [*scene.values.shape, len(scene.amplitudes)],
                "seconds": [one.seconds for one in measured],
                "peak_mebibytes": max(one.peak_mebibytes for one in measured),
                "flops": None if scene.is_selected else least_flops(scene),
            }
        )
        print(f"{name} alone: done", flush=True)
    return records


def _run_imputed(options: argparse.Namespace, path: Path, core: int) -> list[Record]:
    records = []
    for name in options.only:
        if name in IMPUTED:
            _scene(name, FULL_ROWS[name], options, path)
            records.append(run_script("imputed_cost.py", str(path), str(core)))
            print(f"{name} imputed points: done", flush=True)
    return records


def _scene(name: str, rows: int, options: argparse.Namespace, path: Path) -> Scene:
    scene = make_scene(name, max(int(rows * options.scale), LEAST_ROWS.get(name, 1)))
    save_scene(scene, path)
    return scene


if __name__ == "__main__":
    main()
