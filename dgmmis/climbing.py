"""Setting up a fit to climb by steps: the random sample that tells the information, and the pilot that tries steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from dgmmis.ascent import AllRows, Ascent, sample_rows
from dgmmis.chunk import chunks_of
from dgmmis.expectation import prepare
from dgmmis.iterate import Problem, Summarize
from dgmmis.local_pass import LocalPasses, processors
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.task import Task

__all__ = ["CURVING_THREADS", "PILOT_CHUNK", "TRIED_ROWS", "Pilot", "climbing", "does_climb"]

TRIED_ROWS = 200_000
"""Rows of the random sample on which steps are tried: what a catalogue keeps as its pilot."""

PILOT_CHUNK = 25_000

CURVING_THREADS = 2
"""Threads that take the curvature of densities: each holds the densities of a chunk's rows under all components."""


class Sampled(Protocol):
    """Rows of which a random sample can be had."""

    @property
    def n_rows(self) -> int:
        """N."""

    def read_pilot(self, n_rows: int) -> Rows:
        """At most `n_rows` rows, drawn at random, in random order."""


@dataclass(frozen=True)
class Pilot:
    """A random sample that fits of the same rows climb by.

    Attributes
    ----------
    rows : Rows
        In random order.
    n_rows : int
        N, of which they are a sample.
    summarize : callable, optional
        Statistics of the sample, to try steps on; None where it is all rows.
    all_rows : AllRows, optional
        What makes the Hessian of all rows, where that is asked for and can be had.
    """

    rows: Rows
    n_rows: int
    summarize: Summarize | None
    all_rows: AllRows | None = None

    @classmethod
    def of(cls, rows: Sampled, task: Task) -> Pilot:
        """Read the sample; of the task, only the selection, the backgrounds and the pruning matter."""
        pilot = cls(rows.read_pilot(TRIED_ROWS), rows.n_rows, None)
        return pilot if pilot.is_all else replace(pilot, summarize=pilot._passes(task).summarize)

    @property
    def is_all(self) -> bool:
        """Whether the sample is all rows."""
        return len(self.rows) == self.n_rows

    def knowing_curvature(self, task: Task) -> Pilot:
        """Let fits know the Hessian, where the sample is all rows, no selection cut them and there is no prior."""
        exact = self.is_all and task.selecting is None and task.constraints.prior is None
        return replace(self, all_rows=self._passes(task, CURVING_THREADS)) if exact else self

    def _passes(self, task: Task, threads: int | None = None) -> LocalPasses:
        chunks = chunks_of(self.rows, chunk_rows=PILOT_CHUNK)
        return LocalPasses(chunks, threads=threads, cut=task.cut, negligible=task.pruning)

    def climbing(
        self, problem: Problem, task: Task, population: Population, *, coarse: bool = False
    ) -> Problem:
        """Let a fit climb by steps, unless its task says otherwise or its imputed points are drawn in every pass.

        Parameters
        ----------
        problem : Problem
            As `set_up` made it.
        task : Task
        population : Population
            Where the fit starts.
        coarse : bool
            Fewer rows tell the information: steps are cheaper, and more of them are needed.
        """
        if not does_climb(task):
            return problem
        n_parameters = task.constraints.n_parameters(
            population.n_components, population.n_features, population.backgrounds
        )
        keep_noise = () if task.cut is None else task.cut.noise_columns
        sample = self.rows.take(slice(0, sample_rows(self.n_rows, n_parameters, coarse=coarse)))
        ascent = Ascent(
            prepare(population, sample.samples(checked=True, keep_noise=keep_noise), task.cut),
            self.n_rows,
            task.constraints,
            processors(),
            self.summarize,
            problem.imputation,
            self.all_rows,
        )
        return replace(problem, ascent=ascent)


def climbing(problem: Problem, task: Task, rows: Sampled, population: Population) -> Problem:
    """Let one fit climb by steps, the sample taken from its rows; parameters as of `Pilot.climbing`."""
    if not does_climb(task):
        return problem
    return Pilot.of(rows, task).knowing_curvature(task).climbing(problem, task, population)


def does_climb(task: Task) -> bool:
    """Tell whether fits of a task climb by steps."""
    drawn_anew = task.selecting is not None and task.selecting.oversampling is not None
    return task.method != "em" and not drawn_anew
