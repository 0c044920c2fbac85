"""The passes over very many rows as a page of tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from results_table import Record, table_lines

__all__ = ["best_level", "gaps", "write_full"]

SHOWN = (10, 30, 60)
"""Updates of expectation maximization after which its gap is told."""

PASSES_HEAD = (
    "scene | rows | N | D | K | passes on the sample | gap of its optimum | passes over all rows | rejected | "
    "gap at the end | EM after 10 / 30 / 60"
)
GAINS_HEAD = "scene | predicted to be gained: gap, pass by pass"
SECONDS_HEAD = (
    "scene | sorting the rows | start: search and sample | a pass over all rows | passes of the fit | "
    "the rest of the fit | 60 passes of EM | wall clock of start and fit | peak memory [GiB]"
)


def write_full(path: Path, where: Record, records: list[Record]) -> None:
    """Write the page."""
    page = [
        "# Benchmark results: passes over all rows",
        "",
        "Written by `benchmarks/full_passes.py`; how to read it: docs/convergence.md.",
        "",
        *(f"- {key}: {value}" for key, value in where.items()),
        "- passes depend on no load; seconds are those of processors where nothing else is said, and the wall clock "
        "depends on what else runs",
        "",
        "## Full passes",
        "",
        "`dgmmis.fit` with its defaults on an array in memory. A gap is what is missing to the optimum [total nats]: "
        "where the same fit ends when it goes on to a predicted gain of 0.0001 nats, for at most 20 more passes; what "
        "is predicted then is added. Passes over all rows are counted until the gain that is still predicted is below "
        "0.1 nats, in brackets where 60 updates did not do; the first of them looks at the sample's optimum, and "
        "rejected steps are among them. EM: plain "
        "expectation maximization from the same optimum, its gap after so many updates. Under a selection all levels "
        "are by the imputed points of the last pass, which EM has from the beginning.",
        "",
        *table_lines(PASSES_HEAD, map(_passes_row, records)),
        "",
        "## Predicted",
        "",
        "What a pass predicts is still to be gained, and what is [total nats]; `x`: the step to there was rejected.",
        "",
        *table_lines(GAINS_HEAD, map(_gains_row, records)),
        "",
        "## Seconds",
        "",
        "Of two processors together. The rest of the fit is the scores of the sample, the steps tried on it and, under "
        "a selection, imputed points.",
        "",
        *table_lines(SECONDS_HEAD, map(_seconds_row, records)),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(page) + "\n")


def best_level(record: Record) -> float:
    """Return the level of the optimum: that of the continued fit and what it still predicts, or a higher one found."""
    levels, left = [scan["level"] for scan in record["ours"]], record["ours"][-1]["predicted"]
    return max(levels[-1] + (left if np.isfinite(left) else 0.0), *levels, *record["em"])


def gaps(record: Record) -> tuple[list[float], list[float]]:
    """Tell what is missing to the best: after each pass of the fit, and after each of expectation maximization."""
    best = best_level(record)
    return [best - scan["level"] for scan in record["ours"]], [best - level for level in record["em"]]


def _name(record: Record) -> str:
    return record["scene"] if record["seed"] == 1 else f"{record['scene']}, again"


def _passes_row(record: Record) -> list[str]:
    n, d, k = record["shape"]
    ours, em = gaps(record)
    stops = record["stops"]
    rejected = sum(scan["rejected"] for scan in record["ours"][:stops])
    said = f"{stops}" if record["converged"] else f"({stops})"
    return [
        _name(record),
        record["title"],
        f"{n:,}",
        str(d),
        str(k),
        str(record["pilot_passes"]),
        _nats(ours[0]),
        said,
        str(rejected),
        _nats(ours[stops - 1]),
        " / ".join(_nats(em[at]) if at < len(em) else "-" for at in SHOWN),
    ]


def _gains_row(record: Record) -> list[str]:
    ours, _ = gaps(record)
    cells = [
        f"{_nats(scan['predicted'])}: {_nats(gap)}{' x' if scan['rejected'] else ''}"
        for scan, gap in zip(record["ours"][: record["stops"]], ours, strict=False)
    ]
    return [_name(record), ", ".join(cells)]


def _seconds_row(record: Record) -> list[str]:
    seconds = record["seconds"]
    fit, start, em = seconds["fit"], seconds["start"], seconds["em"]
    return [
        _name(record),
        *(
            f"{value:.2g}" if value < 10 else f"{value:.0f}"
            for value in (
                seconds["reading"]["cpu"],
                start["cpu"],
                fit["passes"] / max(1, fit["scans"]),
                fit["passes"],
                fit["else"],
                em["cpu"],
                start["wall"] + fit["wall"],
                record["peak"],
            )
        ),
    ]


def _nats(value: float) -> str:
    """Two digits; nothing below a thousandth matters."""
    if not np.isfinite(value):
        return "unknown"
    if value < 1e-3:
        return "<0.001"
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
