"""The same bits on any cluster: any workers, threads and order of arrival, and through kill -9."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.cluster import ClusterPasses, cluster_summarize, connect, local_cluster
from dgmmis.cluster.segments import MOST_CHUNKS, segment_bounds
from dgmmis.cluster.supervisor import Supervisor
from dgmmis.cluster.worker_side import SampleCache
from dgmmis.errors import ClusterLost, CorruptCatalog, InvalidData
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses, local_summarize
from dgmmis.misfit import Examiner
from dgmmis.population import Population
from dgmmis.preparation import prepare_fit
from simulated import TRUTH, bits_of, flat, noisy_rows, whole_model, write_catalog, write_selected_catalog

pytestmark = pytest.mark.cluster

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 2, np.tile(9 * np.eye(3), (3, 1, 1)))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("cluster") / "stars.zarr", n_rows=20_000, chunk_rows=900)


@pytest.fixture(scope="module")
def expected(catalog: dgmmis.Catalog) -> str:
    return bits_of(fit(catalog, None))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        yield client


def fit(
    catalog: dgmmis.Catalog, client: Client | None, max_passes: int = 6, **more: object
) -> dgmmis.FitResult:
    return dgmmis.fit(
        catalog, n_components=3, initial=VAGUE, tolerance=0, max_passes=max_passes, client=client, **more
    )


def test_two_worker_processes_give_the_bits_of_none(
    catalog: dgmmis.Catalog, expected: str, client: Client
) -> None:
    assert bits_of(fit(catalog, client)) == expected


@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (1, 3), (4, 1)])
def test_any_number_of_workers_and_threads_gives_the_same_bits(
    catalog: dgmmis.Catalog, expected: str, workers: int, threads: int
) -> None:
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit="2 GiB",
        ) as cluster,
        Client(cluster) as client,
    ):
        assert bits_of(fit(catalog, client)) == expected


def test_an_array_on_a_cluster_gives_the_bits_of_the_array_alone_and_of_its_catalogue(
    client: Client, tmp_path: Path
) -> None:
    values, noise = noisy_rows(2_500)
    settings = {"n_components": 3, "initial": VAGUE, "noise": noise, "tolerance": 0, "max_passes": 3}
    alone = dgmmis.fit(values, **settings)
    assert bits_of(dgmmis.fit(values, client=client, **settings)) == bits_of(alone)
    ingested = dgmmis.ingest(values, tmp_path / "same.zarr", features=("a", "b", "c"), noise=noise)
    assert bits_of(fit(ingested, client, max_passes=3)) == bits_of(alone)


def test_a_selection_and_a_background_give_the_same_bits_on_two_workers(
    client: Client, tmp_path: Path
) -> None:
    cut = write_selected_catalog(tmp_path / "cut.zarr", n_rows=800, chunk_rows=100)
    settings = {**whole_model(), "initial": VAGUE, "tolerance": 0, "max_passes": 6}
    alone, spread = dgmmis.fit(cut, **settings), dgmmis.fit(cut, client=client, **settings)
    assert alone.completion.reference.refresh > 0
    assert bits_of(spread) == bits_of(alone)
    assert spread.history == alone.history
    assert spread.completeness == alone.completeness


def test_two_workers_examine_rows_to_the_bits_of_none(
    catalog: dgmmis.Catalog, client: Client, tmp_path: Path
) -> None:
    examiner = Examiner.of(Population(VAGUE))
    values, noise = noisy_rows(2_500)
    for chunks in (catalog, ArrayChunks.from_arrays(values, noise, chunk_rows=400)):
        alone = LocalPasses(chunks, threads=1).examine(examiner)
        spread = ClusterPasses(chunks, client).examine(examiner)
        assert all(np.array_equal(array, getattr(spread, name)) for name, array in vars(alone).items())
    cut = write_selected_catalog(tmp_path / "cut.zarr", n_rows=400, chunk_rows=100)
    task = prepare_fit(cut, limits=Limits(0, 0), **whole_model()).task
    examiner = Examiner.of(Population(VAGUE, task.backgrounds))
    alone = LocalPasses(cut, threads=2, cut=task.cut).examine(examiner)
    spread = ClusterPasses(cut, client, cut=task.cut).examine(examiner)
    assert all(np.array_equal(array, getattr(spread, name)) for name, array in vars(alone).items())


class KillsOneOfTwo(dgmmis.observer.SilentObserver):
    """Kills one of two workers while the passes after some go on; the next dies when the last was replaced."""

    def __init__(self, client: Client, after: set[int]) -> None:
        self.client, self.after, self.rng = client, after, np.random.default_rng(1)
        self.killers: list[threading.Timer] = []
        self.killed: set[int] = set()

    def on_pass(self, scan: dgmmis.fit_result.Scan, *_: object) -> None:
        if scan.number not in self.after:
            return
        give_up = time.monotonic() + 120
        while not self.are_two() and time.monotonic() < give_up:
            time.sleep(0.05)
        victim = int(self.rng.choice(sorted(self.pids())))
        self.killed.add(victim)
        self.killers.append(threading.Timer(self.rng.uniform(0, 0.1), os.kill, (victim, signal.SIGKILL)))
        self.killers[-1].start()

    def pids(self) -> set[int]:
        return {worker.pid for worker in self.client.cluster.workers.values() if worker.pid}

    def are_two(self) -> bool:
        whole = len(self.pids() - self.killed) == len(self.client.cluster.scheduler.workers) == 2
        return whole and self.killed.isdisjoint(self.pids())


@pytest.mark.timeout(300)
def test_killed_workers_change_no_bit(catalog: dgmmis.Catalog) -> None:
    expected = bits_of(fit(catalog, None, max_passes=12))
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        killer = KillsOneOfTwo(client, after={2, 6})
        result = fit(catalog, client, max_passes=12, observer=killer)
        for thread in killer.killers:
            thread.join()
    assert len(killer.killed) == 2
    assert bits_of(result) == expected


def test_a_cluster_without_workers_ends_in_a_typed_error_and_no_hang(catalog: dgmmis.Catalog) -> None:
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
        pytest.raises(ClusterLost, match="no worker"),
    ):
        cluster_summarize(catalog, client, progress_deadline=2.0)


def test_a_scheduler_that_does_not_answer_is_a_typed_error() -> None:
    with pytest.raises(ClusterLost, match=r"127\.0\.0\.1:9"), connect("tcp://127.0.0.1:9", timeout=1):
        pass


def test_a_corrupt_chunk_on_a_worker_is_named_here(tmp_path: Path, client: Client) -> None:
    catalog = write_catalog(tmp_path / "bad.zarr", n_rows=3_000, chunk_rows=1_000)
    chunk = sorted((catalog.path / "values" / "c").rglob("*"))
    target = next(path for path in chunk if path.is_file() and path.parts[-2:] == ("1", "0"))
    content = bytearray(target.read_bytes())
    content[40] ^= 4
    target.write_bytes(content)
    with pytest.raises(CorruptCatalog) as caught:
        fit(catalog, client)
    assert (caught.value.array, caught.value.chunk, caught.value.rows) == ("values", 1, (1000, 2000))


def test_a_row_without_density_on_a_worker_is_named_here(client: Client) -> None:
    values, noise = noisy_rows(1_000, missing=0)
    noise[777] = 0
    with pytest.raises(InvalidData, match="log-density") as caught:
        dgmmis.fit(values, n_components=3, initial=flat(VAGUE, 1), noise=noise, client=client)
    assert caught.value.row == 777


def test_segments_cover_every_chunk_once_in_order() -> None:
    for n_chunks in (1, 2, 7, 100, 1001):
        for n_threads in (1, 2, 16):
            bounds = segment_bounds(n_chunks, n_threads)
            assert [chunk for start, stop in bounds for chunk in range(start, stop)] == list(range(n_chunks))
            assert all(0 < stop - start <= MOST_CHUNKS for start, stop in bounds)


def test_the_cache_keeps_chunks_until_its_budget_and_never_beyond(catalog: dgmmis.Catalog) -> None:
    samples = catalog.read_samples(0)
    cache = SampleCache(budget=int(2.5 * samples.nbytes))
    for chunk in range(4):
        cache.offer(("data", chunk), samples)
    assert [cache.get(("data", chunk)) is not None for chunk in range(4)] == [True, True, False, False]
    assert cache.nbytes <= cache.budget


def test_a_pass_on_the_cluster_equals_a_pass_here(catalog: dgmmis.Catalog, client: Client) -> None:
    population = Population(VAGUE)
    here, there = local_summarize(catalog)(population), cluster_summarize(catalog, client)(population)
    assert here.log_likelihood == there.log_likelihood
    np.testing.assert_array_equal(here.second, there.second)


def hopeless(*_: object) -> None:
    raise TimeoutError("the disk does not answer")


def slow(*_: object) -> int:
    time.sleep(4)
    return 7


def test_a_time_out_inside_a_task_is_told_and_does_not_count_as_a_lost_worker(client: Client) -> None:
    supervisor = Supervisor(client, progress_deadline=60)
    began = time.process_time()
    with pytest.raises(ClusterLost, match="the disk does not answer"):
        list(supervisor.run([(0, 1)], lambda bounds, *_: client.submit(hopeless, bounds, pure=False), None))
    assert time.process_time() - began < 5


def test_a_segment_that_computes_longer_than_the_deadline_is_waited_for(client: Client) -> None:
    supervisor = Supervisor(client, progress_deadline=1.5)
    results = supervisor.run([(0, 1)], lambda bounds, *_: client.submit(slow, bounds, pure=False), None)
    assert list(results) == [7]
