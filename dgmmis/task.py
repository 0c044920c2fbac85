"""What is fitted, whatever the rows; and how a fit of given rows is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from dgmmis.background import BackgroundLike
from dgmmis.constraints import Constraints
from dgmmis.errors import SelectionError
from dgmmis.expectation import NEGLIGIBLE, prepare
from dgmmis.imputed_passes import Impute
from dgmmis.iterate import Problem
from dgmmis.many_statistics import ChunkWork
from dgmmis.misfit import Examiner, Misfit
from dgmmis.observation import Observation
from dgmmis.outer_products import OuterProducts, Scorer
from dgmmis.population import Population
from dgmmis.resampling import Resample
from dgmmis.rows import Rows
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut
from dgmmis.selecting import INFORMATION_ROWS, Selecting
from dgmmis.selection import ChangingAnswers
from dgmmis.survey import Survey, Surveyor
from dgmmis.tree import Addable
from dgmmis.vitals import Vitals

__all__ = ["N_STARTS", "Passes", "Seen", "Task", "information_sample", "look", "set_up"]

Sum = TypeVar("Sum", bound=Addable)

N_STARTS = 12
"""Seedings of the random sample that a fit chooses its start from."""


@dataclass(frozen=True)
class Task:
    """What is fitted, whatever the rows.

    Attributes
    ----------
    n_components : int
    constraints : Constraints
    backgrounds : tuple of BackgroundLike
    selecting : Selecting or None
    seed : int
        Of the starts.
    pruning : float
        Share of a row's density that components left out may hold; 0 leaves none out.
    split_merge : int
        Rounds of split and merge at most, after the fit has converged.
    method : str
        "auto" climbs by steps, "em" leaves it to expectation maximization alone.
    carried : int
        Distinct optima of the pilot that are compared on all rows, at most.
    """

    n_components: int
    constraints: Constraints
    backgrounds: tuple[BackgroundLike, ...] = ()
    selecting: Selecting | None = None
    seed: int = 0
    pruning: float = NEGLIGIBLE
    split_merge: int = 0
    method: str = "auto"
    carried: int = 1

    @property
    def cut(self) -> Cut | None:
        """The selection, as far as single rows are concerned."""
        return None if self.selecting is None else self.selecting.cut


class Passes(Protocol):
    """Passes over all rows, wherever they are."""

    @property
    def skew(self) -> tuple[str, ...]:
        """In what those who make them differ from this process, if that was allowed."""

    @property
    def vitals(self) -> Vitals:
        """How those who make them are; any thread may ask."""

    def summarize(self, population: Population) -> Statistics:
        """Statistics of all rows under a population."""

    def survey(self, surveyor: Surveyor) -> Survey:
        """Survey all rows."""

    def score(self, scorer: Scorer) -> OuterProducts:
        """Outer products of the scores of all rows."""

    def resampled(self, resample: Resample) -> Passes:
        """Make the same passes over the rows weighed as a replicate of them does."""

    def gather(self, work: ChunkWork[Sum]) -> Sum:
        """Sum what `work` makes of each chunk, which is loaded once for all of it."""

    def examine(self, examiner: Examiner) -> Misfit:
        """Examine how all rows depart from a population."""

    def impute(self, observation: Observation) -> Impute:
        """Make what evaluates the unobserved rows."""


class Sampled(Protocol):
    """Rows of which a random sample can be had."""

    def read_pilot(self, n_rows: int) -> Rows:
        """At most `n_rows` rows, drawn at random."""


def information_sample(chunks: Sampled, task: Task) -> Samples:
    """Read the random sample that noise classes and the information are taken from."""
    keep_noise = () if task.cut is None else task.cut.noise_columns
    return chunks.read_pilot(INFORMATION_ROWS).samples(checked=True, keep_noise=keep_noise)


@dataclass(frozen=True)
class Seen:
    """What one look at all rows showed, and through what.

    Attributes
    ----------
    surveyor : Surveyor
    survey : Survey
    """

    surveyor: Surveyor
    survey: Survey


def look(passes: Passes, sample: Samples, task: Task) -> Seen | None:
    """Look at all rows once, before anything is fitted; None without a selection.

    Raises
    ------
    SelectionError
        If the selection cannot be evaluated, answers differently when asked again, or denies an observed row.
    """
    if task.selecting is None:
        return None
    trouble = None
    try:
        task.selecting.require_fixed(sample)
    except ChangingAnswers:
        raise
    except SelectionError as error:  # the survey finds it too, and knows the row's number
        trouble = error
    surveyor = task.selecting.surveyor(sample)
    seen = Seen(surveyor, passes.survey(surveyor))
    if trouble is not None:
        raise trouble
    return seen


def set_up(passes: Passes, sample: Samples, task: Task, population: Population, seen: Seen | None) -> Problem:
    """Set up a fit.

    Parameters
    ----------
    passes : Passes
    sample : Samples
        A random sample of the rows.
    task : Task
    population : Population
        Where the fit starts.
    seen : Seen or None
        What `look` returned.
    """
    if task.selecting is None or seen is None:
        return Problem(passes.summarize, task.constraints)
    observation = task.selecting.observation(seen.survey, seen.surveyor, population)
    imputation = task.selecting.imputation(
        seen.survey,
        seen.surveyor,
        observation,
        passes.impute(observation),
        prepare(population, sample, task.cut),
        task.constraints,
    )
    return Problem(passes.summarize, task.constraints, imputation)
