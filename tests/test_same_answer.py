"""One answer: model, trace and checkpoints have the same bytes however the work is spread."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

import dgmmis
from dgmmis.cluster import local_cluster
from dgmmis.cluster.supervisor import Supervisor
from simulated import TRUTH, bits_of, whole_model, write_catalog, write_selected_catalog

pytestmark = pytest.mark.cluster

OF_TIME = ("time", "seconds", "rows_per_second", "bytes_per_second")
OF_WORKERS = ("workers", "resubmitted", "deaths")
"""Who computed a pass, and how often something was sent out again: what the spread of the work itself is."""


def answer(run: Path, result: dgmmis.FitResult) -> str:
    """Hash a fit's model, all objects of its run, and its trace but for the times and the workers."""
    digest = hashlib.sha256(bits_of(result).encode())
    for path in [run / "run.json", run / "start.ckpt", *sorted((run / "ckpt").iterdir())]:
        digest.update(path.read_bytes())
    for event in dgmmis.open_run(run).trace():
        kept = {key: value for key, value in event.items() if key not in (*OF_TIME, *OF_WORKERS)}
        digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


@contextmanager
def arriving_in_any_order(seed: int | None) -> Iterator[None]:
    """Have the results of each pass arrive in a random order; None: as they come."""
    as_they_come = Supervisor.run
    if seed is None:
        yield
        return
    rng = np.random.default_rng(seed)

    def shuffled(*arguments: object) -> Iterator[object]:
        results = list(as_they_come(*arguments))
        yield from (results[i] for i in rng.permutation(len(results)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervisor, "run", shuffled)
        yield


def fit_plain(catalog: dgmmis.Catalog, run: Path, client: Client | None) -> dgmmis.FitResult:
    return dgmmis.fit(catalog, n_components=3, run=run, tolerance=0, max_passes=5, client=client)


VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 2, np.tile(9 * np.eye(3), (3, 1, 1)))
"""Where a fit under a selection starts: to look for a start takes longer than all else, and no cluster."""


def fit_whole(catalog: dgmmis.Catalog, run: Path, client: Client | None) -> dgmmis.FitResult:
    settings = {**whole_model(), "initial": VAGUE}
    return dgmmis.fit(catalog, run=run, tolerance=0, max_passes=4, client=client, **settings)


Scene = tuple[Callable[[dgmmis.Catalog, Path, Client | None], dgmmis.FitResult], dgmmis.Catalog]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    folder = tmp_path_factory.mktemp("scenes")
    return {
        "plain": (fit_plain, write_catalog(folder / "plain.zarr", n_rows=6_000, chunk_rows=250)),
        "selection and background": (
            fit_whole,
            write_selected_catalog(folder / "whole.zarr", n_rows=1_200, chunk_rows=100),
        ),
    }


def alone(scene: Scene, folder: Path) -> str:
    fit, catalog = scene
    return answer(folder / "alone", fit(catalog, folder / "alone", None))


def test_two_workers_of_two_threads_that_steal_nothing_leave_the_objects_of_no_worker(
    scenes: dict[str, Scene], tmp_path: Path
) -> None:
    fit, catalog = scenes["plain"]
    expected = alone(scenes["plain"], tmp_path)
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit="2 GiB",
        ) as cluster,
        Client(cluster) as client,
        arriving_in_any_order(0),
    ):
        assert answer(tmp_path / "spread", fit(catalog, tmp_path / "spread", client)) == expected


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["plain", "selection and background"])
def test_workers_threads_stealing_and_arrival_change_no_byte(
    name: str, scenes: dict[str, Scene], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit, catalog = scenes[name]
    answers = {"no cluster": alone(scenes[name], tmp_path)}
    for workers, threads, stealing in product((1, 2, 4), (1, 2), (True, False)):
        with (
            dask.config.set({"distributed.scheduler.work-stealing": stealing}),
            local_cluster(workers=workers, threads=threads, memory_limit="1 GiB") as client,
        ):
            for shuffled in (None, workers + threads):
                run = tmp_path / f"{workers}-{threads}-{stealing}-{shuffled}"
                with arriving_in_any_order(shuffled):
                    answers[run.name] = answer(run, fit(catalog, run, client))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: {len(answers)} ways to spread the work, {len(set(answers.values()))} hash\n"
        )
    assert len(set(answers.values())) == 1
