"""Where ways to start a fit lead: `python starts.py` writes results_starts.md.

The rows are those of the three scenes in start_scenes.py, 20 seeds each.  From every start 60 passes of expectation
maximization over all rows are made; the score is the mean log-likelihood then, minus that of a fit which began at the
truth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import fill_page
import numpy as np
from results_table import Record, table_lines
from start_scenes import SCENES, make_start_scene
from start_ways import TRUTH, WAYS, climb
from surroundings import describe_surroundings

from dgmmis.errors import DgmmisError

__all__ = ["main", "scores_of"]

HERE = Path(__file__).parent
RESULTS = HERE / "results_starts.md"
UPDATES = 60


def main(arguments: Sequence[str] | None = None) -> None:
    """Score all ways on all scenes and write the table."""
    options = _parser().parse_args(arguments)
    runs = list(product(SCENES, range(options.seeds)))
    with ProcessPoolExecutor(options.processes) as pool:
        records = list(pool.map(scores_of, *zip(*runs, strict=True)))
    _write(options, [{"scene": name, **record} for (name, _), record in zip(runs, records, strict=True)])
    print(f"wrote {options.out}")
    if options.out == RESULTS:
        fill_page.main()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def scores_of(name: str, seed: int, rows: int | None = None) -> Record:
    """Score every way on one scene.

    Returns
    -------
    dict
        `scores`: nats per row above the fit from the truth, -inf for a start that collapsed; `seconds`: CPU time of
        finding each start.
    """
    scene = make_start_scene(name, seed, rows)
    levels, seconds = {}, {}
    for way, start in WAYS.items():
        began = time.process_time()
        mixture = start(scene, seed)
        seconds[way] = time.process_time() - began
        try:
            levels[way] = climb(scene, mixture, UPDATES)[1]
        except DgmmisError:
            levels[way] = -np.inf
    truth = levels.pop(TRUTH)
    return {"scores": {way: level - truth for way, level in levels.items()}, "seconds": seconds}


def _write(options: argparse.Namespace, records: list[Record]) -> None:
    page = [
        "# Benchmark results: starts",
        "",
        "Written by `benchmarks/starts.py`; how to read it: docs/convergence.md.",
        "",
        *(f"- {key}: {value}" for key, value in describe_surroundings().items()),
        f"- {options.seeds} seeds, each another truth and other rows; {UPDATES} passes of expectation maximization "
        "over all rows from every start",
        "",
        "## Starts",
        "",
        "Mean log-likelihood then, minus that of a fit which began at the truth [nats per 1,000 rows]: median (best, "
        "worst).",
        "",
        *table_lines("start | " + " | ".join(SCENES), _score_rows(records)),
        "",
        "## Cost of a start",
        "",
        "CPU seconds, median.",
        "",
        *table_lines("start | " + " | ".join(SCENES), _cost_rows(records)),
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(page) + "\n")


def _score_rows(records: list[Record]) -> list[list[str]]:
    rows = []
    for way in WAYS:
        if way == TRUTH:
            continue
        cells = []
        for scene in SCENES:
            scores = 1e3 * np.array([one["scores"][way] for one in records if one["scene"] == scene])
            cells.append(f"{np.median(scores):.2f} ({scores.max():.2f}, {scores.min():.2f})")
        rows.append([way, *cells])
    return rows


def _cost_rows(records: list[Record]) -> list[list[str]]:
    return [
        [way, *(f"{np.median([r['seconds'][way] for r in records if r['scene'] == s]):.3f}" for s in SCENES)]
        for way in WAYS
        if way != TRUTH
    ]


if __name__ == "__main__":
    main()
