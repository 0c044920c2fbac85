"""Workers have their kernels before the first pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from distributed import Client

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.cluster import ClusterPasses, local_cluster
from dgmmis.cluster.warming import warm, warm_workers
from dgmmis.local_pass import LocalPasses
from dgmmis.noise import Noise
from dgmmis.population import Population
from dgmmis.rows import Rows
from simulated import TRUTH, noisy_rows, write_catalog

pytestmark = pytest.mark.cluster

POPULATION = Population(TRUTH)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_cluster(workers=1, threads=1, memory_limit="1 GiB") as client:
        yield client


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("warming") / "c.zarr", n_rows=2000, chunk_rows=500)


def signatures() -> dict[str, int]:
    """How many types of arguments each kernel of the expectation is compiled for, where this runs."""
    import sys

    from numba.core.dispatcher import Dispatcher

    modules = [module for name, module in sys.modules.items() if name.startswith("dgmmis.")]
    kernels = {
        kernel for module in modules for kernel in vars(module).values() if isinstance(kernel, Dispatcher)
    }
    return {
        f"{kernel.__module__}.{kernel.__name__}": len(kernel.signatures)
        for kernel in kernels
        if not kernel.__module__.startswith("dgmmis.store")
    }


def compiled_by_a_pass(client: Client, catalog: dgmmis.Catalog) -> bool:
    """Whether the worker needs kernels that it does not have, in a pass that warms nobody."""
    (before,) = client.run(signatures).values()
    passes = ClusterPasses(catalog, client)
    passes._warm = True
    passes.summarize(POPULATION)
    (after,) = client.run(signatures).values()
    return after != before


def test_a_pass_on_a_warm_worker_compiles_no_kernel_of_the_expectation(
    client: Client, catalog: dgmmis.Catalog
) -> None:
    warm_workers(client, catalog, POPULATION, None)
    assert not compiled_by_a_pass(client, catalog)


def test_a_pass_on_a_cold_worker_does(catalog: dgmmis.Catalog) -> None:
    with local_cluster(workers=1, threads=1, memory_limit="1 GiB") as client:
        assert compiled_by_a_pass(client, catalog)


def test_a_worker_that_comes_later_takes_part(client: Client) -> None:
    values, noise = noisy_rows(300)
    chunks = ArrayChunks.from_arrays(values, noise)
    here = LocalPasses(chunks).summarize(POPULATION)
    passes = ClusterPasses(chunks, client)
    assert passes.summarize(POPULATION).log_likelihood == here.log_likelihood
    client.cluster.scale(2)
    client.wait_for_workers(2)
    assert passes.summarize(POPULATION).log_likelihood == here.log_likelihood


def test_rows_that_no_pass_could_take_are_left_to_the_pass() -> None:
    far = Population(dgmmis.Mixture(np.ones(1), np.full((1, 3), 1e300), np.eye(3)[None] * 1e-300))
    warm(far, Rows(np.zeros((5, 3)), Noise.none()), None)
