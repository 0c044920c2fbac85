"""Which moves split and merge suggests, and what its rounds gain: `python split_merge.py [TRIALS]` prints both tables.

A criterion picks one component, or one pair, by looking at a fitted mixture.  The truth is what 25 passes of
expectation maximization make of each possible split or merger.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import dgmmis
from dgmmis.constraints import Constraints
from dgmmis.errors import DgmmisError
from dgmmis.expectation import summarize_samples
from dgmmis.maximization import maximize
from dgmmis.misfit import Examiner, Misfit
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.samples import Samples
from dgmmis.split_merge import halves, merge_losses, merged

__all__ = ["Trial", "criteria_table", "fits_table", "fitted", "main", "trials"]

Array = NDArray[np.float64]

TRIALS = 30
ROWS, COMPONENTS, FEATURES = 3000, 8, 2
SETTLED, JUDGED = 150, 25
"""Passes before a mixture is looked at, and after each move."""
LOCAL_UPDATES = 10
ROUNDS = 5


@dataclass(frozen=True)
class Trial:
    """A settled mixture, and what the moves away from it come to.

    Attributes
    ----------
    population : Population
    samples : Samples
    misfit : Misfit
    split_gains : (K, 2)
        What each component's split adds to the log-likelihood [nats]: across its longest axis, and across the one of
        the largest score.
    merge_gains : (K, K)
        What each merger adds (it is mostly lost), above the diagonal.
    """

    population: Population
    samples: Samples
    misfit: Misfit
    split_gains: Array
    merge_gains: Array


def drawn(seed: int) -> tuple[Array, Array | None, Mixture]:
    """Rows of 8 overlapping components, every other time with noise of their own, and a start at random rows."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(COMPONENTS, FEATURES, FEATURES))
    covariances = 0.5 * factors @ factors.swapaxes(1, 2) + 0.15 * np.eye(FEATURES)
    means = 3 * rng.normal(size=(COMPONENTS, FEATURES))
    values = Mixture(rng.dirichlet(np.full(COMPONENTS, 4.0)), means, covariances).draw(ROWS, rng)
    noise = None
    if seed % 2:
        noise = 0.2 * np.exp(rng.normal(size=values.shape))
        values = values + np.sqrt(noise) * rng.normal(size=values.shape)
    at = values[rng.choice(ROWS, COMPONENTS, replace=False)]
    broad = np.repeat(np.cov(values.T)[None] / 4, COMPONENTS, axis=0)
    return values, noise, Mixture(np.full(COMPONENTS, 1 / COMPONENTS), at, broad)


def climbed(population: Population, samples: Samples, n_passes: int) -> tuple[Population, float]:
    """Make some passes; returns the population and its log-likelihood, -inf if it collapsed."""
    free = Constraints.none(population.n_components, population.n_features)
    try:
        for _ in range(n_passes):
            population = maximize(population, summarize_samples(population, samples), free)
        return population, summarize_samples(population, samples).log_likelihood
    except DgmmisError:
        return population, -np.inf


def trials(n_trials: int) -> Iterator[Trial]:
    """Settle mixtures from poor starts and try every move on each."""
    for seed in range(n_trials):
        values, noise, start = drawn(seed)
        samples = Samples.from_arrays(values, noise)
        population, _ = climbed(Population(start), samples, SETTLED)
        _, reached = climbed(population, samples, JUDGED)
        examiner = Examiner.of(population)
        misfit = examiner.examine(samples)
        splits, mergers = np.empty((COMPONENTS, 2)), np.full((COMPONENTS, COMPONENTS), -np.inf)
        for k in range(COMPONENTS):
            for column, axis in enumerate((FEATURES - 1, int(misfit.scores[k].argmax()))):
                two = split_in_two(population.mixture, k, examiner.directions[k, :, axis])
                splits[k, column] = climbed(Population(two), samples, JUDGED)[1] - reached
            for j in range(k):
                one = merged_in_one(population.mixture, (j, k))
                mergers[j, k] = climbed(Population(one), samples, JUDGED)[1] - reached
        yield Trial(population, samples, misfit, splits, mergers)


def split_in_two(mixture: Mixture, k: int, direction: Array) -> Mixture:
    """One component more."""
    means, covariances = halves(mixture.means[k], mixture.covariances[k], direction)
    others = np.arange(mixture.n_components) != k
    return Mixture(
        np.concatenate((mixture.amplitudes[others], [mixture.amplitudes[k] / 2] * 2)),
        np.concatenate((mixture.means[others], means)),
        np.concatenate((mixture.covariances[others], covariances)),
    )


def merged_in_one(mixture: Mixture, pair: tuple[int, int]) -> Mixture:
    """One component less."""
    amplitude, mean, covariance = merged(mixture, pair)
    others = ~np.isin(np.arange(mixture.n_components), pair)
    return Mixture(
        np.append(mixture.amplitudes[others], amplitude),
        np.concatenate((mixture.means[others], mean[None])),
        np.concatenate((mixture.covariances[others], covariance[None])),
    )


