"""Long commands: progress, a summary at the end, quiet if so wished, and words that say how to go on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import typer.main
from rich.console import Console

import dgmmis
import dgmmis.progress
from commands import run_here
from dgmmis.cli.application import application
from dgmmis.progress import Lines, counting

VERBS = typer.main.get_command(application).commands
LONG = (
    "ingest",
    "append",
    "verify",
    "fit",
    "resume",
    "compare",
    "apply",
    "report",
    "uncertainty",
    "serve",
    "gc",
)
ROWS = 600


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, its catalogue, and a run whose fit stopped early."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(0)
    table = np.zeros(ROWS, dtype=[("a", "f8"), ("b", "f8"), ("a_error", "f8"), ("b_error", "f8")])
    for name in ("a", "b"):
        table[name] = rng.normal(size=ROWS) + 3 * rng.integers(0, 2, ROWS)
        table[f"{name}_error"] = 0.1
    np.save(folder / "table.npy", table)
    np.save(folder / "more.npy", table[:50])
    run_here(*ingest(folder, "stars.zarr"))
    run_here(*fit(folder, "run"))
    return folder


def ingest(folder: Path, name: str) -> list[object]:
    columns = ("--features", "a,b", "--error", "{}_error", "--chunk-rows", 200)
    return ["ingest", folder / "table.npy", folder / name, *columns]


def fit(folder: Path, name: str) -> list[object]:
    return ["fit", folder / "stars.zarr", "-K", 2, "--run", folder / name, "--workers", 0, "--max-passes", 3]


def test_every_long_verb_can_be_quiet_and_can_speak_json() -> None:
    for name in LONG:
        said = {option for parameter in VERBS[name].params for option in parameter.opts}
        assert {"--quiet", "-q", "--json"} <= said, name


def test_quiet_leaves_standard_error_to_errors_and_keeps_the_summary(place: Path) -> None:
    np.save(place / "again.npy", np.load(place / "more.npy"))
    run_here(*ingest(place, "grown.zarr"))
    quietly = [
        ingest(place, "quiet.zarr"),
        ["append", place / "grown.zarr", place / "again.npy"],
        ["verify", place / "stars.zarr"],
        fit(place, "quiet"),
        ["resume", place / "quiet", "--workers", 0, "--max-passes", 5],
        ["apply", place / "run", place / "stars.zarr", "-o", place / "posterior.zarr", "--workers", 0],
        ["gc", place / "run", "--dry-run"],
        ["uncertainty", place / "run", "--workers", 0],
        ["compare", place / "stars.zarr", "-K", "1,2", "--folds", 0, "--restarts", 1, "--workers", 0],
    ]
    for words in quietly:
        done = run_here(*words, "--quiet")
        assert done.stderr == "", words
        assert done.stdout.strip(), words
    failed = run_here(*ingest(place, "quiet.zarr"), "--quiet", code=4)
    assert "--overwrite" in failed.stderr


def test_a_submitter_hears_of_servers_and_a_quiet_server_tells_only_what_somebody_must_look_at(
    place: Path,
) -> None:
    root = place / "runs"
    submitted = run_here("submit", place / "stars.zarr", "-K", 1, "--runs", root)
    assert "is QUEUED" in submitted.stdout
    assert f"dgmmis serve --runs {root}" in submitted.stderr, (
        "nothing would happen, and nobody would know why"
    )
    dgmmis.cancel(dgmmis.list_runs(root)[0].path)
    again = run_here("submit", place / "stars.zarr", "-K", 1, "--runs", root)
    assert "is CANCELLED" in again.stdout
    assert again.stderr == ""
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("{")
    told = run_here("serve", "--runs", root, "--workers", 0, "--drain", "--quiet", "--json").stderr
    assert [json.loads(line)["event"] for line in told.splitlines()] == ["unreadable"]


def test_a_folder_that_is_no_run_is_told_of_with_the_verb_that_looks_below_it(place: Path) -> None:
    assert "dgmmis ls" in run_here("status", place, code=3).stderr


def told(seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is written into a file while ten things are counted."""
    monkeypatch.setattr(dgmmis.progress, "LINE_SECONDS", seconds)
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    with counting("counting things") as count:
        for done in range(1, 11):
            count(done, 10)
    return out.getvalue()


def test_progress_into_a_file_is_a_line_now_and_then_and_none_for_what_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(3600.0, monkeypatch) == ""
    lines = told(0.0, monkeypatch).splitlines()
    assert lines[0].startswith("counting things: 1 of 10, ")
    assert lines[-1] == "counting things: 10 of 10, 0 s left"


def test_on_a_terminal_no_lines_are_added_to_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dgmmis.progress, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    Lines(Console(file=out, force_terminal=True)).count("things", 1, 10)
    assert out.getvalue() == ""
