"""What is known of a run at one moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dgmmis.convergence import passes_left
from dgmmis.packed import Array
from dgmmis.vitals import OldestSegment, WorkerVitals

__all__ = ["NAN", "Alarm", "Components", "PassRecord", "PulseRecord", "RunRecord"]

NAN = float("nan")
RECENT = 20
"""Passes whose seconds are averaged to tell the time that is left."""

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Alarm:
    """Something that a person should know, and what to do about it.

    Attributes
    ----------
    level : {"error", "warning", "note"}
    what : str
    way_out : str
        Empty if nothing is to be done.
    """

    level: Level
    what: str
    way_out: str = ""


@dataclass(frozen=True)
class PassRecord:
    """One pass over all rows; NaN where nothing was logged of it.

    Attributes
    ----------
    number : int
        Parameter updates made before it.
    log_likelihood, mean_log_likelihood : float
        [nats]
    gain, predicted_gain : float
        [total nats]
    seconds, rows_per_second, bytes_per_second : float
    attempt : int
        0 if nothing was logged of it.
    amplitudes, backgrounds : tuple of float
        As they were for this pass, in the mixture (K,) and in the whole (J,); empty if not logged.
    completeness, completeness_error, log_likelihood_error, score_error, imputed_points : float
        NaN without a selection.
    refresh : int
        Which points stood for the unobserved rows.
    workers, resubmitted, deaths : int
        Of the attempt so far.
    events : tuple of str
    """

    number: int
    log_likelihood: float
    mean_log_likelihood: float
    gain: float = NAN
    predicted_gain: float = NAN
    seconds: float = NAN
    rows_per_second: float = NAN
    bytes_per_second: float = NAN
    attempt: int = 0
    amplitudes: tuple[float, ...] = ()
    backgrounds: tuple[float, ...] = ()
    completeness: float = NAN
    completeness_error: float = NAN
    log_likelihood_error: float = NAN
    score_error: float = NAN
    imputed_points: float = NAN
    refresh: int = 0
    workers: int = 0
    resubmitted: int = 0
    deaths: int = 0
    events: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Components:
    """The mixture as it stands.

    Attributes
    ----------
    number : int
        Of the pass; -1 for the start, before the first pass is done.
    amplitudes : (K,)
        In the whole.
    means, covariances : (K, D), (K, D, D)
    counts : (K,)
        Effective number of rows of each: the sum of their weights times responsibilities; NaN at the start.
    backgrounds : (J,)
        Amplitudes in the whole.
    """

    number: int
    amplitudes: Array
    means: Array
    covariances: Array
    counts: Array
    backgrounds: Array


@dataclass(frozen=True)
class PulseRecord:
    """What the driver last said that it is doing.

    Attributes
    ----------
    stage : str
    done, of : int
        Segments of the pass under way.
    start_passes : int
        Passes over the random sample.
    next_pass : int
        Number of the pass under way; -1 before the first.
    seconds : float
        Since what is under way began, when it was said.
    still_seconds : float
        Since anything moved, when it was said.
    age : float
        Seconds since it was said, as far as whoever watches knows.
    workers : tuple of WorkerVitals
    resubmitted, deaths : int
    oldest : OldestSegment or None
    """

    stage: str
    done: int
    of: int
    start_passes: int
    next_pass: int
    seconds: float
    still_seconds: float
    age: float
    workers: tuple[WorkerVitals, ...] = ()
    resubmitted: int = 0
    deaths: int = 0
    oldest: OldestSegment | None = None


@dataclass(frozen=True)
class RunRecord:
    """A run at one moment.

    Attributes
    ----------
    name, path : str
    moment : float
        When it was read [s since 1970].
    state : str
        As of `RunFolder.state`; UNREADABLE if its folder cannot be read, with the `problem`.
    reason : str
        Why it is in this state, if that is written down.
    go_on : str
        Command that goes on with it; empty if there is nothing to do.
    problem : str
    n_components, n_rows : int
    features, units : tuple of str
    catalog : str
        Where it lies.
    tolerance : float
        NaN if not known.
    max_passes, attempts : int
    driver : str
    selected : bool
        Whether rows were selected.
    passes : tuple of PassRecord
        In order of their numbers.
    components : Components or None
        None before there is a start.
    pulse : PulseRecord or None
        None unless it is driven now and has said something.
    quarantined, n_chunks, pass_bytes : int or None
        Of the catalogue, as the last attempt logged it.
    started : float
        Seconds that finding the start took; NaN if it was not logged.
    """

    name: str
    path: str
    moment: float
    state: str
    reason: str = ""
    go_on: str = ""
    problem: str = ""
    n_components: int = 0
    n_rows: int = 0
    features: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    catalog: str = ""
    tolerance: float = NAN
    max_passes: int = 0
    attempts: int = 0
    driver: str = ""
    selected: bool = False
    passes: tuple[PassRecord, ...] = ()
    components: Components | None = None
    pulse: PulseRecord | None = None
    quarantined: int | None = None
    n_chunks: int | None = None
    pass_bytes: int | None = None
    started: float = NAN

    @property
    def is_driven(self) -> bool:
        """Whether a living process drives it."""
        return self.state in ("RUNNING", "CANCELLING")

    @property
    def last(self) -> PassRecord | None:
        """The last pass; None before the first one is done."""
        return self.passes[-1] if self.passes else None

    @property
    def n_parameters(self) -> int:
        """Numbers that one component has."""
        d = len(self.features)
        return 1 + d + d * (d + 1) // 2

    @property
    def pass_seconds(self) -> float:
        """Mean seconds of the last passes; NaN if none was logged."""
        known = [one.seconds for one in self.passes[-RECENT:] if one.seconds == one.seconds]
        return sum(known) / len(known) if known else NAN

    @property
    def seconds_left(self) -> float:
        """Seconds until it has converged, or has used up its passes; infinite if nobody can tell, 0 if it is over."""
        if not self.is_driven:
            return 0.0
        gains = [
            one.predicted_gain if one.predicted_gain == one.predicted_gain else math.inf
            for one in self.passes
        ]
        left = passes_left(gains, self.tolerance)
        if not math.isfinite(left) or self.pass_seconds != self.pass_seconds:
            return math.inf
        left = min(left, self.max_passes - self.passes[-1].number)
        under_way = self.pulse.seconds if self.pulse is not None and self.pulse.next_pass >= 0 else 0.0
        return max(0.0, left * self.pass_seconds - min(under_way, self.pass_seconds))

    @property
    def retries(self) -> int:
        """Segments of the last attempt that were sent out again."""
        if self.pulse is not None:
            return self.pulse.resubmitted
        return self.last.resubmitted if self.last is not None else 0
