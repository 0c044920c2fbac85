"""The passes of each method on one problem, and what is left to gain where each program would stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from convergence_scenes import Counted, make_problem
from results_table import Record
from scipy.special import erf
from scipy.stats import chi2
from squarem import Scanned, squarem

import dgmmis
from dgmmis.maximization import maximize
from dgmmis.population import Population

__all__ = ["LEVELS", "count_passes", "first_reaching", "pygmmis_stop", "stop_of_change"]

LEVELS = (100, 300, 1000)
"""Passes of plain expectation maximization whose level the others are to reach."""

REACHED = 1e-2
"""A level counts as reached this near to it [total nats]."""

TOLERANCE = 0.1
FINE = 1e-3
"""Of the fits whose path is drawn: they go on where the default stops."""

MOST_POLISHING = 6000
STANDS = 1e-6
"""Gain [total nats] over `QUIET` passes at which an optimum is taken to be reached."""
QUIET = 12

SKLEARN_MOST = 100
"""scikit-learn's `max_iter`, as it is unless a caller changes it."""


def count_passes(name: str, seed: int, rows: int | None = None, most: int = LEVELS[-1]) -> Record:
    """Run all methods from the same start.

    Parameters
    ----------
    name, seed, rows
        As of `make_problem`.
    most : int
        Passes of the longest runs.

    Returns
    -------
    dict
        `paths`: log-likelihood [total nats] of each pass of em, squarem and auto; `stops`: for each rule the passes it
        takes, whether it says converged, and what going on from there gains; `best`: the highest level known.
    """
    problem = make_problem(name, seed, rows)
    scan = _scanner(problem)
    em = list(islice(_plain(problem.start, scan), most))
    squared = list(islice(squarem(problem.start, scan), most))
    exact, ours = (_fit(problem, method, TOLERANCE, most) for method in ("em", "auto"))
    fine = _fit(problem, "auto", FINE, most)
    paths = {
        "em": [one.log_likelihood for one in em],
        "squarem": [one.log_likelihood for one in squared],
        "auto": [one.log_likelihood for one in fine.history],
    }
    best_scanned = max(squared, key=lambda one: one.log_likelihood)
    ends = {"em": em[-1].population, "squarem": best_scanned.population, "auto": fine.population}
    optima = {method: _polished(population, scan) for method, population in ends.items()}
    stops = {
        rule: _stop(em[number - 1], number, said, scan)
        for rule, (number, said) in _peers(em, len(problem.values)).items()
    }
    stops["dgmmis EM"] = _own_stop(exact, scan)
    stops["dgmmis"] = _own_stop(ours, scan)
    best = max(*optima.values(), *(stop["level"] + stop["to_gain"] for stop in stops.values()))
    shape = [*problem.values.shape, problem.start.n_components]
    return {
        "problem": name if seed == 1 else f"{name}, again",
        "title": problem.title,
        "shape": shape,
        "paths": paths,
        "optima": optima,
        "stops": stops,
        "best": best,
    }


def first_reaching(path: Sequence[float], level: float) -> int | None:
    """Count the passes until a path reaches a level; None if it never does."""
    there = np.flatnonzero(np.asarray(path) >= level - REACHED)
    return int(there[0]) + 1 if len(there) else None


def stop_of_change(means: Sequence[float], tolerance: float, most: int) -> tuple[int, bool]:
    """Stop where a pass changes the mean log-likelihood by less than `tolerance`, as scikit-learn and XD in C do.

    Returns
    -------
    int, bool
        Passes, and whether the rule was met within `most` of them.
    """
    changes = np.abs(np.diff(np.asarray(means)[:most]))
    met = np.flatnonzero(changes < tolerance)
    return (int(met[0]) + 2, True) if len(met) else (min(most, len(means)), False)


def pygmmis_stop(means: Sequence[float], populations: Sequence[Population]) -> tuple[int, bool]:
    """Stop by pyGMMis' rule at its default tolerance, 1e-3.

    The mean log-likelihood has changed by less than a thousandth *of itself*, and no mean has moved by more than what
    holds as much of a D-dimensional Gaussian as 0.1 sigma of a one-dimensional one.
    """
    limit = chi2.ppf(erf(0.1 / np.sqrt(2)), populations[0].n_features)
    for number in range(2, len(means) - 1):
        small = abs(means[number] - means[number - 1]) < 1e-3 * abs(means[number - 1])
        if small and _largest_shift(populations[number], populations[number + 1]) <= limit:
            return number + 1, True
    return len(means), False


def _largest_shift(before: Population, after: Population) -> float:
    """Largest squared distance that a mean has moved, in its component's dispersions."""
    shifts = after.mixture.means - before.mixture.means
    solved = np.linalg.solve(before.mixture.covariances, shifts[:, :, None])[:, :, 0]
    return float(np.einsum("kd,kd->k", shifts, solved).max())


def _peers(em: list[Scanned], rows: int) -> dict[str, tuple[int, bool]]:
    means = [one.log_likelihood / rows for one in em]
    return {
        "scikit-learn": stop_of_change(means, 1e-3, SKLEARN_MOST),
        "pyGMMis": pygmmis_stop(means, [one.population for one in em]),
        "XD in C": stop_of_change(means, 1e-6, len(means)),
    }


def _scanner(problem: Counted) -> Callable[[Population], Scanned]:
    passes = problem.passes()

    def scan(population: Population) -> Scanned:
        statistics = passes.summarize(population)
        return Scanned(
            population, statistics.log_likelihood, maximize(population, statistics, problem.constraints)
        )

    return scan


def _plain(population: Population, scan: Callable[[Population], Scanned]) -> Iterator[Scanned]:
    while True:
        scanned = scan(population)
        yield scanned
        population = scanned.image


def _fit(problem: Counted, method: str, tolerance: float, most: int) -> dgmmis.FitResult:
    return dgmmis.fit(
        problem.values,
        noise=problem.noise,
        n_components=problem.start.n_components,
        initial=problem.start,
        method=method,
        tolerance=tolerance,
        max_passes=most - 1,
    )


def _own_stop(result: dgmmis.FitResult, scan: Callable[[Population], Scanned]) -> Record:
    return _stop(scan(result.population), result.n_passes, result.converged, scan)


def _stop(at: Scanned, passes: int, said: bool, scan: Callable[[Population], Scanned]) -> Record:
    optimum = _polished(at.population, scan)
    gain = max(optimum - at.log_likelihood, 0.0)
    return {"passes": passes, "said": said, "level": at.log_likelihood, "to_gain": gain}


def _polished(population: Population, scan: Callable[[Population], Scanned]) -> float:
    """Log-likelihood where going on from a population, by SQUAREM, leads."""
    levels: list[float] = []
    for scanned in islice(squarem(population, scan), MOST_POLISHING):
        levels.append(max(scanned.log_likelihood, levels[-1] if levels else -np.inf))
        if len(levels) > QUIET and levels[-1] - levels[-1 - QUIET] < STANDS:
            break
    return levels[-1]
