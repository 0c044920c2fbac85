"""Workers are killed all along: the fit ends with the same bits, in at most thrice the time."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
import pytest
from distributed import Client

import dgmmis
from dgmmis.cluster import local_cluster
from simulated import TRUTH, bits_of, write_catalog

pytestmark = [pytest.mark.chaos, pytest.mark.cluster, pytest.mark.timeout(1800)]

SEEDS = range(int(os.environ.get("DGMMIS_CHAOS_SEEDS", "10")))
PASSES = 40
RESTART = 2.5
"""Seconds that a worker takes to start on an idle machine; where it takes longer, the killer waits longer too."""
CENTRES = np.concatenate([TRUTH.means, TRUTH.means / 2])
VAGUE = dgmmis.Mixture(np.full(6, 1 / 6), CENTRES, np.tile(9 * np.eye(3), (6, 1, 1)))


@dataclass
class Record:
    """What came of the seeds."""

    undisturbed: str = ""
    ratios: list[float] = field(default_factory=list)
    kills: list[int] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("killed") / "c.zarr", n_rows=4_500_000, chunk_rows=50_000)


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    record = Record()
    yield record
    if record.ratios:
        sys.stdout.write(
            f"\nworkers die: {len(record.ratios)}/{len(record.ratios)} finished with the bits of the undisturbed run, "
            f"through {min(record.kills)} to {max(record.kills)} kills, in {min(record.ratios):.2f} to "
            f"{max(record.ratios):.2f} times its time ({record.ratios}, {record.kills}, {record.alone})\n"
        )


def timed_fit(catalog: dgmmis.Catalog, client: Client, passes: int = PASSES) -> tuple[str, float]:
    began = time.monotonic()
    result = dgmmis.fit(catalog, n_components=6, initial=VAGUE, tolerance=0, max_passes=passes, client=client)
    return bits_of(result), time.monotonic() - began


@contextmanager
def killing(client: Client, seed: int) -> Iterator[list[int]]:
    """Kill a random worker process every 2.5 to 7.5 s; longer pauses where workers take longer to start."""
    stop, killed, rng = threading.Event(), [], np.random.default_rng(seed)

    def registered() -> set[str]:
        return set(client.cluster.scheduler.workers)

    def work() -> None:
        pause, began = rng.uniform(2.5, 7.5), time.monotonic()
        while not stop.wait(max(0.0, began + pause - time.monotonic())):
            pids = [worker.pid for worker in client.cluster.workers.values() if worker.pid]
            if not pids:
                stop.wait(0.1)
                continue
            before, began = registered(), time.monotonic()
            killed.append(int(rng.choice(pids)))
            with suppress(ProcessLookupError):
                os.kill(killed[-1], signal.SIGKILL)
            while not registered() - before and not stop.wait(0.05) and time.monotonic() - began < 60:
                continue
            pause = rng.uniform(2.5, 7.5) * max(1.0, (time.monotonic() - began) / RESTART)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("seed", SEEDS)
def test_workers_killed_all_along_change_no_bit_and_cost_at_most_thrice_the_time(
    catalog: dgmmis.Catalog, record: Record, seed: int
) -> None:
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        timed_fit(catalog, client, passes=1)  # workers have imported and decoded what they need
        bits, alone = timed_fit(catalog, client)
        with killing(client, seed) as killed:
            disturbed, seconds = timed_fit(catalog, client)
    assert disturbed == bits
    assert record.undisturbed in ("", bits)
    record.undisturbed = bits
    record.kills.append(len(killed))
    record.alone.append(alone)
    record.ratios.append(seconds / alone)
    assert killed
    assert seconds <= 3 * alone


def test_the_undisturbed_run_has_the_bits_of_one_without_workers(
    catalog: dgmmis.Catalog, record: Record
) -> None:
    alone = dgmmis.fit(catalog, n_components=6, initial=VAGUE, tolerance=0, max_passes=PASSES)
    assert record.undisturbed in ("", bits_of(alone))
