"""Real processes that submit and drive runs; they fork from one that has loaded all, so that each costs little."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import dgmmis
import dgmmis.runs.local_place
from dgmmis.errors import DgmmisError
from dgmmis.observer import SilentObserver
from dgmmis.signal_stops import heeding_signals
from dgmmis.stopping import Heeding, Stop
from simulated import TRUTH, noisy_rows

VALUES, NOISE = noisy_rows(300)
dgmmis.fit(VALUES, n_components=3, initial=TRUTH, noise=NOISE, max_passes=1)
"""Kernels are loaded here, once for all processes that fork."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["drives"])
PATIENCE = 120.0


def wait_for(condition: Callable[[], object], what: str) -> float:
    """Wait until something is so; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE, f"waited in vain for {what}"
        time.sleep(0.01)
    return time.monotonic() - began


def say(what: str) -> None:
    """Print how a promise was kept, for `pytest -s`."""
    sys.stdout.write(f"\n{what}\n")


def begin(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process."""
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # what forks imports this module by name, or does not and says nothing
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        ensure_running()
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


def resume(run: str) -> None:
    """Drive a run as the command line does; the exit code is that of the error."""
    stop = Stop()
    try:
        with heeding_signals(stop, "resume it"):
            dgmmis.resume(run, observer=Heeding(SilentObserver(), stop))
    except DgmmisError as error:
        sys.exit(error.exit_code)


def resume_at(barrier: object, run: str) -> None:
    """Drive a run as soon as all are ready to."""
    barrier.wait()
    resume(run)


def resume_and_die_writing(run: str, call: str, at: int) -> None:
    """Drive a run and die of SIGKILL at a call of the operating system while a checkpoint is written.

    `call` is one of "write" (half of it is in the temporary file), "fsync", "link" and "unlink" (its name is there).
    """
    seen = 0
    real = dgmmis.runs.local_place.put_if_absent

    def put(path: Path, content: bytes) -> None:
        nonlocal seen
        seen += path.suffix == ".ckpt"
        if seen != at or path.suffix != ".ckpt":
            return real(path, content)
        if call == "write":
            path.with_name(f".{path.name}.{os.getpid()}-1.tmp").write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        if call == "unlink":
            Path.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        else:
            setattr(os, call, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        return real(path, content)

    dgmmis.runs.local_place.put_if_absent = put
    resume(run)


def submit_at(barrier: object, catalog: str, root: str, seed: int) -> None:
    """Submit as soon as all are ready to, and die at once."""
    barrier.wait()
    dgmmis.submit(catalog, n_components=3, runs=root, seed=seed, workers=0)
    os.kill(os.getpid(), signal.SIGKILL)


def submitted(barrier_of: int, catalog: Path, root: Path, seeds: list[int]) -> None:
    """Have so many processes submit at once."""
    barrier = CONTEXT.Barrier(barrier_of)
    processes = [begin(submit_at, barrier, str(catalog), str(root), seed) for seed in seeds]
    for process in processes:
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL


def command(*arguments: object) -> list[str]:
    """Name the command line as a process."""
    return [sys.executable, "-m", "dgmmis", *map(str, arguments)]


def begin_serving(root: Path, *options: object) -> subprocess.Popen[str]:
    """Start a server without workers; it logs JSON lines to standard error."""
    words = command("serve", "--runs", root, "--workers", 0, "--json", *options)
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def events_of(log: str) -> list[dict[str, object]]:
    """Read a server's log."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


def passes_of(run: Path) -> list[int]:
    """Give the numbers of the passes that the attempts of a run logged, in order."""
    return [event["number"] for event in dgmmis.open_run(run).trace() if event["event"] == "pass"]


def assert_one_history(run: Path) -> None:
    """Assert that checkpoints form one chain, each made once, whoever drove the run."""
    folder = dgmmis.open_run(run)
    numbers = folder.checkpoint_numbers()
    assert numbers == list(range(len(numbers)))
    checkpoints = [folder.read_checkpoint(number) for number in numbers]
    assert [c.parent for c in checkpoints] == [
        folder.digest_of_start(),
        *[c.digest for c in checkpoints[:-1]],
    ]
    logged = passes_of(run)
    assert logged == sorted(set(logged)), "a pass was made and stored twice"


class Waits(SilentObserver):
    """Holds a drive up before each pass is over, so that a test meets it there."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_segment(self, *_: object) -> None:
        """Wait."""
        time.sleep(self.seconds)
