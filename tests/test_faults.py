"""Whatever dies under a fit, it ends in the right result or in a typed error that a resume gets over: within 120 s."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dask_processes import (
    Processes,
    StatusWatch,
    digest_of_end,
    environment,
    kill,
    last_checkpoint,
    processes,
    until,
)
from networks import cable, needs_networks
from simulated import TRUTH, noisy_rows, write_catalog

pytestmark = [pytest.mark.chaos, pytest.mark.cluster, pytest.mark.timeout(2400)]

ALLOWED = 120.0
STATUS = 5.0
REPEATS = range(int(os.environ.get("DGMMIS_CHAOS_REPEATS", "5")))
TYPED = ("ClusterLost", "PoisonChunk", "OSError", "DiskFull")
VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 2, np.tile(9 * np.eye(3), (3, 1, 1)))

POISON = """
import ctypes, pathlib
import numpy as np
from distributed import get_worker

BAIT = float(pathlib.Path(__file__).with_name("bait").read_text())

def everything(values):
    "Keeps all rows; one of them brings a worker down, as a fault in a compiled library does."
    if np.any(values[:, 0] == BAIT) and on_worker():
        ctypes.string_at(0)
    return np.ones(len(values))

def on_worker():
    try:
        get_worker()
    except ValueError:
        return False
    return True
