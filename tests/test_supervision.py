"""Chunks that kill, segments that never end, workers that are suspended or differ: each is found and told."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster, wait

import dgmmis
from dgmmis.cluster import bounded, local_cluster
from dgmmis.cluster.bounded import within
from dgmmis.cluster.closing import closed_in_time
from dgmmis.cluster.configuration import progress_deadline
from dgmmis.cluster.duties import ALONE, IN_COMPANY
from dgmmis.cluster.pace import LATE, STUCK, Pace
from dgmmis.cluster.preflight import Preflight
from dgmmis.cluster.revival import revive
from dgmmis.cluster.supervisor import Supervisor
from dgmmis.errors import ClusterLost, InvalidSetting, PoisonChunk, WorkersDiffer
from simulated import TRUTH, bits_of, write_catalog

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 2, np.tile(9 * np.eye(3), (3, 1, 1)))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        yield client


def sending(client: Client, function, *before):
    """Make the submit of a function of bounds."""

    def announced(*arguments):
        import time

        from distributed import get_worker

        get_worker().log_event("dgmmis-begun", get_worker().get_current_task())
        time.sleep(0.5)
        return function(*arguments)

    def submit(bounds, _, placement):
        where = {"workers": list(placement.workers), "allow_other_workers": True} if placement.workers else {}
        call = announced if placement.announced else function
        return client.submit(call, *before, bounds, pure=False, **where)

    return submit


@pytest.mark.thorough
def test_a_chunk_that_kills_every_worker_is_named_and_no_other(client: Client) -> None:
    def deadly(bounds):  # travels whole: a new worker need not import this package
        import os

        if bounds[0] <= 7 < bounds[1]:
            os.kill(os.getpid(), 11)
        return bounds

    supervisor = Supervisor(client, rows_of=lambda chunk: (100 * chunk, 100 * chunk + 100))
    arrived: list[tuple[int, int]] = []
    segments = [(i, i + 4) for i in range(0, 20, 4)]
    with pytest.raises(PoisonChunk, match=r"chunk 7 \(rows 700\.\.799\) killed") as caught:
        arrived.extend(supervisor.run(segments, sending(client, deadly), None))
    assert (caught.value.chunk, caught.value.rows) == (7, (700, 800))
    assert caught.value.workers == IN_COMPANY + ALONE
    assert not any(start <= 7 < stop for start, stop in arrived)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (str(error), error.exit_code) == (str(caught.value), 10)


def have_two_workers(client: Client) -> None:
    """Bring the cluster back to its size, which a test before may have brought down."""
    ends = time.monotonic() + 100
    while len(client.scheduler_info()["workers"]) < 2 and time.monotonic() < ends:
        revive(client.cluster, 2)
        time.sleep(0.2)


@pytest.fixture
def supervisor(client: Client) -> Supervisor:
    """Supervise two workers that have imported what the tasks need."""
    have_two_workers(client)
    supervisor = Supervisor(client)
    segments = [(i, i + 1) for i in range(20, 26)]
    list(supervisor.run(segments, sending(client, hanging, Path("nowhere")), None, "importing"))
    return supervisor


def hang(folder) -> None:
    """Do not end before the test does."""
    ends = time.monotonic() + 100
    while not (folder / "over").exists() and time.monotonic() < ends:
        time.sleep(0.1)


def hanging_once(folder, bounds) -> tuple[int, int]:
    if bounds == (3, 4) and not (folder / "begun").exists():
        (folder / "begun").touch()
        hang(folder)
    return bounds


def hanging(folder, bounds) -> tuple[int, int]:
    if bounds == (3, 4):
        hang(folder)
    return bounds


@pytest.mark.chaos
def test_a_late_segment_is_given_to_another_worker_and_the_first_result_counts(
    client: Client, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmmis.cluster.pace.LATE", 1.0)
    segments = [(i, i + 1) for i in range(6)]
    arrived = sorted(supervisor.run(segments, sending(client, hanging_once, tmp_path), None))
    (tmp_path / "over").touch()
    assert arrived == segments
    assert supervisor.resubmitted >= 1


@pytest.mark.chaos
def test_a_segment_that_ends_on_no_worker_is_a_typed_error(
    client: Client, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmmis.cluster.pace.LATE", 1.0)
    monkeypatch.setattr("dgmmis.cluster.pace.STUCK", 4.0)
    segments = [(i, i + 1) for i in range(6)]
    with pytest.raises(ClusterLost, match=r"chunks 3\.\.3 have been computed for .* without an end"):
        list(supervisor.run(segments, sending(client, hanging, tmp_path), None))
    (tmp_path / "over").touch()


def test_segments_are_late_and_stuck_by_the_pace_of_the_others() -> None:
    pace = Pace()
    assert pace.late == pace.stuck == float("inf")
    for seconds in [1.0] * 99 + [40.0]:
        pace.add(seconds)
    assert pace.late == LATE
    assert pace.stuck == 800.0
    quick = Pace()
    quick.add(0.1)
    assert quick.stuck == STUCK


def test_a_call_that_never_returns_is_given_up() -> None:
    with pytest.raises(TimeoutError, match="sleep did not return"):
        within(0.2, time.sleep, 30)
    assert within(5, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        within(5, divmod, 7, 0)


@pytest.mark.parametrize("default", ["another", "none"])
def test_a_fit_waits_on_its_own_client_whichever_is_the_default_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default: str
) -> None:
    """On another client's event loop nobody would wake it when a segment is done."""
    catalog = write_catalog(tmp_path / "stars.zarr", n_rows=600, chunk_rows=200)
    asked: list[Client] = []

    def watched(*arguments: object, **settings: object) -> object:
        asked.append(Client.current())
        return wait(*arguments, **settings)

    monkeypatch.setattr(bounded, "wait", watched)
    settings = {
        "processes": False,
        "protocol": "tcp",
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
    }
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **settings) as cluster,
        Client(cluster, set_as_default=False) as own,
        LocalCluster(n_workers=0, **settings) as elsewhere,
        Client(elsewhere, set_as_default=default == "another"),
    ):
        result = dgmmis.fit(catalog, n_components=3, initial=TRUTH, max_passes=2, tolerance=0, client=own)
    assert set(asked) == {own}
    alone = dgmmis.fit(catalog, n_components=3, initial=TRUTH, max_passes=2, tolerance=0)
    assert bits_of(result) == bits_of(alone)