def local_gains(trial: Trial) -> Array:
    """Fit two halves to the rows of each component alone: the criterion used before."""
    population, gains = trial.population, np.empty(COMPONENTS)
    terms = population.component_log_densities(trial.samples)
    shares = np.exp(terms - np.logaddexp.reduce(terms, axis=1)[:, None])
    for k in range(COMPONENTS):
        groups = tuple(
            replace(group, weights=group.weights * shares[group.rows, k]) for group in trial.samples.groups
        )
        mine, mixture = replace(trial.samples, groups=groups), population.mixture
        one = Mixture(np.ones(1), mixture.means[[k]], mixture.covariances[[k]])
        longest = Examiner.of(Population(one)).directions[0, :, -1]
        two = Population(split_in_two(one, 0, longest))
        gains[k] = climbed(two, mine, LOCAL_UPDATES)[1] - climbed(Population(one), mine, 0)[1]
    return gains


def longest_axes(trial: Trial) -> Array:
    """Amplitude times largest eigenvalue: pyGMMis's criterion."""
    spread = np.linalg.eigvalsh(trial.population.mixture.covariances)[:, -1]
    return np.asarray(trial.population.amplitudes * spread)


SPLITS: dict[str, Callable[[Trial], Array]] = {
    "largest z3^2 + z4^2 (used)": lambda trial: trial.misfit.scores.max(axis=1),
    "two halves fitted alone (before)": local_gains,
    "amplitude x eigenvalue (pyGMMis)": longest_axes,
}
MERGERS: dict[str, Callable[[Trial], Array]] = {
    "Runnalls' bound x (1 - cosine) (used)": lambda trial: -_losses(trial, trial.misfit.cosines),
    "cosine of responsibilities (before)": lambda trial: trial.misfit.cosines,
    "Runnalls' bound": lambda trial: -_losses(trial, np.zeros_like(trial.misfit.cosines)),
}


def _losses(trial: Trial, cosines: Array) -> Array:
    return merge_losses(trial.population.mixture, cosines)


def criteria_table(n_trials: int) -> list[str]:
    """Lines of a Markdown table: what each criterion's pick is worth beside the best move."""
    tried = list(trials(n_trials))
    lines = [
        "| split | rank correlation | gain of pick / best | best of first 3 / best | picks best |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, criterion in SPLITS.items():
        rows = []
        for trial in tried:
            gains, guess = trial.split_gains.max(axis=1), criterion(trial)
            first = np.argsort(-guess)
            best = gains.max()
            rows.append(
                (
                    spearmanr(guess, gains)[0],
                    gains[first[0]] / best,
                    gains[first[:3]].max() / best,
                    gains[first[0]] == best,
                )
            )
        rank, share, of_three, hits = np.mean(rows, axis=0)
        lines.append(f"| {name} | {rank:.2f} | {share:.2f} | {of_three:.2f} | {hits:.2f} |")
    axes = np.mean(
        [trial.split_gains.max(axis=1, keepdims=True) - trial.split_gains for trial in tried], axis=(0, 1)
    )
    lines += [
        f"split across the longest axis: {axes[0]:.2f} nats short of the better; by score: {axes[1]:.2f}",
        "",
    ]
    lines += [
        "| merger | regret: median | mean | largest | mean of best of first 3 |",
        "| --- | --- | --- | --- | --- |",
    ]
    above = np.triu_indices(COMPONENTS, 1)
    for name, criterion in MERGERS.items():
        regrets = []
        for trial in tried:
            order, gains = np.argsort(-criterion(trial)[above]), trial.merge_gains[above]
            regrets.append((gains.max() - gains[order[0]], gains.max() - gains[order[:3]].max()))
        one, three = np.array(regrets).T
        lines.append(
            f"| {name} | {np.median(one):.2f} | {one.mean():.1f} | {one.max():.0f} | {three.mean():.1f} |"
        )
    return lines


def fits_table(n_trials: int) -> list[str]:
    """Lines of a Markdown table: fits of the same rows without and with rounds of split and merge."""
    reached: dict[tuple[str, int], Array] = {}
    passes: dict[tuple[str, int], Array] = {}
    for start in ("random rows", "best of 8, the default"):
        for rounds in (0, ROUNDS):
            fits = [fitted(seed, rounds, random=start == "random rows") for seed in range(n_trials)]
            reached[start, rounds] = np.array([fit.log_likelihood for fit in fits])
            passes[start, rounds] = np.array([fit.n_passes for fit in fits])
        if (reached[start, ROUNDS] < reached[start, 0]).any():
            raise AssertionError("a fit ended lower than it began")
    best = np.max(list(reached.values()), axis=0)
    lines = [
        "| start | rounds at most | nats short of the best known: median | mean | largest | passes (median) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (start, rounds), got in reached.items():
        short, used = best - got, np.median(passes[start, rounds])
        lines.append(
            f"| {start} | {rounds} | {np.median(short):.1f} | {short.mean():.1f} | {short.max():.0f} | {used:.0f} |"
        )
    return lines


def fitted(seed: int, rounds: int, *, random: bool) -> dgmmis.FitResult:
    """Fit the rows of a seed, from random ones of them or from where a fit begins by itself."""
    values, noise, poor = drawn(seed)
    initial = poor if random else None
    return dgmmis.fit(
        values, noise=noise, n_components=COMPONENTS, initial=initial, split_merge=rounds, floor=0.05
    )


def main() -> None:
    """Print both tables."""
    n_trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    for line in (*criteria_table(n_trials), "", *fits_table(n_trials)):
        print(line)


if __name__ == "__main__":
    main()