"""


@dataclass
class Scene:
    """A catalogue, how it is fitted, and the digest of the fit that nothing disturbs."""

    folder: Path
    catalog: Path
    settings: tuple[str, ...]
    digest: str = ""


@dataclass
class Tally:
    """What came of the faults of each kind."""

    ends: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)

    def note(self, kind: str, how: str, seconds: float, wrong: float) -> None:
        self.ends.setdefault(kind, []).append((how, seconds, wrong))

    def lines(self) -> Iterator[str]:
        for kind, ends in self.ends.items():
            right = sum(how == "right result" for how, _, _ in ends)
            yield (
                f"{kind}: {len(ends)}/{len(ends)} ended well ({right} right, {len(ends) - right} typed and resumed to "
                f"the same bits), at most {max(seconds for _, seconds, _ in ends):.0f} s after the fault, status wrong "
                f"for at most {max(wrong for _, _, wrong in ends):.1f} s"
            )


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    tally = Tally()
    yield tally
    sys.stdout.write("\n" + "\n".join(tally.lines()) + "\n")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("faults")
    write_catalog(folder / "stars.zarr", n_rows=60_000, chunk_rows=1500)
    dgmmis.Model(VAGUE, ("a", "b", "c"), ("", "", "")).save(folder / "vague.npz")
    settings = ("-K", "3", "--initial", str(folder / "vague.npz"), "--tolerance", "0", "--max-passes", "25")
    scene = Scene(folder, folder / "stars.zarr", settings)
    alone = folder / "undisturbed"
    here("fit", str(scene.catalog), "--run", str(alone), *settings, folder=folder)
    scene.digest = digest_of_end(alone)
    return scene


def here(*arguments: str, folder: Path) -> None:
    """Run a verb in a process without workers."""
    command = [sys.executable, "-m", "dgmmis", *arguments, "--workers", "0"]
    done = subprocess.run(
        command, env=environment(folder), cwd=folder, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr


def ends_well(
    kind: str,
    scene: Scene,
    cluster: Processes,
    run: Path,
    driver: subprocess.Popen,
    watch: StatusWatch,
    tally: Tally,
) -> str:
    """Wait for the end after a fault just done; a typed error must be resumable to the same bits."""
    began = time.monotonic()
    try:
        code = driver.wait(ALLOWED + 60)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still there after {ALLOWED + 60:.0f} s:\n{cluster.log_of(run)}")
    seconds = time.monotonic() - began
    log = cluster.log_of(run)
    how = "right result"
    if code != 0:
        how = next((name for name in TYPED if f"{name}: " in log), "")
        assert how, f"exit code {code} without a typed error:\n{log}"
        assert "Traceback" not in log, log
    wrong = watch.longest_wrong(("STOPPED", "SUCCEEDED") if code == 0 else ("INTERRUPTED", "FAILED"))
    assert seconds <= ALLOWED, f"{how} after {seconds:.0f} s:\n{log}"
    assert wrong <= STATUS
    tally.note(kind, how, seconds, wrong)
    return how


def resumes(scene: Scene, cluster: Processes, run: Path) -> None:
    here("resume", str(run), folder=cluster.folder)
    assert digest_of_end(run) == scene.digest


@contextmanager
def under_way(
    cluster: Processes, scene: Scene, run: Path, passes: int, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen, StatusWatch]]:
    """Start a fit and go on once it has made some passes."""
    driver = cluster.fit(scene.catalog, run, *scene.settings, prefix=prefix)
    until("some passes", lambda: last_checkpoint(run) >= passes or driver.poll() is not None, 600)
    assert driver.poll() is None, cluster.log_of(run)
    yield driver, StatusWatch(run, driver)


@pytest.mark.parametrize("repeat", REPEATS)
def test_all_workers_die(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    run = tmp_path / "run"
    with processes(tmp_path) as cluster, under_way(cluster, scene, run, 1 + 3 * repeat) as (driver, watch):
        for nanny in cluster.nannies:
            for pid in cluster.worker_pids(nanny):
                kill(pid)
        how = ends_well("all workers", scene, cluster, run, driver, watch, tally)
        assert how == "right result"
        assert digest_of_end(run) == scene.digest


@pytest.mark.parametrize("repeat", REPEATS)
def test_all_nannies_and_their_workers_die(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    run = tmp_path / "run"
    with processes(tmp_path) as cluster, under_way(cluster, scene, run, 1 + 3 * repeat) as (driver, watch):
        pids = [pid for nanny in cluster.nannies for pid in cluster.worker_pids(nanny)]
        for pid in [nanny.pid for nanny in cluster.nannies] + pids:
            kill(pid)
        assert ends_well("all nannies", scene, cluster, run, driver, watch, tally) == "ClusterLost"
        assert driver.returncode == 7
        resumes(scene, cluster, run)


@pytest.mark.parametrize("repeat", REPEATS)
def test_the_scheduler_dies(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    run = tmp_path / "run"
    with processes(tmp_path) as cluster, under_way(cluster, scene, run, 1 + 3 * repeat) as (driver, watch):
        kill(cluster.scheduler.pid)
        assert ends_well("scheduler", scene, cluster, run, driver, watch, tally) == "ClusterLost"
        assert driver.returncode == 7
        resumes(scene, cluster, run)


@pytest.mark.parametrize("repeat", REPEATS)
def test_a_worker_is_suspended(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    run = tmp_path / "run"
    with processes(tmp_path) as cluster, under_way(cluster, scene, run, 1 + 3 * repeat) as (driver, watch):
        (victim,) = cluster.worker_pids(cluster.nannies[0])
        kill(victim, signal.SIGSTOP)
        assert ends_well("suspended worker", scene, cluster, run, driver, watch, tally) == "right result"
        kill(victim, signal.SIGCONT)
        assert digest_of_end(run) == scene.digest


def test_a_worker_that_is_suspended_before_the_fit_does_not_hold_it(
    scene: Scene, tmp_path: Path, tally: Tally
) -> None:
    run = tmp_path / "run"
    with processes(tmp_path) as cluster:
        (victim,) = cluster.worker_pids(cluster.nannies[0])
        kill(victim, signal.SIGSTOP)
        driver = cluster.fit(scene.catalog, run, *scene.settings)
        until("a run", (run / "run.json").exists)
        watch = StatusWatch(run, driver)
        assert ends_well("suspended before", scene, cluster, run, driver, watch, tally) == "right result"
        assert digest_of_end(run) == scene.digest


@needs_networks
@pytest.mark.parametrize("repeat", REPEATS)
def test_a_worker_is_cut_off(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    run = tmp_path / "run"
    with cable(repeat) as line, processes(tmp_path, workers=1, host=line.here) as cluster:
        cluster.add_worker(line.prefix, line.there)
        cluster.wait_for_workers(2)
        with under_way(cluster, scene, run, 1 + 3 * repeat) as (driver, watch):
            line.pull()
            assert ends_well("partition", scene, cluster, run, driver, watch, tally) == "right result"
            assert digest_of_end(run) == scene.digest


@needs_networks
@pytest.mark.parametrize("repeat", REPEATS)
def test_the_driver_is_cut_off(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    run = tmp_path / "run"
    with (
        cable(repeat) as line,
        processes(tmp_path, host=line.here) as cluster,
        under_way(cluster, scene, run, 1 + 3 * repeat, line.prefix) as (driver, watch),
    ):
        line.pull()
        how = ends_well("driver cut off", scene, cluster, run, driver, watch, tally)
        assert (how, driver.returncode) == ("ClusterLost", 7)
        resumes(scene, cluster, run)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
@pytest.mark.parametrize("repeat", REPEATS)
def test_the_disk_under_the_run_is_full(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        run = disk / "run"
        with (
            processes(tmp_path) as cluster,
            under_way(cluster, scene, run, 1 + 3 * repeat) as (driver, watch),
        ):
            fill(disk / "ballast")
            how = ends_well("full disk", scene, cluster, run, driver, watch, tally)
            (disk / "ballast").unlink()
            if how != "right result":
                resumes(scene, cluster, run)
            assert digest_of_end(run) == scene.digest
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 8, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


@pytest.mark.parametrize("repeat", REPEATS)
def test_a_chunk_kills_every_worker(scene: Scene, tmp_path: Path, tally: Tally, repeat: int) -> None:
    chunk, run = 7 + 5 * repeat, tmp_path / "run"
    (tmp_path / "poisonous.py").write_text(POISON)
    values, noise = noisy_rows(60_000, missing=0)
    catalog = dgmmis.ingest(
        values, tmp_path / "whole.zarr", features=("a", "b", "c"), noise=noise, chunk_rows=1500
    )
    (tmp_path / "bait").write_text(repr(float(values[chunk * 1500 + 11, 0])))
    with processes(tmp_path) as cluster:
        driver = cluster.fit(catalog.path, run, *scene.settings, "--selection", "poisonous:everything")
        until("a run", lambda: (run / "run.json").exists() or driver.poll() is not None)
        watch = StatusWatch(run, driver)
        assert ends_well("poison chunk", scene, cluster, run, driver, watch, tally) == "PoisonChunk"
        assert driver.returncode == 10
        log = cluster.log_of(run)
        rows = catalog.row_range(chunk)
        assert f"chunk {chunk} (rows {rows[0]}..{rows[1] - 1}) killed " in log
        assert json.loads((run / "final.json").read_text())["state"] == "FAILED"


def test_nothing_of_a_dead_scheduler_or_worker_is_shown_but_our_error(scene: Scene, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with processes(tmp_path) as cluster, under_way(cluster, scene, run, 1) as (driver, watch):
        kill(cluster.scheduler.pid)
        driver.wait(ALLOWED)
        watch.longest_wrong(("INTERRUPTED",))
        assert "distributed" not in cluster.log_of(run)