def test_the_progress_deadline_is_a_setting_of_dask() -> None:
    assert progress_deadline() == 90
    with dask.config.set({"dgmmis.progress-deadline": "2 minutes"}):
        assert progress_deadline() == 120
    for wrong in ("soon", "-3 s", 0):
        with (
            dask.config.set({"dgmmis.progress-deadline": wrong}),
            pytest.raises(InvalidSetting, match="progress-deadline"),
        ):
            progress_deadline()


def test_a_worker_with_other_versions_is_refused_by_name_or_recorded(tmp_path: Path) -> None:
    other = tmp_path / "site" / "zarr-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 9.9\n")
    catalog = write_catalog(tmp_path / "c.zarr", n_rows=2_000, chunk_rows=500)
    settings = {"n_components": 3, "initial": VAGUE, "tolerance": 0, "max_passes": 2}
    preload = f"import sys\nsys.path.insert(0, {str(other.parent)!r})\n"
    with (
        dask.config.set({"distributed.worker.preload": [preload]}),
        closed_in_time(
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        ) as cluster,
        Client(cluster) as client,
    ):
        with pytest.raises(WorkersDiffer, match=r"zarr 9\.9 there") as caught:
            dgmmis.fit(catalog, client=client, **settings)
        assert caught.value.worker in client.scheduler_info()["workers"]
        before = client.run(lambda dask_worker: sorted(dask_worker.plugins))
        with dask.config.set({"dgmmis.allow-skew": True}):
            result = dgmmis.fit(catalog, client=client, run=tmp_path / "run", **settings)
        assert (
            client.run(lambda dask_worker: sorted(dask_worker.plugins)) == before
        )  # nothing is left on a cluster
    (told,) = result.skew
    assert "zarr 9.9 there" in told
    trace = dgmmis.open_run(tmp_path / "run").trace()
    assert [event["workers"] for event in trace if event["event"] == "workers differ"] == [[told]]
    alone = dgmmis.fit(catalog, **settings)
    assert alone.skew == ()
    assert bits_of(result) == bits_of(alone)


@pytest.mark.chaos
def test_a_suspended_worker_holds_neither_preflight_nor_the_end() -> None:
    began = time.monotonic()
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        pids = [nanny.pid for nanny in client.cluster.workers.values()]
        Preflight(client).examine()
        os.kill(pids[0], signal.SIGSTOP)
        Preflight(client).examine()
        examined = time.monotonic() - began
    assert examined < 55
    assert not {process.pid for process in multiprocessing.active_children()} & set(pids)
