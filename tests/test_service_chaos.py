"""Runs are killed, paused, raced for and cancelled at random moments: one history, the same bits, the right state."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from drives import (
    CONTEXT,
    assert_one_history,
    begin,
    begin_serving,
    command,
    events_of,
    resume,
    resume_and_die_writing,
    resume_at,
    say,
    submitted,
    wait_for,
)
from simulated import TRUTH, write_catalog

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 3, np.tile(20 * np.eye(3), (3, 1, 1)))
PASSES = 80
CALLS = ("write", "fsync", "link", "unlink")
MOST_SECONDS = 10.0
TRUTHFUL_SECONDS = 5.0


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("chaos") / "stars.zarr", n_rows=3_000, chunk_rows=700)


@pytest.fixture(scope="module")
def expected(catalog: dgmmis.Catalog, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the last pass of a run that nothing happened to; it depends on all passes before."""
    run = tmp_path_factory.mktemp("undisturbed")
    dgmmis.fit(catalog, n_components=3, initial=VAGUE, tolerance=0, max_passes=PASSES, runs=run)
    return dgmmis.list_runs(run)[0].latest().digest


def submit(catalog: dgmmis.Catalog, root: Path) -> dgmmis.Run:
    return dgmmis.submit(
        catalog, n_components=3, initial=VAGUE, tolerance=0, max_passes=PASSES, runs=root, workers=0
    )


def kill(process: BaseProcess) -> bool:
    """Kill a process; tell whether it was still there."""
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def at_a_moment_of(run: dgmmis.Run, process: BaseProcess, rng: np.random.Generator) -> None:
    """Wait until a driver holds the lock, or, half of the times, has stored a pass; then for a random while."""
    folder = run.folder
    attempts, stored = folder.n_attempts(), len(folder.checkpoint_numbers())
    if rng.random() < 0.5:
        wait_for(lambda: len(folder.checkpoint_numbers()) > stored or not process.is_alive(), "a pass")
        time.sleep(rng.uniform(0, 0.2))
    else:
        wait_for(
            lambda: folder.is_held() or folder.n_attempts() > attempts or not process.is_alive(), "the lock"
        )
        time.sleep(rng.uniform(0, 0.6))


def ended(run: dgmmis.Run, expected: str) -> bool:
    """Assert that a run that reached its last pass has the right bits; tell whether it has."""
    latest = run.folder.latest()
    if latest is None or latest.scan.number < PASSES:
        return False
    assert latest.digest == expected
    assert_one_history(run.path)
    return True


def finish(run: dgmmis.Run, expected: str) -> None:
    dgmmis.resume(run.path)
    assert run.state == "STOPPED"
    assert ended(run, expected)


def state_within(run: dgmmis.Run, states: tuple[str, ...]) -> float:
    """Seconds until the state is one of those."""
    seconds = wait_for(lambda: run.state in states, f"one of {states}, it is {run.state}")
    assert seconds < TRUTHFUL_SECONDS
    return seconds


