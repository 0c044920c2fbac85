"""One fit to very many rows, pass by pass: `python full_runs.py SCENE SEED ROWS` prints the figures as JSON.

The fit is that of `dgmmis.fit` with its defaults on an array in memory.  Where it stops it goes on with a finer
tolerance, to tell how much was left; and plain expectation maximization goes from the same start.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from full_scenes import FullScene, make_full_scene
from results_table import Record

from dgmmis.climbing import climbing
from dgmmis.iterate import Limits, Pass, Problem, Summarize, iterate
from dgmmis.maximization import maximize
from dgmmis.observer import SilentObserver
from dgmmis.population import Population
from dgmmis.preparation import Prepared, prepare_fit
from dgmmis.score_statistics import Statistics
from dgmmis.starts import PILOT_ROWS, Start, choose_start
from dgmmis.task import set_up
from dgmmis.unkept_fit import Ready, get_ready

__all__ = ["run_full"]

DEFAULT = Limits(0.1, 60)
"""The tolerance of `dgmmis.fit`, and as many updates as expectation maximization gets here."""

FINE = 1e-4
FURTHER = 20
"""Passes at most beyond where the default stops."""

EM_PASSES = 60


class Clock:
    """Seconds of processors and of the wall since it was made, and those within the passes that it watches."""

    def __init__(self) -> None:
        self._began = time.process_time(), time.perf_counter()
        self.passes, self.scans = 0.0, 0

    def watching(self, summarize: Summarize) -> Summarize:
        """Count what these passes take."""

        def watched(population: Population):  # type: ignore[no-untyped-def]
            began = time.process_time()
            try:
                return summarize(population)
            finally:
                self.passes += time.process_time() - began
                self.scans += 1

        return watched

    def read(self) -> Record:
        """Tell the seconds up to now."""
        processors, wall = (
            now - then
            for now, then in zip((time.process_time(), time.perf_counter()), self._began, strict=True)
        )
        return {
            "cpu": processors,
            "passes": self.passes,
            "else": processors - self.passes,
            "wall": wall,
            "scans": self.scans,
        }


def run_full(name: str, seed: int, rows: int | None = None, em_passes: int = EM_PASSES) -> Record:
    """Fit one scene.

    Parameters
    ----------
    name, seed, rows
        As of `make_full_scene`.
    em_passes : int
        Updates of plain expectation maximization.

    Returns
    -------
    dict
        `ours`: of each pass its `level` [total nats], what is `predicted` to be gained, and whether its step was
        `rejected`; `stops`: passes after which the default stops; `em`: levels of plain expectation maximization;
        `seconds` of each part.
    """
    scene = make_full_scene(name, seed, rows)
    seconds: Record = {}
    clock = Clock()
    prepared, ready = _prepared(scene)
    seconds["reading"], clock = clock.read(), Clock()
    start, whole = _start(prepared, ready)
    seconds["start"] = clock.read()
    problem = set_up(ready.passes, ready.sample, prepared.task, start.population, ready.seen)
    clock = Clock()
    problem = replace(
        climbing(problem, prepared.task, prepared.chunks, start.population),
        summarize=clock.watching(problem.summarize),
    )
    scans = list(iterate(start.population, problem, DEFAULT))
    seconds["fit"], stops = clock.read(), len(scans)
    scans += _further(start.population, problem, scans[-1])
    clock = Clock()
    again = replace(problem, summarize=clock.watching(ready.passes.summarize))
    em = list(islice(_plain(start.population, again, scans[-1]), em_passes + 1))
    seconds["em"] = clock.read()
    n, d = scene.values.shape
    return {
        "scene": name,
        "title": scene.title,
        "seed": seed,
        "shape": [n, d, scene.n_components],
        "whole": whole,
        "pilot_passes": start.pilot_passes,
        "stops": stops,
        "converged": scans[stops - 1].reason == "converged",
        "ours": [
            {
                "level": _level(problem, scan, scans[-1]),
                "predicted": scan.predicted_gain,
                "rejected": scan.stride is not None and scan.stride.rejected > 0,
                "events": scan.events,
            }
            for scan in scans
        ],
        "em": em,
        "seconds": seconds,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _prepared(scene: FullScene) -> tuple[Prepared, Ready]:
    prepared = prepare_fit(
        scene.values,
        noise=scene.noise,
        n_components=scene.n_components,
        selection=scene.selection,
        limits=DEFAULT,
    )
    return prepared, get_ready(prepared, None, SilentObserver())


def _start(prepared: Prepared, ready: Ready) -> tuple[Start, bool]:
    pilot = prepared.chunks.read_pilot(PILOT_ROWS)
    whole = len(pilot) == prepared.chunks.n_rows
    return choose_start(pilot, prepared.task, whole=whole), whole


def _further(start: Population, problem: Problem, last: Pass) -> Iterator[Pass]:
    """Go on where the default stopped; the first that `iterate` yields is the last pass, judged anew."""
    limits = Limits(FINE, last.number + FURTHER)
    return (scan for scan in iterate(start, problem, limits, after=last) if scan.number > last.number)


def _plain(population: Population, problem: Problem, last: Pass) -> Iterator[float]:
    """Yield the log-likelihoods of plain expectation maximization, for ever."""
    while True:
        statistics = _statistics(problem, population, last)
        yield statistics.log_likelihood
        population = maximize(population, statistics, problem.constraints)


def _level(problem: Problem, scan: Pass, last: Pass) -> float:
    """Tell the log-likelihood of where a pass stands; by the imputed points of the last pass where there are any."""
    ours, theirs = scan.completion, last.completion
    if ours is None or theirs is None or ours.reference is theirs.reference:
        return scan.log_likelihoods[-1]
    return _statistics(problem, scan.population, last).log_likelihood


def _statistics(problem: Problem, population: Population, last: Pass) -> Statistics:
    """Statistics of all rows, observed and not; these by the imputed points of the last pass."""
    observed = problem.summarize(population)
    if problem.imputation is None or last.completion is None:
        return observed
    imputed = problem.imputation.impute(population, last.completion.reference)
    return problem.imputation.together(observed, imputed)


def main() -> None:
    """Print the record of one scene."""
    name, seed, rows = sys.argv[1:]
    print(json.dumps(run_full(name, int(seed), int(rows))))


if __name__ == "__main__":
    main()
