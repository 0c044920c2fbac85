"""A plan says what a fit reads and holds before it begins, and a fit that cannot fit is refused before it began."""

from __future__ import annotations

import gc
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster, Worker

import dgmmis
from commands import run_here, run_process
from dgmmis.cluster import local_cluster
from dgmmis.cluster.worker_resources import resources_of, resources_on_this_machine
from dgmmis.cluster.worker_side import sample_cache
from dgmmis.fit_plan import Plan
from dgmmis.seeding import seeded_mixture
from simulated import FOOTPRINT, SELECTION, TRUTH, write_catalog

MIB = 2**20


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("plan") / "stars.zarr", n_rows=60_000, chunk_rows=20_000)


def planned(catalog: dgmmis.Catalog, n_components: int = 3, **settings: object) -> Plan:
    return dgmmis.plan(catalog, n_components=n_components, **{"workers": 2, "calibrated": False, **settings})


def rows_times(plan: Plan, factor: int) -> Plan:
    """Give the plan of a catalogue that is `factor` times as long."""
    load = plan.workload
    longer = replace(
        load,
        n_rows=factor * load.n_rows,
        decoded_bytes=factor * load.decoded_bytes,
        disk_bytes=factor * load.disk_bytes,
    )
    return replace(plan, workload=longer)


def test_the_decoded_bytes_of_a_plan_are_hardly_more_than_those_of_the_catalogue(
    catalog: dgmmis.Catalog,
) -> None:
    held = sum(catalog.read_samples(chunk).nbytes for chunk in range(catalog.n_chunks))
    assert held <= planned(catalog).workload.decoded_bytes <= 1.03 * held


