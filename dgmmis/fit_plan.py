"""The plan of a fit: memory, bytes to read and time ahead of it, and what would do if it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from dgmmis.calibration import Calibration
from dgmmis.errors import MemoryPlanExceeded
from dgmmis.resources import Resources
from dgmmis.workload import MOST_CHUNKS, Workload

__all__ = ["Line", "Plan", "Remedy"]

MIB = 2**20
SPREAD = 1.5
"""Segments change workers: a worker may come to hold this much more than its even share of what is kept per row."""
MOST_LOCAL_DENSITIES = 2**30
"""Bytes of background densities that passes on threads of this process keep at most."""


@dataclass(frozen=True)
class Line:
    """One entry of an account of memory [bytes]."""

    what: str
    nbytes: int


@dataclass(frozen=True)
class Remedy:
    """A setting with which the fit would fit in: its name, its value and the advice in words."""

    knob: str
    value: int
    advice: str


@dataclass(frozen=True)
class Plan:
    """What a fit will read, hold and take.  All sizes are bytes, all times seconds.

    Attributes
    ----------
    workload : Workload
    resources : Resources
    calibration : Calibration or None
        None if nothing was timed.
    """

    workload: Workload
    resources: Resources
    calibration: Calibration | None = field(default=None, compare=False)

    @property
    def worker(self) -> tuple[Line, ...]:
        """Account of one worker; empty if there is none."""
        if not self.resources.workers:
            return ()
        kept = min(self.resources.cache.budget(self.resources.memory_limit), self.workload.cached_bytes)
        return (*self._computing(), Line("decoded chunks kept for the next pass", kept))

    @property
    def here(self) -> tuple[Line, ...]:
        """Account of this process, which drives the fit."""
        load, resources = self.workload, self.resources
        base = [
            Line("Python, libraries, kernels", load.base_bytes(compiling=True)),
            Line("manifest and attributes", load.parsed_bytes),
        ]
        start = Line("pilot and short fits, while a start is looked for", load.starting_bytes)
        climb = Line("pilot, sample and information that steps are taken by", load.climbing_bytes)
        if not resources.workers:
            computing = _present([*self._computing(), climb])
            if _total(computing) >= _total([*base, start]):
                return tuple(computing)  # one after the other, in the same memory
        segments = -(-load.n_chunks // MOST_CHUNKS) if resources.workers else 0
        sent = (segments + 3 * resources.workers * resources.threads) * (
            load.parameter_bytes + 2 * load.statistics_bytes
        )
        held = max(start, climb, key=lambda line: line.nbytes)
        return tuple(_present([*base, held, Line("parameters sent out, sums that come back", sent)]))

    @property
    def worker_peak(self) -> int:
        """Most bytes that a worker will hold; 0 if there is none."""
        return _total(self.worker)

    @property
    def peak_here(self) -> int:
        """Most bytes that this process will hold."""
        return _total(self.here)

    @property
    def first_pass_bytes(self) -> int:
        """Bytes on disk that the first pass reads."""
        return self.workload.disk_bytes

    @property
    def later_pass_bytes(self) -> int:
        """Bytes on disk that each further pass reads."""
        return int(self.workload.disk_bytes * (1 - self.cached_share))

    @property
    def cached_share(self) -> float:
        """Share of the chunks that workers keep decoded."""
        resources, load = self.resources, self.workload
        if not resources.workers:
            return 0.0
        room = resources.workers * resources.cache.budget(resources.memory_limit)
        return min(1.0, room / load.cached_bytes)

    @property
    def first_pass_seconds(self) -> float | None:
        """Time of the first pass, in which every file is hashed; None if nothing was timed."""
        return None if self.calibration is None else self._seconds(self.calibration.first_read_per_row)

    @property
    def pass_seconds(self) -> float | None:
        """Time of each further pass; None if nothing was timed."""
        if self.calibration is None:
            return None
        return self._seconds(self.calibration.read_per_row * (1 - self.cached_share))

    def seconds(self, passes: int) -> float | None:
        """Time of the first `passes` passes; how many a fit needs is not known before it."""
        first, later = self.first_pass_seconds, self.pass_seconds
        return None if first is None or later is None else first + (passes - 1) * later

    @property
    def fits(self) -> bool:
        """Whether workers and this process stay below what they may use."""
        return self._worker_fits and self.peak_here <= self.resources.here

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """Settings each of which alone would make it fit; empty if it fits, or none does."""
        if self.fits:
            return ()
        settings = (
            self._more_memory(),
            self._fewer_threads(),
            self._smaller_chunks(),
            self._fewer_components(),
        )
        return tuple(remedy for remedy in settings if remedy is not None)

    @property
    def verdict(self) -> str:
        """Whether it fits and, if not, what to turn: one sentence."""
        peak, limit, where = self._tightest()
        if self.fits:
            room = "and has no limit" if limit is None else f"and may use {limit / MIB:,.0f} MiB"
            return f"It fits: {where} needs at most {peak / MIB:,.0f} MiB {room}."
        assert limit is not None
        ways = " or ".join(remedy.advice for remedy in self.remedies) or "use a larger machine"
        return f"It does not fit: {where} needs {peak / MIB:,.0f} MiB and may use {limit / MIB:,.0f} MiB; {ways}."

    def require_fit(self) -> None:
        """Raise `MemoryPlanExceeded` if the fit cannot fit in."""
        if self.fits:
            return
        peak, limit, _ = self._tightest()
        assert limit is not None
        first = next(iter(self.remedies), None)
        knob, value = ("memory_limit", peak) if first is None else (first.knob, first.value)
        raise MemoryPlanExceeded(self.verdict, planned=peak, limit=limit, knob=knob, value=value)

    @property
    def _worker_fits(self) -> bool:
        usable = self.resources.usable
        return usable is None or self.worker_peak <= usable

    def _tightest(self) -> tuple[int, int | None, str]:
        """Peak, limit and name of what decides."""
        here = (self.peak_here, self.resources.here, "this process")
        if not self.resources.workers or (self._worker_fits and not self.fits):
            return here
        return self.worker_peak, self.resources.usable, "a worker"

    def _computing(self) -> tuple[Line, ...]:
        """Account of a process that computes passes, decoded chunks that it keeps left out."""
        load, threads = self.workload, min(self.resources.threads, self.workload.n_chunks)
        workers, compiling = (
            max(1, self.resources.workers),
            self.resources.compiling or not self.resources.workers,
        )
        densities = min(load.density_bytes, int(SPREAD * load.density_bytes / workers))
        if not self.resources.workers:
            densities = min(densities, MOST_LOCAL_DENSITIES)
        lines = [
            Line("Python, libraries, kernels", load.base_bytes(compiling=compiling)),
            Line("manifest and attributes", load.parsed_bytes),
            Line("chunk in work, per thread", threads * load.chunk_bytes),
            Line("chunk being read ahead, per thread", threads * load.reading_bytes),
            Line("kept back by the allocator", threads * load.retained_bytes),
            Line("kernel scratch, parameters, sums, per thread", threads * load.summing_bytes),
            Line("background densities, once per row", densities),
            Line("imputed points to begin with", self._points(workers)),
        ]
        return tuple(_present(lines))

    def _points(self, workers: int) -> int:
        load = self.workload
        if load.imputed is None:
            return 0
        n_points = load.imputed.first_points(load.sources)
        kept = n_points * load.imputed.point_bytes(load.n_backgrounds)
        drawing = load.imputed.drawing_bytes(n_points, load.sources)
        sums = 4 * load.imputed.sums_bytes(load.sources)
        return min(kept, int(SPREAD * kept / workers)) + self.resources.threads * (drawing + sums)

    def _seconds(self, reading_per_row: float) -> float:
        assert self.calibration is not None
        per_row = self.calibration.seconds_per_row + reading_per_row
        return self.workload.n_rows * per_row / self.resources.parallel

    def _more_memory(self) -> Remedy | None:
        if self._worker_fits:
            return None
        plan = self
        for _ in range(64):  # more memory lets the worker keep more chunks, by a share of it well below 1
            plan = replace(plan, resources=self.resources.limited_to_use(plan.worker_peak))
        enough = plan.resources.memory_limit
        if enough is None or not plan.fits:
            return None
        return Remedy("memory_limit", enough, f'raise --memory-limit to "{enough // MIB} MiB"')

    def _fewer_threads(self) -> Remedy | None:
        def with_threads(threads: int) -> Plan:
            return replace(self, resources=replace(self.resources, threads=threads))

        most = _most(range(1, self.resources.threads), with_threads)
        return None if most is None else Remedy("threads", most, f"use --threads {most}")

    def _smaller_chunks(self) -> Remedy | None:
        def with_chunks(rows: int) -> Plan:
            return replace(self, workload=replace(self.workload, chunk_rows=rows))

        steps = [rows for rows in _round_numbers() if rows < self.workload.chunk_rows]
        most = _most(steps, with_chunks)
        return None if most is None else Remedy("chunk_rows", most, f"ingest with --chunk-rows {most}")

    def _fewer_components(self) -> Remedy | None:
        def with_components(n: int) -> Plan:
            start_rows = min(
                self.workload.start_rows, -(-self.workload.start_rows * n // self.workload.n_components)
            )
            return replace(self, workload=replace(self.workload, n_components=n, start_rows=start_rows))

        low, high = 0, self.workload.n_components
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if with_components(middle).fits else (low, middle)
        return Remedy("n_components", low, f"fit at most {low} components") if low else None


def _present(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.nbytes]


def _total(lines: Iterable[Line]) -> int:
    return sum(line.nbytes for line in lines)


def _most(values: Iterable[int], plan: Callable[[int], Plan]) -> int | None:
    """Give the largest of these values with which it fits."""
    return max((value for value in values if plan(value).fits), default=None)


def _round_numbers() -> list[int]:
    return [digit * 10**power for power in range(3, 8) for digit in (1, 2, 5)]
