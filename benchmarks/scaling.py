"""How dgmmis scales with rows, components and features: `python scaling.py` writes results_scaling.md and a figure.

One core, dgmmis alone; what workers add is measured by workers.py.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from duels import run_contender, run_script
from results_table import Record, spread, table_lines
from scaling_figure import draw_scaling
from scaling_scenes import SERIES, Series
from scenes import save_scene

__all__ = ["main"]

HERE = Path(__file__).parent
RESULTS = HERE / "results_scaling.md"
UPDATES = [3, 23]
"""The first updates of a fragmented scene are dearer, since components have not found their rows."""

LARGE, SMALL, BAR = 10_000, 1_000, 2.0
"""Components of fragmented scenes whose times per row may differ by this factor."""

HEAD = "varied | scene | N | D | K | CPU s per pass | ns per row | ns per row x component | peak memory [MiB]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all series, write the page and draw the figure."""
    options = _parser().parse_args(arguments)
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.npz"
        records = [record for series in SERIES for record in _run_series(series, options, path, core)]
    _write(options, records, load)
    figure = options.out.parent / "figures" / "scaling.png"
    draw_scaling(records, figure)
    print(f"wrote {options.out} and {figure}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="rows of all scenes are multiplied by this")
    parser.add_argument("--most-components", type=int, default=LARGE, help="leave larger scenes out")
    parser.add_argument("--repetitions", type=int, default=3, help="processes for each scene")
    parser.add_argument("--core", type=int, help="where everything runs; default: the last one allowed")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="the table; the figure goes to figures/ beside it"
    )
    return parser


def _run_series(series: Series, options: argparse.Namespace, path: Path, core: int) -> list[Record]:
    records = []
    for size in series.sizes:
        if series.varied == "K" and size > options.most_components:
            continue
        scene = series.make(size, int((series.rows or size) * options.scale))
        save_scene(scene, path)
        measured = [run_contender(series.contender, path, core, UPDATES) for _ in range(options.repetitions)]
        records.append(
            {
                "varied": series.varied,
                "title": series.title,
                "per_row": series.per_row,
                "shape": [*scene.values.shape, len(scene.amplitudes)],
                "seconds": [one.seconds for one in measured],
                "peak_mebibytes": max(one.peak_mebibytes for one in measured),
            }
        )
        print(f"{series.title}, {series.varied} = {size:,}: done", flush=True)
    return records


def _write(options: argparse.Namespace, records: list[Record], load: float) -> None:
    where = run_script("surroundings.py")
    page = [
        "# Benchmark results: scaling",
        "",
        "Written by `benchmarks/scaling.py`; how to read it: docs/performance.md.",
        "",
        *(f"- {key}: {value}" for key, value in where.items()),
        f"- one core, {options.repetitions} processes per line, rows x {options.scale:g}; load average {load:.1f} "
        f"before, {os.getloadavg()[0]:.1f} after",
        *_promise(records),
        "",
        "## Times",
        "",
        "Medians (smallest to largest).",
        "",
        *table_lines(HEAD, map(_row, records)),
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(page) + "\n")


def _promise(records: list[Record]) -> list[str]:
    """Compare the times per row of a few and of many fragmented components."""
    lines = []
    for title in dict.fromkeys(record["title"] for record in records if record["per_row"]):
        seconds = {
            record["shape"][2]: float(np.median(record["seconds"]))
            for record in records
            if record["title"] == title
        }
        if seconds.keys() >= {LARGE, SMALL}:
            ratio = seconds[LARGE] / seconds[SMALL]
            met = "met" if ratio <= BAR else "**not met**"
            lines.append(
                f"- {title}: K = {LARGE:,} takes {ratio:.2f} times as long per row as K = {SMALL:,}; bar {BAR:g}: {met}"
            )
    return lines


def _row(record: Record) -> list[str]:
    n, d, k = record["shape"]
    seconds = np.array(record["seconds"])
    return [
        record["varied"],
        record["title"],
        f"{n:,}",
        str(d),
        f"{k:,}",
        spread(seconds),
        spread(seconds / n * 1e9),
        spread(seconds / (n * k) * 1e9),
        f"{record['peak_mebibytes']:.0f}",
    ]


if __name__ == "__main__":
    main()