@pytest.mark.parametrize("kind", ["none", "diagonal", "full"])
def test_reading_a_chunk_never_takes_more_than_was_planned(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random((60_000, 5)) < 0.2, np.nan, rng.normal(size=(60_000, 5)))
    variances = rng.uniform(0.1, 1, (60_000, 5))
    noise = {"none": None, "diagonal": variances, "full": variances[:, :, None] * np.eye(5)}[kind]
    written = dgmmis.ingest(
        values, tmp_path / "x.zarr", features=tuple("abcde"), noise=noise, chunk_rows=30_000
    )
    written.read_samples(1)
    gc.collect()
    tracemalloc.start()
    samples = written.read_samples(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    load = planned(written).workload
    assert samples.nbytes <= load.chunk_bytes
    assert 0.6 * load.reading_bytes < peak <= load.reading_bytes


def test_seeding_a_start_never_takes_more_than_was_planned(tmp_path: Path) -> None:
    written = write_catalog(tmp_path / "x.zarr", n_rows=20_000, chunk_rows=5_000)
    load = planned(written, n_components=40).workload
    tracemalloc.start()
    seeded_mixture(written.read_pilot(load.start_rows).values, 40, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 * load.starting_bytes < peak <= load.starting_bytes


def test_memory_does_not_depend_on_the_number_of_rows_once_the_cache_is_full(catalog: dgmmis.Catalog) -> None:
    plan = rows_times(planned(catalog, memory_limit="1 GiB"), 2_000)
    longer = rows_times(plan, 16)
    partial_sums = 8 * plan.workload.statistics_bytes
    assert plan.worker_peak <= longer.worker_peak <= plan.worker_peak + partial_sums
    assert longer.later_pass_bytes > 16 * plan.later_pass_bytes


def test_what_workers_keep_is_not_read_again(catalog: dgmmis.Catalog) -> None:
    small, large = planned(catalog, memory_limit="400 MiB"), planned(catalog, memory_limit="1 GiB")
    assert small.cached_share == 0
    assert small.later_pass_bytes == small.first_pass_bytes == catalog.pass_nbytes
    assert (large.cached_share, large.later_pass_bytes) == (1, 0)
    here = planned(catalog, workers=0)
    assert (here.worker, here.later_pass_bytes) == ((), catalog.pass_nbytes)


def test_an_account_adds_up_to_its_peak_and_leaves_out_what_is_nothing(catalog: dgmmis.Catalog) -> None:
    plan = planned(catalog, initial=TRUTH)
    assert sum(line.nbytes for line in plan.worker) == plan.worker_peak
    assert sum(line.nbytes for line in plan.here) == plan.peak_here
    assert all(line.nbytes > 0 for line in (*plan.worker, *plan.here) if "decoded" not in line.what)
    plain = planned(catalog, initial=TRUTH, method="em")
    assert planned(catalog, method="em").peak_here > plain.peak_here  # a start is looked for
    assert plan.peak_here > plain.peak_here  # steps are tried on a pilot


def test_a_selection_and_a_background_have_lines_of_their_own(catalog: dgmmis.Catalog) -> None:
    plain = planned(catalog)
    whole = planned(catalog, selection=SELECTION, background=dgmmis.Background(FOOTPRINT, amplitude=0.1))
    added = {line.what for line in whole.worker} - {line.what for line in plain.worker}
    assert len(added) == 2
    assert whole.workload.most_points_bytes >= 2**24 * 8 * 5
    assert plain.workload.most_points_bytes == 0


def test_each_remedy_alone_makes_it_fit_and_nothing_weaker_does(catalog: dgmmis.Catalog) -> None:
    tight = planned(catalog, n_components=100_000, workers=2, threads=3, memory_limit="560 MiB", initial=None)
    tight = replace(tight, resources=replace(tight.resources, here=2**50))
    assert not tight.fits
    by_knob = {remedy.knob: remedy.value for remedy in tight.remedies}
    assert {"memory_limit", "n_components"} <= set(by_knob)

    def with_limit(limit: int) -> Plan:
        return replace(tight, resources=replace(tight.resources, memory_limit=limit))

    assert with_limit(by_knob["memory_limit"]).fits
    assert not with_limit(by_knob["memory_limit"] - 3 * MIB).fits
    for more, fits in ((0, True), (1, False)):
        fewer = replace(tight.workload, n_components=by_knob["n_components"] + more)
        assert replace(tight, workload=fewer)._worker_fits is fits
    for remedy in tight.remedies:
        assert remedy.advice in tight.verdict


def test_large_chunks_are_to_be_made_smaller(catalog: dgmmis.Catalog) -> None:
    load = replace(planned(catalog).workload, chunk_rows=500_000, n_rows=10**9)
    plan = Plan(load, resources_on_this_machine(1, 1, "480 MiB"))
    by_knob = {remedy.knob: remedy.value for remedy in plan.remedies}
    assert replace(plan, workload=replace(load, chunk_rows=by_knob["chunk_rows"])).fits
    assert f"--chunk-rows {by_knob['chunk_rows']}" in plan.verdict


def test_times_come_from_a_measurement_and_scale_with_the_rows(catalog: dgmmis.Catalog) -> None:
    plan = planned(catalog, calibrated=True, workers=1, memory_limit="400 MiB")
    assert plan.seconds(1) == plan.first_pass_seconds > 0
    assert plan.seconds(10) == pytest.approx(plan.first_pass_seconds + 9 * plan.pass_seconds)
    assert rows_times(plan, 7).pass_seconds == pytest.approx(7 * plan.pass_seconds)
    assert planned(catalog).pass_seconds is None


def test_an_array_has_no_plan() -> None:
    with pytest.raises(dgmmis.InvalidSetting, match="ingest"):
        dgmmis.plan(np.zeros((10, 2)), n_components=1)


def test_a_fit_on_this_machine_is_refused_if_the_machine_is_too_small(
    catalog: dgmmis.Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmmis.cluster.worker_resources.MEMORY_LIMIT", 200 * MIB)
    with pytest.raises(dgmmis.MemoryPlanExceeded, match="this process needs"):
        dgmmis.fit(catalog, n_components=3, initial=TRUTH)


def small_cluster(memory_limit: int) -> LocalCluster:
    return LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=memory_limit,
    )


@pytest.mark.cluster
def test_a_run_that_cannot_fit_is_refused_before_its_folder_is_there_and_goes_on_with_more_memory(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    settings = {"n_components": 3, "initial": TRUTH, "tolerance": 0}
    limit = 300 * MIB
    with small_cluster(limit) as cluster, Client(cluster) as client:
        with pytest.raises(dgmmis.MemoryPlanExceeded, match="--memory-limit") as caught:
            dgmmis.fit(catalog, run=tmp_path / "run", client=client, **settings)
        assert not (tmp_path / "run").exists()
        dgmmis.fit(catalog, run=tmp_path / "run", max_passes=1, **settings)
        with pytest.raises(dgmmis.MemoryPlanExceeded):
            dgmmis.resume(tmp_path / "run", max_passes=2, client=client)
    error = caught.value
    assert (error.knob, error.limit) == ("memory_limit", resources_on_this_machine(1, 1, limit).usable)
    assert error.limit < error.planned <= error.value
    with small_cluster(4 * 2**30) as cluster, Client(cluster) as client:
        assert resources_of(client).memory_limit == 4 * 2**30 > error.value
        result = dgmmis.resume(tmp_path / "run", max_passes=2, client=client)
    assert result.n_passes == 3


def high_water() -> int:
    """Most memory that this process ever held, in bytes."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def pause_fraction(dask_worker: Worker) -> float | bool:
    return dask_worker.memory_manager.memory_pause_fraction


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.thorough
def test_a_worker_stays_below_the_plan_and_does_not_grow_with_the_rows(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    """One worker takes both catalogues: its peak is the larger one's, and what it kept of the first is in it."""
    longer = write_catalog(tmp_path / "longer.zarr", n_rows=240_000, chunk_rows=20_000)
    peaks = []
    with local_cluster(workers=1, threads=1, memory_limit="400 MiB") as client:
        for rows in (catalog, longer):
            dgmmis.fit(rows, n_components=3, initial=TRUTH, tolerance=0, max_passes=3, client=client)
            (peak,) = client.run(high_water).values()
            peaks.append(peak)
            assert peak <= planned(rows, workers=1, memory_limit="400 MiB").worker_peak
        assert client.run(pause_fraction) == dict.fromkeys(client.scheduler_info()["workers"], False)
    assert peaks[1] <= planned(catalog, workers=1, memory_limit="400 MiB").worker_peak


def test_the_budget_of_the_cache_in_a_plan_is_that_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        class memory_manager:
            memory_limit = 900 * MIB

    monkeypatch.setattr("dgmmis.cluster.worker_side.get_worker", Worker)
    sample_cache.cache_clear()
    resources = resources_on_this_machine(1, 1, "900 MiB")
    assert resources.cache.budget(resources.memory_limit) == sample_cache().budget > 0
    sample_cache.cache_clear()


def test_the_command_line_prints_a_plan_and_says_with_9_that_it_does_not_fit(catalog: dgmmis.Catalog) -> None:
    options = ["--workers", 2, "--memory-limit", "800 MiB"]
    text = run_process(
        "plan", catalog.path, "-K", 3, *options, "--background", 0.1, "--footprint", "data"
    ).stdout
    for said in ("60,000 in 3 chunks", "2 workers of 1 threads", "at most", "100 passes", "It fits"):
        assert said in text
    there = json.loads(run_here("plan", catalog.path, "-K", 3, *options, "--json").stdout)
    assert there["worker_peak"] == planned(catalog, memory_limit="800 MiB").worker_peak
    assert there["seconds_later_pass"] > 0
    tight = run_here("plan", catalog.path, "-K", 3, "--memory-limit", "250 MiB", code=9)
    assert "It does not fit" in tight.stdout
    here = run_here("plan", catalog.path, "-K", 3, "--workers", 0).stdout
    assert "threads of this process" in here
