"""Setting up a fit to climb by steps: the random sample that tells the information, and the pilot that tries steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from dgmmis.ascent import Ascent, sample_rows
from dgmmis.chunk import chunks_of
from dgmmis.expectation import prepare
from dgmmis.iterate import Problem
from dgmmis.local_pass import LocalPasses, processors
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.task import Task

__all__ = ["TRIED_ROWS", "climbing"]

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


def climbing(problem: Problem, task: Task, rows: Sampled, population: Population) -> Problem:
    """Let a fit climb by steps, unless its task says otherwise or its imputed points are drawn anew in every pass.

    Parameters
    ----------
    problem : Problem
        As `set_up` made it.
    task : Task
    rows : ArrayChunks or Catalog
    population : Population
        Where the fit starts.
    """
    drawn_anew = task.selecting is not None and task.selecting.oversampling is not None
    if task.method == "em" or drawn_anew:
        return problem
    pilot, n_rows = rows.read_pilot(TRIED_ROWS), rows.n_rows
    n_parameters = task.constraints.n_parameters(
        population.n_components, population.n_features, population.backgrounds
    )
    keep_noise = () if task.cut is None else task.cut.noise_columns
    sample = pilot.take(slice(0, sample_rows(n_rows, n_parameters)))
    tried = None
    if len(pilot) < n_rows:
        chunks = chunks_of(pilot, chunk_rows=PILOT_CHUNK)
        tried = LocalPasses(chunks, cut=task.cut, negligible=task.pruning).summarize
    ascent = Ascent(
        prepare(population, sample.samples(checked=True, keep_noise=keep_noise), task.cut),
        n_rows,
        task.constraints,
        processors(),
        tried,
        problem.imputation,
    )
    return replace(problem, ascent=ascent)
