"""The measured figures as a page of tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Record", "spread", "table_lines", "write_results"]

Record = dict[str, Any]

DUEL_HEAD = (
    "scene | N | D | K | ours | peer | ours [ns] | peer [ns] | ours [s] | peer [s] | peer / ours | "
    "bar | met | peak ours [MiB] | peak peer [MiB] | same numbers"
)
ALONE_HEAD = (
    "scene | N | D | K | CPU s per pass | ns per row x component | GFLOP/s on least operations | of peak | "
    "peak memory [MiB]"
)

IMPUTED_HEAD = (
    "scene | D | K | points | ns per point x component | ns per row x component | ratio | drawing [ns]"
)
CALLS_HEAD = (
    "scene | passes | points drawn, times | calls until the end of the first pass | calls at most in a later pass | "
    "passes without a call"
)


def write_results(
    path: Path,
    where: Record,
    run: Record,
    duels: list[Record],
    alone: list[Record],
    imputed: list[Record],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    where : dict
        Of `surroundings.describe_surroundings`.
    run : dict
        `pairs`, `scale`, `load` (before, after), `minutes`, `peak` (GFLOP/s: compiled, matrix), `left_out`
        (peers that could not run, with the reason).
    duels : list of dict
        Of `duels.run_duel`.
    alone : list of dict
        `scene`, `shape`, `seconds`, `peak_mebibytes`, `flops` per pass (None where rows are imputed).
    imputed : list of dict
        Of `imputed_cost`.
    """
    peak = max(run["peak"].values())
    page = [
        "# Benchmark results",
        "",
        "Written by `benchmarks/compare.py`; how to read it: docs/performance.md.",
        "",
        *_surroundings(where, run),
        "",
        "## Against the peers",
        "",
        "CPU s per update, and ns per row x component x update: medians of the pairs (smallest to largest). "
        "dgmmis computes in double precision, peers too unless their name says float32; a bar is the ratio promised.",
        "",
        *table_lines(DUEL_HEAD, map(_duel_row, duels)),
        "",
        "## dgmmis alone, full scenes",
        "",
        *table_lines(ALONE_HEAD, (_alone_row(record, peak) for record in alone)),
        *(_imputed_section(imputed) if imputed else []),
    ]
    path.write_text("\n".join(page) + "\n")


def _imputed_section(imputed: list[Record]) -> list[str]:
    return [
        "",
        "## Imputed points",
        "",
        "A pass over points against one over as many rows, and how often the selection was called.",
        "",
        *table_lines(IMPUTED_HEAD, (row for record in imputed for row in _imputed_rows(record))),
        "",
        *table_lines(CALLS_HEAD, map(_calls_row, imputed)),
    ]


def _surroundings(where: Record, run: Record) -> list[str]:
    compiled, matrix = run["peak"]["compiled"], run["peak"]["matrix"]
    return [
        *(f"- {key}: {value}" for key, value in where.items()),
        f"- one core, {run['pairs']} alternated pairs per line, rows x {run['scale']:g}; load average "
        f"{run['load'][0]:.1f} before, {run['load'][1]:.1f} after; {run['minutes']:.1f} minutes in all",
        f"- peak of the core, double precision: {compiled:.1f} GFLOP/s compiled multiply-adds, "
        f"{matrix:.1f} matrix product",
        *(f"- left out: {name}" for name in run["left_out"]),
    ]


def table_lines(head: str, rows: Iterable[list[str]]) -> list[str]:
    """Lines of a table under a head whose columns `|` separates."""
    columns = head.count("|") + 1
    return [f"| {head} |", "|" + "---|" * columns, *(f"| {' | '.join(row)} |" for row in rows)]


def _duel_row(record: Record) -> list[str]:
    ours, theirs = np.array(record["ours"]), np.array(record["theirs"])
    n, d, k = record["shape"]
    ratios = theirs / ours
    duel = record["duel"]
    return [
        duel["scene"],
        f"{n:,}",
        str(d),
        str(k),
        duel.get("contender", "dgmmis"),
        duel["peer"],
        spread(ours / (n * k) * 1e9),
        spread(theirs / (n * k) * 1e9),
        _figure(np.median(ours)),
        _figure(np.median(theirs)),
        spread(ratios),
        *_bar(float(np.median(ratios)), duel.get("bar")),
        f"{record['our_peak']:.0f}",
        f"{record['their_peak']:.0f}",
        _agreement(record["difference"], duel),
    ]


def _bar(ratio: float, bar: float | None) -> list[str]:
    """Say what was promised and whether the median keeps it."""
    return ["", ""] if bar is None else [f"{bar:g}", "yes" if ratio >= bar else "**no**"]


def _agreement(difference: float | None, duel: Record) -> str:
    if difference is None:
        return "not compared: the peer chooses its own start"
    if duel["agree_after"]:
        return f"{difference:.0e} after {duel['agree_after']} (allowed {duel['tolerance']:.0e})"
    return f"approximate: {difference:.0e} after {duel['last']}"


def _alone_row(record: Record, peak: float) -> list[str]:
    seconds = np.array(record["seconds"])
    n, d, k = record["shape"]
    gflops = None if record["flops"] is None else record["flops"] / np.median(seconds) / 1e9
    return [
        record["scene"],
        f"{n:,}",
        str(d),
        str(k),
        spread(seconds),
        spread(seconds / (n * k) * 1e9),
        "" if gflops is None else f"{gflops:.2f}",
        "" if gflops is None else f"{gflops / peak:.1%}",
        f"{record['peak_mebibytes']:.0f}",
    ]


def _imputed_rows(record: Record) -> list[list[str]]:
    _, d, k = record["shape"]
    return [
        [
            record["scene"],
            str(d),
            str(k),
            f"{cost['n_points']:,}",
            _figure(cost["points"] / (cost["n_points"] * k) * 1e9),
            _figure(cost["rows"] / (cost["n_points"] * k) * 1e9),
            _figure(cost["points"] / cost["rows"]),
            _figure(cost["drawing"] / cost["n_points"] * 1e9),
        ]
        for cost in record["costs"]
    ]


def _calls_row(record: Record) -> list[str]:
    counts = ("passes", "refreshes", "first_calls", "refresh_calls", "passes_without")
    return [record["scene"], *(str(record[name]) for name in counts)]


def spread(figures: np.ndarray) -> str:
    """Median, and from the smallest to the largest."""
    return f"{_figure(np.median(figures))} ({_figure(figures.min())} to {_figure(figures.max())})"


def _figure(value: float) -> str:
    """Three digits, never as a power of ten."""
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")