def test_fifty_kills_of_drivers_ten_of_them_inside_a_checkpoint_write(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path
) -> None:
    rng, runs, kills, slowest = np.random.default_rng(11), 1, 0, 0.0
    run = submit(catalog, tmp_path / "0")
    while kills < 50:
        if kills % 5 == 4:
            stored = len(run.folder.checkpoint_numbers())
            at = int(rng.integers(1, 4))
            process = begin(resume_and_die_writing, str(run.path), CALLS[kills // 5 % 4], at)
            process.join()
            died = process.exitcode == -signal.SIGKILL
            assert not died or len(run.folder.checkpoint_numbers()) <= stored + at
        else:
            process = begin(resume, str(run.path))
            at_a_moment_of(run, process, rng)
            died = kill(process)
        kills += died
        if died:
            slowest = max(slowest, state_within(run, ("INTERRUPTED", "STOPPED", "QUEUED")))
        if ended(run, expected):
            run = submit(catalog, tmp_path / str(runs))
            runs += 1
    finish(run, expected)
    say(
        f"{kills}/50 kills of a driver resumed with the same bits ({runs} runs), at most 1 pass redone; "
        f"state right within {slowest:.2f} s"
    )


def test_twenty_races_of_two_resumes(catalog: dgmmis.Catalog, expected: str, tmp_path: Path) -> None:
    refused = 0
    for race in range(20):
        run = submit(catalog, tmp_path / str(race))
        barrier = CONTEXT.Barrier(2)
        processes = [begin(resume_at, barrier, str(run.path)) for _ in range(2)]
        for process in processes:
            process.join()
        codes = sorted(process.exitcode for process in processes)
        assert codes in ([0, 0], [0, 75])
        refused += codes == [0, 75]
        assert ended(run, expected)
    say(f"20/20 races of two resumes: one history each; {refused} times the second was refused")


def test_five_takeovers_of_a_paused_driver(catalog: dgmmis.Catalog, expected: str, tmp_path: Path) -> None:
    rng, slowest = np.random.default_rng(3), 0.0
    for attempt in range(5):
        run = submit(catalog, tmp_path / str(attempt))
        paused = begin(resume, str(run.path))
        at_a_moment_of(run, paused, rng)
        os.kill(paused.pid, signal.SIGSTOP)
        other = begin(resume, str(run.path))
        other.join()
        if run.folder.is_held():
            assert other.exitcode == 75
            slowest = max(slowest, state_within(run, ("RUNNING",)))
        if attempt % 2:
            os.kill(paused.pid, signal.SIGCONT)
            paused.join()
            assert paused.exitcode == 0
        else:
            kill(paused)
            slowest = max(slowest, state_within(run, ("INTERRUPTED", "STOPPED")))
            finish(run, expected)
        assert ended(run, expected)
    say(f"5/5 paused drivers: the second was refused, one history each; state right within {slowest:.2f} s")


def test_thirty_cancels_at_random_moments(catalog: dgmmis.Catalog, expected: str, tmp_path: Path) -> None:
    rng, slowest, runs, cancels = np.random.default_rng(7), 0.0, 1, 0
    run = submit(catalog, tmp_path / "0")
    while cancels < 30:
        process = begin(resume, str(run.path))
        at_a_moment_of(run, process, rng)
        began = time.monotonic()
        state = dgmmis.cancel(run.path, timeout=60)
        seconds = time.monotonic() - began
        process.join()
        if state == "CANCELLED":
            cancels += 1
            slowest = max(slowest, seconds)
            assert seconds < MOST_SECONDS, f"cancel {cancels} took {seconds:.1f} s; {run.trace[-3:]}"
            assert process.exitcode == 11
            assert run.state == "CANCELLED"
            latest = run.folder.latest()
            assert latest is None or latest.scan.number <= PASSES
        if ended(run, expected):
            run = submit(catalog, tmp_path / str(runs))
            runs += 1
    finish(run, expected)
    say(f"{cancels}/30 cancels within {slowest:.1f} s, the last pass kept, resumed with the same bits")


def test_eight_submits_at_once_ten_times_by_processes_that_die(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    for number in range(10):
        root = tmp_path / str(number)
        submitted(8, catalog.path, root, [0] * 8)
        (run,) = dgmmis.list_runs(root)
        assert (run.state(), run.requests.count()) == ("QUEUED", 1)
        submitted(8, catalog.path, root, list(range(8)))
        assert len(dgmmis.list_runs(root)) == 8
    say("10/10 times 8 equal submits were 1 run and 8 different ones 8, whose submitters were gone")


def test_servers_are_killed_and_stopped_and_started_twice(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path
) -> None:
    rng, slowest = np.random.default_rng(5), 0.0
    root = tmp_path / "0"
    run = submit(catalog, root)
    for ending in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        folder, attempts = run.folder, run.folder.n_attempts()
        server = begin_serving(root)
        wait_for(lambda folder=folder, seen=attempts: folder.n_attempts() > seen, "a driver")
        time.sleep(rng.uniform(0, 0.3))
        began = time.monotonic()
        server.send_signal(ending)
        log = events_of(server.communicate(timeout=120)[1])
        assert server.returncode == (-ending if ending == signal.SIGKILL else 0)
        assert ("ended" in [event["event"] for event in log]) == (ending != signal.SIGKILL)
        wait_for(lambda folder=folder: not folder.is_held(), "the driver to stop")
        slowest = max(slowest, time.monotonic() - began)
        if ended(run, expected):
            root = tmp_path / f"after {root.name}"
            run = submit(catalog, root)
        assert run.state in ("INTERRUPTED", "STOPPED", "QUEUED")
    servers = [begin_serving(root, "--drain") for _ in range(2)]
    for server in servers:
        server.communicate(timeout=300)
        assert server.returncode == 0
    assert run.state == "STOPPED"
    assert ended(run, expected)
    say(f"4/4 servers ended at random moments, drivers gone within {slowest:.1f} s, two more ended the work")


@pytest.mark.parametrize(
    ("number", "to_group", "moment"),
    [
        (signal.SIGINT, True, lambda run: (run / "ckpt" / "000002.ckpt").exists()),
        (signal.SIGTERM, False, lambda run: (run / "ckpt" / "000001.ckpt").exists()),
        (signal.SIGINT, True, lambda run: (run / "run.json").exists()),
    ],
    ids=["Ctrl-C in a pass", "SIGTERM in a pass", "Ctrl-C before the first pass"],
)
def test_a_fit_on_workers_of_its_own_stops_without_a_traceback(
    catalog: dgmmis.Catalog,
    tmp_path: Path,
    number: signal.Signals,
    to_group: bool,
    moment: Callable[[Path], bool],
) -> None:
    """Ctrl-C at a terminal reaches the workers too."""
    run = tmp_path / "run"
    process = subprocess.Popen(
        command(
            *("fit", catalog.path, "-K", 3, "--run", run, "--tolerance", 0, "--max-passes", 100_000),
            *("--workers", 2),
        ),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: moment(run) or process.poll() is not None, "the moment")
    began = time.monotonic()
    (os.killpg if to_group else os.kill)(process.pid, number)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert "Traceback" not in log
    assert f"dgmmis resume {run}" in log
    assert dgmmis.open_run(run).state() in ("INTERRUPTED", "QUEUED")
    say(f"{number.name} on 2 workers: exit code {128 + number} in {time.monotonic() - began:.1f} s")


def test_a_cancel_reaches_a_fit_on_workers_and_one_whose_cluster_has_none(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("fit", catalog.path, "-K", 3, "--run", run, "--tolerance", 0, "--max-passes", 100_000, "--json")
    process = subprocess.Popen(command(*words, "--workers", 2), stdout=subprocess.PIPE, text=True)
    wait_for(lambda: (run / "ckpt" / "000001.ckpt").exists(), "the second pass")
    began = time.monotonic()
    assert dgmmis.cancel(run, timeout=60) == "CANCELLED"
    on_workers = time.monotonic() - began
    assert json.loads(process.communicate(timeout=60)[0])["error"] == "RunCancelled"
    assert process.returncode == 11
    scheduler = begin_dask("scheduler", "--port", "0", "--scheduler-file", str(tmp_path / "scheduler.json"))
    try:
        wait_for(lambda: (tmp_path / "scheduler.json").exists(), "the scheduler")
        address = json.loads((tmp_path / "scheduler.json").read_text())["address"]
        attempts = dgmmis.open_run(run).n_attempts()
        process = subprocess.Popen(command("resume", run, "--cluster", address), stderr=subprocess.DEVNULL)
        wait_for(lambda: dgmmis.open_run(run).n_attempts() > attempts, "the driver")
        began = time.monotonic()
        assert dgmmis.cancel(run, timeout=60) == "CANCELLED"
        without = time.monotonic() - began
        assert process.wait(60) == 11
    finally:
        scheduler.terminate()
        scheduler.wait(60)
    assert max(on_workers, without) < MOST_SECONDS
    say(f"cancelled on workers in {on_workers:.1f} s, while waiting for workers in {without:.1f} s")


def begin_dask(what: str, *options: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1", *options]
    return subprocess.Popen([*words, "--dashboard-address", "127.0.0.1:0"], stderr=subprocess.DEVNULL)


def test_a_server_waits_for_a_cluster_that_is_not_there(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    run = submit(catalog, tmp_path)
    server = begin_serving(tmp_path, "--drain", "--cluster", f"tcp://127.0.0.1:{port}")
    first = json.loads(next(line for line in server.stderr if "cluster lost" in line))
    assert (first["loss"], first["of"], first["again_in_seconds"]) == (1, 10, 5.0)
    assert run.state == "QUEUED"
    began = time.monotonic()
    cluster = [
        begin_dask("scheduler", "--port", port),
        begin_dask("worker", f"tcp://127.0.0.1:{port}", "--nthreads", "2", "--no-nanny"),
    ]
    try:
        server.communicate(timeout=600)
        assert server.returncode == 0
    finally:
        for process in reversed(cluster):
            process.terminate()
            process.wait(60)
    assert run.state == "STOPPED"
    assert ended(run, expected)
    say(f"a cluster that came late was taken up, and the run ended in {time.monotonic() - began:.0f} s")
