"""How many passes over very many rows a fit takes from the optimum of a random sample.

`python full_passes.py` writes results_full_passes.md, figures/full_passes.png and a table of docs/convergence.md.
About eight minutes on two processors, and less than 6 GiB: one scene at a time, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fill_page
from full_figure import draw_full
from full_scenes import FULL
from full_table import write_full
from results_table import Record
from surroundings import describe_surroundings

__all__ = ["main"]

HERE = Path(__file__).parent
RESULTS = HERE / "results_full_passes.md"
RUNS = (
    ("noisy", 1), ("noisy", 2), ("noisy-5", 1), ("cut", 1), ("cut", 2), ("overlap", 1), ("overlap", 2),
)  # fmt: skip
"""Scenes and seeds; that of five features once, which takes longest."""

FEWER = {"noisy-5": 0.4}
"""Share of the rows asked for that a scene takes, for want of time."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit all scenes, write the tables and draw the figure."""
    options = _parser().parse_args(arguments)
    runs = [run for run in RUNS if run[0] in options.scenes]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.records or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        records = [_record(folder, *run, options.rows) for run in runs]
    write_full(options.out, describe_surroundings(), records)
    figure = options.out.parent / "figures" / "full_passes.png"
    draw_full(records, figure)
    print(f"wrote {options.out} and {figure}")
    if options.out == RESULTS:
        fill_page.main()


def _record(folder: Path, name: str, seed: int, rows: int) -> Record:
    """Fit one scene in another process, whose memory is free again afterwards; or read what it told before."""
    path = folder / f"{name}-{seed}.json"
    if not path.exists():
        command = [sys.executable, HERE / "full_runs.py", name, seed, int(rows * FEWER.get(name, 1))]
        told = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True)
        path.write_text(told.stdout)
        print(f"fitted {name}, seed {seed}")
    record: Record = json.loads(path.read_text())
    return record


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", choices=FULL, default=list(FULL))
    parser.add_argument("--rows", type=int, default=10_000_000, help="of every scene; of noisy-5 two fifths")
    parser.add_argument(
        "--records",
        type=Path,
        help="folder that keeps what was measured; what lies there is not measured again",
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="the tables; the figure goes to figures/ beside it"
    )
    return parser


if __name__ == "__main__":
    main()
