"""When a fit stops, what it says of what is left, and that it can go on from any pass."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import Constraints
from dgmmis.convergence import passes_left, predicted_gain
from dgmmis.expectation import summarize_samples
from dgmmis.iterate import Limits, Pass, Problem, Summarize, iterate
from dgmmis.local_pass import local_summarize
from dgmmis.population import Population
from dgmmis.starts import choose_start
from dgmmis.task import Task
from strategies import random_scene

UNCONSTRAINED = Constraints.of(3, 2)


def problem_of(summarize: Summarize) -> Problem:
    return Problem(summarize, UNCONSTRAINED)


def passes_of(
    scene, limits: Limits, *, population: Population | None = None, after: Pass | None = None
) -> list[Pass]:
    samples = scene.samples

    def summarize(p: Population):
        return summarize_samples(p, samples)

    return list(iterate(population or Population(scene.mixture), problem_of(summarize), limits, after=after))


def geometric(rate: float, n: int, first: float = 1.0) -> list[float]:
    """Log-likelihoods of `n` passes whose gains fall by `rate`."""
    return [-first * rate**i / (1 - rate) for i in range(n)]


@given(st.floats(0.01, 0.99), st.integers(5, 30))
def test_gains_that_fall_by_a_constant_rate_are_summed_exactly(rate, n):
    log_likelihoods = geometric(rate, n)
    expected = -log_likelihoods[-1]
    noise = np.finfo(float).eps * abs(log_likelihoods[0]) / (1 - rate) ** 2
    assert predicted_gain(log_likelihoods) == pytest.approx(expected, rel=1e-6, abs=1e3 * noise)


@given(st.lists(st.floats(-1e6, 1e6), max_size=2))
def test_too_few_passes_predict_nothing(log_likelihoods):
    assert predicted_gain(log_likelihoods) == np.inf


@pytest.mark.parametrize(
    "log_likelihoods",
    [
        [0.0, 1.0, 1.5, 1.75],
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [0.0, 1.0, 3.0, 6.0, 10.0],
        [0.0, 1.0, 0.5, 0.75, 0.8],
    ],
    ids=["four passes", "a constant gain", "growing gains", "a loss"],
)
def test_gains_that_do_not_tell_predict_nothing(log_likelihoods):
    assert predicted_gain(log_likelihoods) == np.inf


def test_gains_below_rounding_are_the_end():
    assert predicted_gain([-1e6, -1e6, -1e6 + 1e-10]) == 0


@given(st.floats(0.1, 0.95), st.floats(1e-3, 0.5))
def test_passes_left_bring_the_predicted_gain_below_the_tolerance(rate, tolerance):
    gains = [10 * rate**n for n in range(6)]
    left = passes_left(gains, tolerance)
    after, before = (gains[-1] * rate ** (left + extra) for extra in (0, -1))
    assert after <= tolerance * (1 + 1e-6)
    assert left == 0 or before >= tolerance * (1 - 1e-6)


def test_passes_left_are_unknown_while_the_predicted_gain_does_not_fall():
    assert passes_left([], 0.1) == passes_left([3.0], 0.1) == np.inf
    assert (
        passes_left([np.inf, 3.0], 0.1)
        == passes_left([2.0, 3.0], 0.1)
        == passes_left([3.0, 2.0], 0)
        == np.inf
    )


def remaining_gain(seed: int, kind: str, spread: float) -> tuple[float, float]:
    """Predicted at the stop, and found by going on to the optimum."""
    scene = random_scene(seed, n=400, d=2, k=3, kind=kind, missing=0.1, spread=spread)
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise)
    start = choose_start(chunks.rows, Task(3, UNCONSTRAINED), whole=True).population
    stopped = passes_of(scene, Limits(0.1, 2000), population=start)[-1]
    assert stopped.reason == "converged"
    optimum = passes_of(scene, Limits(1e-3, 1500), after=stopped)[-1]
    return stopped.predicted_gain, optimum.log_likelihoods[-1] - stopped.log_likelihoods[-1]


@pytest.mark.parametrize("kind", ["none", "diagonal", "full"])
def test_of_components_apart_the_predicted_gain_is_the_true_one_within_a_factor_of_two(kind):
    predicted, true = remaining_gain(3, kind, spread=6)
    assert 0.01 < predicted <= 0.1
    assert predicted / 2 < true < 2 * predicted


@pytest.mark.thorough
def test_of_overlapping_components_the_predicted_gain_is_most_often_within_a_factor_of_three():
    """It never promises much more than there is.  On a plateau, whose slow directions do not show in the
    gains, it can promise far less: then more components than the rows can tell apart were asked for.
    """
    scenes = [(1, "none"), (1, "diagonal"), (1, "full"), (2, "none"), (2, "diagonal")]
    pairs = np.array([remaining_gain(seed, kind, spread=1.5) for seed, kind in scenes])
    ratios = pairs[:, 1] / pairs[:, 0]
    assert (pairs[:, 0] <= 0.1).all()
    assert ratios.min() > 1 / 3
    assert np.median(ratios) < 3


@pytest.mark.parametrize("updates", [0, 1, 7])
def test_tolerance_zero_makes_exactly_that_many_updates(updates):
    passes = passes_of(random_scene(1, k=3, kind="diagonal"), Limits(0, updates))
    assert len(passes) == updates + 1
    assert [scan.number for scan in passes] == list(range(updates + 1))
    assert [scan.reason for scan in passes] == [""] * updates + ["max_passes"]


def test_every_pass_tells_the_log_likelihood_of_the_mixture_it_carries():
    scene = random_scene(2, k=3, kind="full", missing=0.2)
    for scan in passes_of(scene, Limits(0, 4)):
        density = scan.mixture.log_density(scene.values, scene.noise).sum()
        assert scan.log_likelihoods[-1] == pytest.approx(density, rel=1e-12)
        assert scan.statistics.log_likelihood == scan.log_likelihoods[-1]


def test_the_gain_of_a_pass_is_over_the_pass_before():
    passes = passes_of(random_scene(2, k=3), Limits(0, 3))
    assert passes[0].gain == np.inf
    for before, scan in pairwise(passes):
        assert scan.gain == scan.log_likelihoods[-1] - before.log_likelihoods[-1]
        assert scan.log_likelihoods[:-1] == before.log_likelihoods


def assert_same_pass(left: Pass, right: Pass) -> None:
    assert left.log_likelihoods == right.log_likelihoods
    assert left.objectives == right.objectives
    assert (left.predicted_gain, left.reason, left.events) == (
        right.predicted_gain,
        right.reason,
        right.events,
    )
    for name in ("amplitudes", "means", "covariances"):
        assert np.array_equal(getattr(left.mixture, name), getattr(right.mixture, name))
    for name in ("zeroth", "first", "second"):
        assert np.array_equal(getattr(left.statistics, name), getattr(right.statistics, name))


def test_a_fit_resumed_after_any_pass_is_the_fit_never_stopped():
    scene = random_scene(4, k=3, kind="diagonal", missing=0.2, weighted=True, spread=8)
    limits = Limits(1e-3, 100)
    never_stopped = passes_of(scene, limits)
    assert never_stopped[-1].reason == "converged"
    for number, scan in enumerate(never_stopped[:-1]):
        resumed = passes_of(scene, limits, after=scan)
        assert len(resumed) == len(never_stopped) - number - 1
        for left, right in zip(resumed, never_stopped[number + 1 :], strict=True):
            assert_same_pass(left, right)


def test_a_fit_resumed_with_a_larger_budget_is_the_fit_that_had_it_at_once():
    scene = random_scene(4, k=3, kind="diagonal")
    short, long = passes_of(scene, Limits(0, 5)), passes_of(scene, Limits(0, 12))
    assert_same_pass(passes_of(scene, Limits(0, 12), after=short[-1])[-1], long[-1])


def test_a_fit_resumed_after_its_end_scans_nothing():
    scene = random_scene(4, k=3, kind="diagonal")
    last = passes_of(scene, Limits(0, 5))[-1]

    def no_scan(population):
        raise AssertionError("the data were scanned")

    resumed = list(iterate(Population(scene.mixture), problem_of(no_scan), Limits(0, 5), after=last))
    assert len(resumed) == 1
    assert_same_pass(resumed[0], last)


def test_a_pass_is_one_scan_of_the_data():
    scene = random_scene(5, k=3)
    chunks = ArrayChunks.from_arrays(scene.values)
    summarize, scans = local_summarize(chunks), []

    def counted(population):
        scans.append(population)
        return summarize(population)

    passes = list(iterate(Population(scene.mixture), problem_of(counted), Limits(0, 6)))
    assert len(scans) == len(passes) == 7


def test_a_log_likelihood_near_zero_has_the_rounding_of_its_terms():
    flickering = [1e-9, 1e-9 + 2e-11, 1e-9, 1e-9 + 3e-11, 1e-9]
    assert predicted_gain(flickering) == np.inf
    assert predicted_gain(flickering, scale=1e5) == 0
