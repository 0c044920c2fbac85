"""While a chunk is worked on the next ones are read, and nothing else is different."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.errors import CorruptCatalog, InvalidData
from dgmmis.local_pass import LocalPasses
from dgmmis.population import Population
from dgmmis.read_ahead import reading_ahead
from dgmmis.samples import Samples
from simulated import TRUTH, flat, noisy_rows, write_catalog

LONG = 60.0
"""[s] Only a mistake waits so long."""


def threads_that_read() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@pytest.mark.parametrize("depth", [1, 3])
def test_the_next_chunk_is_being_read_before_this_one_is_done(depth: int) -> None:
    began = [threading.Event() for _ in range(9)]

    def read(chunk: int) -> int:
        began[chunk].set()
        return chunk * chunk

    with reading_ahead(read, 9, depth=depth) as take:
        for chunk in range(9):
            assert take(chunk) == chunk * chunk
            for later in began[chunk + 1 : chunk + 1 + depth]:
                assert later.wait(LONG)
            assert not any(later.is_set() for later in began[chunk + 1 + depth :])


@pytest.mark.parametrize("start", [0, 2])
def test_every_chunk_is_read_once_whoever_takes_it(start: int) -> None:
    count, lock = dict.fromkeys(range(start, 40), 0), threading.Lock()

    def read(chunk: int) -> int:
        with lock:
            count[chunk] += 1
        return -chunk

    with reading_ahead(read, 40, depth=4) as take, ThreadPoolExecutor(4) as callers:
        assert list(callers.map(take, range(start, 40))) == [-chunk for chunk in range(start, 40)]
    assert set(count.values()) == {1}


def test_a_chunk_at_hand_is_not_read() -> None:
    read: list[int] = []
    with reading_ahead(read.append, 6, at_hand=lambda chunk: chunk if chunk % 2 else None) as take:
        assert [take(chunk) for chunk in range(6)] == [None, 1, None, 3, None, 5]
    assert read == [0, 2, 4]


def test_chunks_that_are_all_at_hand_need_no_thread() -> None:
    with reading_ahead(pytest.fail, 3, at_hand=str) as take:
        assert [take(chunk) for chunk in range(3)] == ["0", "1", "2"]
        assert threads_that_read() == []


def test_an_error_of_reading_comes_with_its_own_chunk_and_leaves_no_thread() -> None:
    def read(chunk: int) -> int:
        if chunk == 2:
            raise CorruptCatalog("values", 2, (20, 30), "missing")
        return chunk

    with reading_ahead(read, 9) as take:
        assert [take(0), take(1)] == [0, 1]
        with pytest.raises(CorruptCatalog, match="chunk 2"):
            take(2)
    assert threads_that_read() == []


def test_an_error_of_the_caller_ends_the_reading() -> None:
    begun: list[int] = []

    def work() -> None:
        with reading_ahead(begun.append, 100, depth=2) as take:
            take(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert threads_that_read() == []
    assert set(begun) <= {0, 1, 2}


@pytest.mark.thorough
def test_reading_and_work_take_hardly_longer_than_the_longer_of_them() -> None:
    """In turn they take 2 units per chunk, together 1; anything that shows neither is refused."""
    unit, n_chunks = 0.03, 12

    def seconds(depth: int) -> float:
        began = time.perf_counter()
        if depth:
            with reading_ahead(lambda _: time.sleep(unit), n_chunks, depth=depth) as take:
                for chunk in range(n_chunks):
                    take(chunk)
                    time.sleep(unit)
        else:
            for _ in range(2 * n_chunks):
                time.sleep(unit)
        return time.perf_counter() - began

    ratios = [seconds(1) / seconds(0) for _ in range(3)]
    assert min(ratios) < 0.8


@dataclass
class SlowChunks:
    """A catalogue whose reading notes in which order things happen."""

    catalog: dgmmis.Catalog
    read: list[int] = field(default_factory=list)
    broken: int = -1

    @property
    def n_chunks(self) -> int:
        return self.catalog.n_chunks

    def row_range(self, chunk: int) -> tuple[int, int]:
        return self.catalog.row_range(chunk)

    def read_samples(self, chunk: int) -> Samples:
        self.read.append(chunk)
        time.sleep(0.001 * (chunk % 3))
        if chunk == self.broken:
            raise CorruptCatalog("values", chunk, self.row_range(chunk), "missing")
        return self.catalog.read_samples(chunk)

    def keeping_noise(self, columns: object) -> SlowChunks:
        return self


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("ahead") / "c.zarr", n_rows=1100, chunk_rows=100)


@pytest.mark.parametrize("threads", [1, 2, 5, 30])
def test_a_pass_reads_each_chunk_once_and_gives_the_same_bits(catalog: dgmmis.Catalog, threads: int) -> None:
    chunks = SlowChunks(catalog)
    statistics = LocalPasses(chunks, threads=threads).summarize(Population(TRUTH))
    assert sorted(chunks.read) == list(range(11))
    plain = LocalPasses(catalog, threads=1).summarize(Population(TRUTH))
    assert statistics.log_likelihood == plain.log_likelihood
    np.testing.assert_array_equal(statistics.second, plain.second)
    assert threads_that_read() == []


@pytest.mark.parametrize("threads", [1, 3])
def test_a_broken_chunk_ends_a_pass_with_the_same_error(catalog: dgmmis.Catalog, threads: int) -> None:
    with pytest.raises(CorruptCatalog, match="chunk 7"):
        LocalPasses(SlowChunks(catalog, broken=7), threads=threads).summarize(Population(TRUTH))
    assert threads_that_read() == []


def test_rows_that_no_component_can_hold_end_a_pass_and_the_reading(tmp_path: Path) -> None:
    values, _ = noisy_rows(1100, missing=0)
    exact = dgmmis.ingest(values, tmp_path / "exact.zarr", features=("a", "b", "c"), chunk_rows=100)
    with pytest.raises(InvalidData, match="is singular"):
        LocalPasses(SlowChunks(exact), threads=2).summarize(Population(flat(TRUTH, 1)))
    assert threads_that_read() == []
