"""The counted passes as a page of tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from counted_passes import LEVELS, first_reaching
from results_table import Record, table_lines

__all__ = ["write_convergence"]

METHODS = {"em": "EM", "squarem": "SQUAREM", "auto": "dgmmis"}
RULES = ("scikit-learn", "pyGMMis", "XD in C", "dgmmis EM", "dgmmis")
PASSES_HEAD = "problem | rows | N | D | K | SQUAREM | dgmmis | EM / dgmmis"
ENDS_HEAD = "problem | passes of EM | EM | passes of SQUAREM | SQUAREM | passes of dgmmis | dgmmis"


def write_convergence(path: Path, where: Record, load: float, records: list[Record]) -> None:
    """Write the page."""
    levels = " / ".join(map(str, LEVELS))
    page = [
        "# Benchmark results: convergence",
        "",
        "Written by `benchmarks/convergence.py`; how to read it: docs/convergence.md.",
        "",
        *(f"- {key}: {value}" for key, value in where.items()),
        f"- load average {load:.1f} before; passes depend on no load",
        "",
        "## Passes",
        "",
        f"Until the level that plain expectation maximization has after {levels} passes, from the same start; `-`: not "
        "reached, because the method ended in another, lower optimum, or with its last pass. The last column is by how "
        "many times fewer passes dgmmis needs.",
        "",
        *table_lines(PASSES_HEAD, map(_passes_row, records)),
        "",
        "## Stops",
        "",
        "Passes until a program says that it is done, and what going on from there would gain [total nats]. In "
        "brackets: it stopped without saying so, out of passes.",
        "",
        *table_lines("problem | " + " | ".join(RULES), map(_stops_row, records)),
        "",
        "## Ends",
        "",
        "How far the longest fits end below the optimum that they head for [total nats]; after a `+`, how far that "
        "optimum lies below the highest level known.",
        "",
        *table_lines(ENDS_HEAD, map(_ends_row, records)),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(page) + "\n")


def _passes_row(record: Record) -> list[str]:
    n, d, k = record["shape"]
    paths = record["paths"]
    levels = [paths["em"][min(level, len(paths["em"])) - 1] for level in LEVELS]
    counts = {method: [first_reaching(paths[method], level) for level in levels] for method in METHODS}
    times = [
        f"{ours and plain / ours:.1f}" if ours else "-"
        for plain, ours in zip(counts["em"], counts["auto"], strict=True)
        if plain
    ]
    return [
        record["problem"],
        record["title"],
        f"{n:,}",
        str(d),
        str(k),
        *(
            " / ".join("-" if count is None else str(count) for count in counts[m])
            for m in ("squarem", "auto")
        ),
        " / ".join(times),
    ]


def _stops_row(record: Record) -> list[str]:
    cells = []
    for rule in RULES:
        stop = record["stops"][rule]
        text = f"{stop['passes']}: {_nats(stop['to_gain'])}"
        cells.append(text if stop["said"] else f"({text})")
    return [record["problem"], *cells]


def _ends_row(record: Record) -> list[str]:
    cells = [record["problem"]]
    for method in METHODS:
        level, optimum = max(record["paths"][method]), record["optima"][method]
        other = record["best"] - optimum
        text = _nats(max(optimum - level, 0.0))
        cells += [str(len(record["paths"][method])), f"{text} + {_nats(other)}" if other > 1e-3 else text]
    return cells


def _nats(value: float) -> str:
    """Two digits; nothing below a thousandth matters."""
    if value < 1e-3:
        return "<0.001"
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
