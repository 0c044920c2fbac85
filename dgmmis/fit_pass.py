"""One pass of a fit, and what the next one needs of it."""

from __future__ import annotations

from dataclasses import dataclass

from dgmmis.imputed_passes import Completion
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.proposal import Memory, Standing
from dgmmis.score_statistics import Statistics

__all__ = ["Limits", "Pass", "Round", "Stride"]


@dataclass(frozen=True)
class Limits:
    """When to stop.

    Attributes
    ----------
    tolerance : float
        Predicted remaining gain [total nats] that counts as converged; 0 means never.
    max_passes : int
        Parameter updates at most.
    """

    tolerance: float
    max_passes: int


@dataclass(frozen=True)
class Stride:
    """How a fit that climbs by steps goes on from where it stands.

    Attributes
    ----------
    length : float
        Share of the proposed step that is tried next.
    rejected : int
        Steps from here that did not climb.
    plain : int
        Updates by expectation maximization that were made last, in a row.
    memory : Memory or None
        Of steps that did not go as predicted.
    """

    length: float = 1.0
    rejected: int = 0
    plain: int = 0
    memory: Memory | None = None


@dataclass(frozen=True)
class Round:
    """Where a fit stands that goes on by split and merge.

    Attributes
    ----------
    number : int
        Rounds begun so far.
    began : int
        Number of the scan with which the present series of passes began.
    incumbent : Pass or None
        What a trial under way has to beat; None where none is under way, or it has won.
    lost : bool
        A trial has lost: there will be no more.
    """

    number: int
    began: int
    incumbent: Pass | None = None
    lost: bool = False


@dataclass(frozen=True)
class Pass:
    """One scan of the data, and where the fit stands after it.

    That is at the population scanned; after a step that did not climb, still at the one before.

    Attributes
    ----------
    population : Population
    statistics : Statistics
        Of all rows under `population`, and of the unobserved ones; `rows` and `weight` count observed ones, and
        `log_likelihood` is the exact one of the observed rows.
    log_likelihoods : tuple of float
        Of where the fit stood after each scan up to this one; the scan after n updates is number n.
    objectives : tuple of float
        The same plus the logarithm of the prior: what the fit climbs.
    predicted_gain : float
        What further passes would add to the objective [total nats].
    reason : str
        Why the fit stops here: "converged" or "max_passes"; empty while it goes on.
    events : tuple of str
        What a person should know of this pass.
    completion : Completion or None
        Of the unobserved rows, if rows were selected.
    round : Round or None
        Of split and merge, once the first has begun.
    stride : Stride or None
        Of a fit that climbs by steps, once it does.
    """

    population: Population
    statistics: Statistics
    log_likelihoods: tuple[float, ...]
    objectives: tuple[float, ...]
    predicted_gain: float
    reason: str
    events: tuple[str, ...] = ()
    completion: Completion | None = None
    round: Round | None = None
    stride: Stride | None = None

    @property
    def place(self) -> Standing:
        """Where the fit stands."""
        reference = None if self.completion is None else self.completion.reference
        return Standing(self.population, self.statistics, reference)

    @property
    def standing(self) -> Pass:
        """The pass whose population is the best so far: this one, unless it belongs to a trial that has not won."""
        return self if self.round is None or self.round.incumbent is None else self.round.incumbent

    @property
    def mixture(self) -> Mixture:
        """The mixture of the population."""
        return self.population.mixture

    @property
    def number(self) -> int:
        """Parameter updates made before this scan."""
        return len(self.log_likelihoods) - 1

    @property
    def gain(self) -> float:
        """What the last update added to the log-likelihood; infinity at the first scan."""
        return self.log_likelihoods[-1] - self.log_likelihoods[-2] if self.number else float("inf")
