"""A run is never lost: whatever dies, it resumes to the same bits, and its state is told truthfully."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.errors import AlreadyExists, CorruptCheckpoint, NotARun, RunConflict, RunLocked
from dgmmis.observer import SilentObserver
from dgmmis.runs.lock import hold
from simulated import TRUTH, bits_of, write_catalog

DRIVE = """
import sys, dgmmis
dgmmis.fit(sys.argv[1], n_components=3, run=sys.argv[2], tolerance=0, max_passes=int(sys.argv[3]))
"""

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 3, np.tile(20 * np.eye(3), (3, 1, 1)))
"""A start for runs of which it does not matter how they start: to look for one takes longer than ten passes."""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("runs") / "stars.zarr", n_rows=3_000, chunk_rows=700)


def fit(catalog: dgmmis.Catalog, run: Path, max_passes: int = 12, **settings: object) -> dgmmis.FitResult:
    return dgmmis.fit(catalog, n_components=3, run=run, tolerance=0, max_passes=max_passes, **settings)


@pytest.fixture(scope="module")
def whole(catalog: dgmmis.Catalog) -> dgmmis.FitResult:
    """A run that nothing disturbed."""
    return fit(catalog, catalog.path.parent / "whole")


def test_a_run_gives_the_bits_of_a_fit_without_one(catalog: dgmmis.Catalog, whole: dgmmis.FitResult) -> None:
    plain = dgmmis.fit(catalog, n_components=3, tolerance=0, max_passes=12)
    assert bits_of(whole) == bits_of(plain)
    assert whole.history == plain.history


@pytest.mark.parametrize("stops", [(0,), (1, 2, 3), (5,), (4, 11)])
def test_a_run_resumed_with_more_passes_equals_one_never_stopped(
    catalog: dgmmis.Catalog, whole: dgmmis.FitResult, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    fit(catalog, tmp_path / "run", max_passes=stops[0])
    for stop in (*stops[1:], 12):
        resumed = dgmmis.resume(tmp_path / "run", max_passes=stop)
    assert bits_of(resumed) == bits_of(whole)
    assert resumed.history == whole.history


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_driver_killed_at_any_moment_resumes_to_the_same_bits(
    catalog: dgmmis.Catalog, tmp_path: Path, times: int
) -> None:
    passes = 30 * times
    expected = fit(catalog, tmp_path / "undisturbed", max_passes=passes)
    run, rng = tmp_path / "killed", np.random.default_rng(3)
    kills = 0
    for _ in range(times):
        begun = len(list((run / "ckpt").glob("*.ckpt")))
        process = subprocess.Popen([sys.executable, "-c", DRIVE, str(catalog.path), str(run), str(passes)])
        give_up = time.monotonic() + 60
        while (
            len(list((run / "ckpt").glob("*.ckpt"))) == begun
            and process.poll() is None
            and time.monotonic() < give_up
        ):
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.1))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert dgmmis.open_run(run).state() in ("INTERRUPTED", "STOPPED")
    assert kills > 0
    resumed = dgmmis.resume(run)
    assert bits_of(resumed) == bits_of(expected)
    assert resumed.history == expected.history


def test_every_checkpoint_names_the_one_before(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    fit(catalog, tmp_path / "run", max_passes=4, initial=VAGUE)
    run = dgmmis.open_run(tmp_path / "run")
    assert run.checkpoint_numbers() == [0, 1, 2, 3, 4]
    parents = [run.read_checkpoint(number).parent for number in run.checkpoint_numbers()]
    digests = [run.read_checkpoint(number).digest for number in run.checkpoint_numbers()]
    assert parents == [run.digest_of_start(), *digests[:-1]]


def test_a_damaged_checkpoint_is_never_used_and_its_pass_is_made_again(
    catalog: dgmmis.Catalog, whole: dgmmis.FitResult, tmp_path: Path
) -> None:
    fit(catalog, tmp_path / "run", max_passes=6)
    last = tmp_path / "run" / "ckpt" / "000006.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    assert dgmmis.open_run(tmp_path / "run").latest().scan.number == 5
    assert bits_of(dgmmis.resume(tmp_path / "run", max_passes=12)) == bits_of(whole)


def test_no_flipped_bit_and_no_truncation_of_a_checkpoint_is_ever_read(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    fit(catalog, tmp_path / "run", max_passes=1, initial=VAGUE)
    run = dgmmis.open_run(tmp_path / "run")
    path = tmp_path / "run" / "ckpt" / "000001.ckpt"
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for position in rng.integers(0, 8 * len(content), 200):
        altered = bytearray(content)
        altered[position // 8] ^= 1 << (position % 8)
        path.write_bytes(altered)
        with pytest.raises(CorruptCheckpoint, match=r"000001\.ckpt"):
            run.read_checkpoint(1)
    for length in range(0, len(content), len(content) // 50):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptCheckpoint):
            run.read_checkpoint(1)


def test_checkpoints_of_another_run_are_refused(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    fit(catalog, tmp_path / "one", max_passes=3)
    fit(catalog, tmp_path / "two", max_passes=3, seed=5)
    foreign = (tmp_path / "two" / "ckpt" / "000003.ckpt").read_bytes()
    (tmp_path / "one" / "ckpt" / "000003.ckpt").write_bytes(foreign)
    with pytest.raises(CorruptCheckpoint, match="another run"):
        dgmmis.resume(tmp_path / "one", max_passes=5)


def test_another_configuration_or_other_data_are_refused_with_both_shown(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    fit(catalog, tmp_path / "run", max_passes=1)
    with pytest.raises(RunConflict, match="n_components: there 3, asked 4"):
        dgmmis.fit(catalog, n_components=4, run=tmp_path / "run")
    with pytest.raises(RunConflict, match="seed: there 0, asked 9"):
        fit(catalog, tmp_path / "run", seed=9)
    other = write_catalog(tmp_path / "other.zarr", n_rows=2_000, chunk_rows=700)
    with pytest.raises(RunConflict, match="data fingerprint"):
        fit(other, tmp_path / "run")


def test_resume_refuses_a_catalogue_that_was_replaced_and_takes_one_that_was_moved(tmp_path: Path) -> None:
    first = write_catalog(tmp_path / "stars.zarr", n_rows=1_000, chunk_rows=400)
    fit(first, tmp_path / "run", max_passes=2)
    (tmp_path / "stars.zarr").rename(tmp_path / "moved.zarr")
    write_catalog(tmp_path / "stars.zarr", n_rows=900, chunk_rows=400)
    with pytest.raises(dgmmis.DgmmisError, match="fingerprint"):
        dgmmis.resume(tmp_path / "run", max_passes=3)
    assert dgmmis.resume(tmp_path / "run", max_passes=3, catalog=tmp_path / "moved.zarr").n_passes == 4


def test_only_one_process_drives_a_run(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    fit(catalog, tmp_path / "run", max_passes=1, initial=VAGUE)
    run = dgmmis.open_run(tmp_path / "run")
    with hold(tmp_path / "run" / "lock"):
        assert run.state() == "RUNNING"
        with pytest.raises(RunLocked, match=f"process {os.getpid()}"):
            dgmmis.resume(tmp_path / "run", max_passes=2)
    assert run.state() == "STOPPED"


def test_the_state_is_computed_from_what_lies_there(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    fit(catalog, tmp_path / "run", max_passes=2, initial=VAGUE)
    run = dgmmis.open_run(tmp_path / "run")
    assert run.state() == "STOPPED"
    result = dgmmis.resume(tmp_path / "run", tolerance=10.0, max_passes=500)
    assert result.converged
    assert run.state() == "SUCCEEDED"
    assert (
        json.loads((tmp_path / "run" / "final.json").read_text())["log_likelihood"] == result.log_likelihood
    )
    further = dgmmis.resume(tmp_path / "run", tolerance=1e-3)
    assert further.n_passes > result.n_passes
    assert run.state() == "SUCCEEDED"
    again = dgmmis.resume(tmp_path / "run")
    assert bits_of(again) == bits_of(further)
    assert again.history == further.history


def test_the_trace_has_one_line_per_pass_with_what_a_person_asks(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    result = fit(catalog, tmp_path / "run", max_passes=5, initial=VAGUE)
    passes = [event for event in dgmmis.open_run(tmp_path / "run").trace() if event["event"] == "pass"]
    assert [event["number"] for event in passes] == list(range(6))
    assert [event["log_likelihood"] for event in passes] == [scan.log_likelihood for scan in result.history]
    assert all(event["rows_per_second"] > 0 for event in passes)


def test_folders_that_are_no_runs_are_refused(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    with pytest.raises(NotARun, match=r"run\.json"):
        dgmmis.open_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(NotARun, match="format"):
        dgmmis.open_run(tmp_path)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").write_text("years of work")
    with pytest.raises(AlreadyExists):
        fit(catalog, full)
    assert (full / "thesis.tex").read_text() == "years of work"


def test_runs_are_listed(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    for name in ("b", "a"):
        fit(catalog, tmp_path / name, max_passes=0, initial=VAGUE)
    assert [run.path.name for run in dgmmis.list_runs(tmp_path)] == ["a", "b"]


def test_a_finished_run_that_is_taken_up_again_and_dies_is_not_called_finished(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    class DiesAfterOnePass(SilentObserver):
        def on_pass(self, *_: object) -> None:
            raise KeyboardInterrupt

    dgmmis.fit(catalog, n_components=3, initial=VAGUE, run=tmp_path / "run", tolerance=10.0)
    run = dgmmis.open_run(tmp_path / "run")
    assert run.state() == "SUCCEEDED"
    with pytest.raises(KeyboardInterrupt):
        dgmmis.resume(tmp_path / "run", tolerance=1e-3, observer=DiesAfterOnePass())
    assert run.state() == "INTERRUPTED"
    assert dgmmis.resume(tmp_path / "run").converged
    assert run.state() == "SUCCEEDED"


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_threads_of_a_linear_algebra_library_change_no_bit(
    catalog: dgmmis.Catalog, whole: dgmmis.FitResult, tmp_path: Path, threads: str
) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-c", DRIVE, str(catalog.path), str(tmp_path / "there"), "3"]
    subprocess.run(command, env=environment, check=True)
    here, there = dgmmis.open_run(catalog.path.parent / "whole"), dgmmis.open_run(tmp_path / "there")
    assert here.read_checkpoint(3).digest == there.latest().digest
    assert there.latest().scan.statistics.log_likelihood == whole.history[3].log_likelihood


def test_a_checkpoint_lost_or_damaged_before_the_last_stops_no_run(
    catalog: dgmmis.Catalog, whole: dgmmis.FitResult, tmp_path: Path
) -> None:
    for name, harm in (("lost", Path.unlink), ("damaged", lambda path: path.write_bytes(b"x" * 99))):
        fit(catalog, tmp_path / name, max_passes=6)
        harm(tmp_path / name / "ckpt" / "000005.ckpt")
        assert dgmmis.open_run(tmp_path / name).state() == "STOPPED"
        assert bits_of(dgmmis.resume(tmp_path / name, max_passes=12)) == bits_of(whole)


def test_a_given_start_that_was_lost_is_never_replaced_by_another(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    frozen = {"means": [0, 1, 2]}
    settings = {
        "n_components": 3,
        "initial": TRUTH,
        "frozen": frozen,
        "run": tmp_path / "run",
        "max_passes": 2,
    }
    dgmmis.fit(catalog, tolerance=0, **settings)
    for path in [tmp_path / "run" / "start.ckpt", *(tmp_path / "run" / "ckpt").glob("*.ckpt")]:
        path.unlink()
    with pytest.raises(CorruptCheckpoint, match="initial"):
        dgmmis.resume(tmp_path / "run")
    np.testing.assert_array_equal(dgmmis.fit(catalog, tolerance=0, **settings).mixture.means, TRUTH.means)


def test_a_death_while_a_run_is_made_leaves_a_folder_that_can_be_used(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    for folder in ("ckpt", "attempts", "log"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    (tmp_path / "run" / ".run.json.77.tmp").write_text("{")
    assert fit(catalog, tmp_path / "run", max_passes=1).n_passes == 2


def test_fewer_passes_than_were_made_are_answered_from_their_checkpoint_and_the_end_stays(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    settings = {"n_components": 3, "initial": VAGUE}
    done = dgmmis.fit(catalog, run=tmp_path / "run", **settings)
    assert done.converged
    fewer = dgmmis.fit(catalog, run=tmp_path / "run", tolerance=0, max_passes=2, **settings)
    assert bits_of(fewer) == bits_of(dgmmis.fit(catalog, tolerance=0, max_passes=2, **settings))
    assert dgmmis.open_run(tmp_path / "run").state() == "SUCCEEDED"
