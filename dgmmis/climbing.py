"""Setting up a fit to climb by steps: the random sample that tells the information, and the pilot that tries steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from dgmmis.ascent import Ascent, sample_rows
from dgmmis.chunk import chunks_of
from dgmmis.expectation import prepare
from dgmmis.iterate import Problem, Summarize
from dgmmis.local_pass import LocalPasses, processors
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.task import Task

__all__ = ["PILOT_CHUNK", "TRIED_ROWS", "Pilot", "climbing", "does_climb"]

TRIED_ROWS = 200_000
"""Rows of the random sample on which steps are tried: what a catalogue keeps as its pilot."""

PILOT_CHUNK = 25_000


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
    """

    rows: Rows
    n_rows: int
    summarize: Summarize | None

    @classmethod
    def of(cls, rows: Sampled, task: Task) -> Pilot:
        """Read the sample; of the task, only the selection, the backgrounds and the pruning matter."""
        pilot, summarize = rows.read_pilot(TRIED_ROWS), None
        if len(pilot) < rows.n_rows:
            chunks = chunks_of(pilot, chunk_rows=PILOT_CHUNK)
            summarize = LocalPasses(chunks, cut=task.cut, negligible=task.pruning).summarize
        return cls(pilot, rows.n_rows, summarize)

    def climbing(self, problem: Problem, task: Task, population: Population) -> Problem:
        """Let a fit climb by steps, unless its task says otherwise or its imputed points are drawn in every pass.

        Parameters
        ----------
        problem : Problem
            As `set_up` made it.
        task : Task
        population : Population
            Where the fit starts.
        """
        if not does_climb(task):
            return problem
        n_parameters = task.constraints.n_parameters(
            population.n_components, population.n_features, population.backgrounds
        )
        keep_noise = () if task.cut is None else task.cut.noise_columns
        sample = self.rows.take(slice(0, sample_rows(self.n_rows, n_parameters)))
        ascent = Ascent(
            prepare(population, sample.samples(checked=True, keep_noise=keep_noise), task.cut),
            self.n_rows,
            task.constraints,
            processors(),
            self.summarize,
            problem.imputation,
        )
        return replace(problem, ascent=ascent)


def climbing(problem: Problem, task: Task, rows: Sampled, population: Population) -> Problem:
    """Let one fit climb by steps, the sample taken from its rows; parameters as of `Pilot.climbing`."""
    return Pilot.of(rows, task).climbing(problem, task, population) if does_climb(task) else problem


def does_climb(task: Task) -> bool:
    """Tell whether fits of a task climb by steps."""
    drawn_anew = task.selecting is not None and task.selecting.oversampling is not None
    return task.method != "em" and not drawn_anew
