"""How many passes a fit takes, and what is left to gain where programs stop.

`python convergence.py` writes results_convergence.md, figures/convergence.png and the tables of docs/convergence.md.
A few minutes on two processors.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import fill_page
from convergence_figure import draw_convergence
from convergence_scenes import PROBLEMS
from convergence_table import write_convergence
from counted_passes import LEVELS, count_passes
from surroundings import describe_surroundings

__all__ = ["main"]

HERE = Path(__file__).parent
RESULTS = HERE / "results_convergence.md"
REPEATED = ("P1", "P2")
"""Problems that are drawn twice."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Count the passes of all methods on all problems, write the tables and draw the figure."""
    options = _parser().parse_args(arguments)
    runs = [(name, 1) for name in PROBLEMS] + [(name, 2) for name in REPEATED]
    runs = [run for run in sorted(runs) if run[0] in options.problems]
    load = os.getloadavg()[0]
    count = partial(count_passes, rows=options.rows, most=options.most)
    with ProcessPoolExecutor(options.processes) as pool:
        records = list(pool.map(count, *zip(*runs, strict=True)))
    write_convergence(options.out, describe_surroundings(), load, records)
    figure = options.out.parent / "figures" / "convergence.png"
    draw_convergence(records, figure)
    print(f"wrote {options.out} and {figure}")
    if options.out == RESULTS:
        fill_page.main()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument(
        "--rows", type=int, help="rows of every problem; default: 10,000, or 5,000 with noise"
    )
    parser.add_argument("--most", type=int, default=LEVELS[-1], help="passes of the longest fits")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="the tables; the figure goes to figures/ beside it"
    )
    return parser


if __name__ == "__main__":
    main()
