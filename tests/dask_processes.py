"""Clusters of real processes on this machine, and the faults that can be done to them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from distributed import Client

from dgmmis import open_run
from dgmmis.cli import main as _main  # noqa: F401  (an import error shall show here, not in a child)

TREE = Path(__file__).parents[1]


def environment(folder: Path) -> dict[str, str]:
    """What child processes need to import this tree, the tests and modules in `folder`."""
    places = [str(TREE), str(TREE / "tests"), str(folder)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}


def until(what: str, condition, seconds: float = 300.0, every: float = 0.1):
    """Wait for a condition with a generous cap; return what it gave."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        answer = condition()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"waited {seconds:.0f} s in vain for: {what}")


class Processes:
    """A scheduler and nannies with one worker each, with the settings Dask ships; driver processes beside them.

    Parameters
    ----------
    folder : path
        For their logs and for modules that they can import.
    host : str
        Address that the scheduler listens on.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.host = folder, host
        self.nannies: list[subprocess.Popen] = []
        self._all: list[subprocess.Popen] = []
        self.scheduler_file = folder / "scheduler.json"
        self.scheduler = self.start(
            ["-m", "distributed.cli.dask_scheduler", "--host", host, "--port", "0",
             "--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(self.scheduler_file)],
            "scheduler",
        )  # fmt: skip
        until("a scheduler", self.scheduler_file.exists)
        self.address = until("its address", lambda: json.loads(self.scheduler_file.read_text() or "{}"))[
            "address"
        ]

    def start(self, arguments: list[str], name: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start a Python process that logs to a file."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [*prefix, sys.executable, *arguments],
                stdout=log, stderr=log, env=environment(self.folder), cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self._all.append(process)
        return process

    def add_worker(self, prefix: tuple[str, ...] = (), host: str | None = None) -> subprocess.Popen:
        """Start a nanny with a worker of one thread."""
        number = len(self.nannies)
        nanny = self.start(
            ["-m", "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--memory-limit", "1GiB",
             "--no-dashboard", "--host", host or self.host, "--local-directory", str(self.folder / f"w{number}")],
            f"worker{number}", prefix,
        )  # fmt: skip
        self.nannies.append(nanny)
        return nanny

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many have joined."""
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=300)

    def worker_pids(self, nanny: subprocess.Popen) -> list[int]:
        """Worker processes of a nanny, but not what multiprocessing keeps beside them."""
        try:
            children = psutil.Process(nanny.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        found = []
        for child in children:
            try:
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child.pid)
            except psutil.NoSuchProcess:
                continue
        return found

    def fit(self, catalog: Path, run: Path, *more: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start a driver; a cluster beyond the loopback address is one in a network of our own."""
        elsewhere = [] if "//127.0.0.1:" in self.address else ["--insecure-cluster"]
        cluster = ["--cluster", self.address, *elsewhere]
        return self.start(
            ["-m", "dgmmis", "fit", str(catalog), "--run", str(run), *cluster, *more],
            f"driver-{run.name}",
            prefix,
        )

    def log_of(self, run: Path) -> str:
        """What a driver said."""
        return (self.folder / f"driver-{run.name}.log").read_text()

    def stop(self) -> None:
        """End every process that was started, and their children, by their ids."""
        pids = []
        for process in self._all:
            with suppress(psutil.NoSuchProcess):
                pids += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        for pid in [process.pid for process in self._all if process.poll() is None] + pids:
            kill(pid, signal.SIGKILL)
        for process in self._all:
            process.wait(30)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def processes(folder: Path, workers: int = 2, host: str = "127.0.0.1") -> Iterator[Processes]:
    """Start a cluster of processes for as long as the context lasts."""
    cluster = Processes(folder, host)
    try:
        for _ in range(workers):
            cluster.add_worker()
        if workers:
            cluster.wait_for_workers(workers)
        yield cluster
    finally:
        cluster.stop()


def last_checkpoint(run: Path) -> int:
    """Number of the last checkpoint; -1 before the first."""
    return max((int(path.stem) for path in (run / "ckpt").glob("*.ckpt")), default=-1)


def digest_of_end(run: Path) -> str:
    """Hash of the last checkpoint: that of its predecessors and all bits of the last pass are part of it."""
    return hashlib.sha256((run / "ckpt" / f"{last_checkpoint(run):06d}.ckpt").read_bytes()).hexdigest()


class StatusWatch:
    """Asks a run for its state again and again, and notes for how long it was wrong.

    While the driver lives, RUNNING is right; once it has ended, one of `ends`.
    """

    def __init__(self, run: Path, driver: subprocess.Popen) -> None:
        self._run, self._driver = run, driver
        self._stop = threading.Event()
        self._states: list[tuple[float, bool, str]] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            alive = self._driver.poll() is None
            self._states.append((time.monotonic(), alive, open_run(self._run).state()))

    def longest_wrong(self, ends: tuple[str, ...]) -> float:
        """Stop and tell the longest time [s] for which the state was wrong without a break.

        RUNNING is right until the driver has ended or has let its run go; from then on one of `ends` is.
        """
        time.sleep(1.0)
        self._stop.set()
        self._thread.join()
        running = [i for i, (_, _, state) in enumerate(self._states) if state == "RUNNING"]
        last_running = running[-1] if running else -1
        longest, since = 0.0, None
        for i, (moment, alive, state) in enumerate(self._states):
            if alive if i <= last_running and state == "RUNNING" else i > last_running and state in ends:
                since = None
                continue
            since = moment if since is None else since
            longest = max(longest, moment - since + 0.2)
        return longest
