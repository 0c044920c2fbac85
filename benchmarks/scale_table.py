"""The figures of a catalogue beyond memory as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from results_table import Record, table_lines

__all__ = ["write_scale_results"]

STAGE_HEAD = (
    "stage | wall [s] | CPU [s] | million rows per wall s | million rows per CPU s | written [GB] | "
    "peak of each process [MiB]"
)
SMALLEST = 20
"""MiB below which a process is not worth a word."""


def write_scale_results(path: Path, where: Record, stages: list[Record], facts: dict[str, Any]) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    where : dict
        Of `surroundings.describe_surroundings`.
    stages : list of dict
        `name`, `rows`, `seconds`, `cpu_seconds`, `peaks`, `disk`; the fit's with `limit`.
    facts : dict
        Of the run and its catalogue.
    """
    seconds = np.array(facts["pass_seconds"])
    rate = facts["n_rows"] / np.median(seconds) / 1e6
    page = [
        "# Benchmark results: a catalogue beyond memory",
        "",
        "Written by `benchmarks/scale.py`; how to read it: docs/performance.md.",
        "",
        *(f"- {key}: {value}" for key, value in where.items()),
        f"- {facts['n_rows']:,} rows of 3 features with errors, in {facts['n_chunks']:,} chunks; 32 components",
        f"- workers may hold {stages[-1]['limit']} each",
        "",
        "## Stages",
        "",
        "Of the fit, rows count once per pass; choosing the start is part of its time.",
        "",
        *table_lines(STAGE_HEAD, [_stage_row(stage, facts["n_passes"]) for stage in stages]),
        "",
        "## The fit",
        "",
        f"- {facts['n_passes']} passes; {facts['reason']}",
        f"- choosing the start on the pilot: {facts['start_seconds']:.1f} s",
        f"- a pass: median {np.median(seconds):.2f} s ({seconds.min():.2f} to {seconds.max():.2f}), "
        f"{rate:.2f} million rows per s",
        f"- mean ln L of all rows: {facts['mean_log_likelihood']:.6f}",
        f"- on the pilot ({facts['pilot_rows']:,} rows): fit {facts['fitted']:.6f}, truth {facts['true']:.6f}; "
        f"fit - truth {facts['fitted'] - facts['true']:.2e} +- {facts['error']:.1e} per row",
    ]
    path.write_text("\n".join(page) + "\n")


def _stage_row(stage: Record, n_passes: int) -> list[str]:
    millions = stage["rows"] * (n_passes if stage["name"] == "fit" else 1) / 1e6
    peaks = (f"{part} {peak:.0f}" for part, peak in stage["peaks"] if peak >= SMALLEST)
    return [
        stage["name"],
        f"{stage['seconds']:.1f}",
        f"{stage['cpu_seconds']:.1f}",
        f"{millions / stage['seconds']:.2f}",
        f"{millions / stage['cpu_seconds']:.2f}",
        f"{stage['disk'] / 1e9:.3f}",
        ", ".join(peaks),
    ]
