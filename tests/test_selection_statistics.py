"""The imputation's stated errors are its true ones, and fall as points are added: over hundreds of seeds."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis.observation import REPLICATES
from quadrature import unobserved_sums
from selected_scenes import Scene, all_numbers, imputed_at, named, numbers_of, scene_of

pytestmark = pytest.mark.statistical

REPEATS = 250


def offsets_and_errors(scene: Scene, points: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """What imputations with other seeds are off by, and say they are off by, (repeats, numbers): completeness first."""
    sums, completeness = unobserved_sums(scene.law, scene.noise, scene.weights, scene.keeping)
    problem = scene.problem(points=points)
    offsets, errors = [], []
    for seed in range(repeats):
        imputed = imputed_at(problem, scene.population, seed=seed)
        replicates = np.array([numbers_of(one) for one in imputed.replicates])
        own = replicates.std(axis=0, ddof=1) / np.sqrt(REPLICATES)
        offsets.append(
            [imputed.completeness - completeness, *(numbers_of(imputed.statistics) - all_numbers(sums))]
        )
        errors.append([imputed.completeness_error, *own])
    return np.array(offsets), np.array(errors)


@pytest.mark.parametrize(
    "case",
    [
        (1, "smooth", "none", False, False),
        (1, "stepped", "diagonal", False, True),
        (2, "stepped", "diagonal", False, True),
        (2, "smooth", "shared", False, False),
        (2, "stepped", "full", False, False),
    ],
    ids=named,
)
@pytest.mark.timeout(600)
def test_stated_errors_of_completeness_score_and_likelihood_are_calibrated(case):
    """True errors over stated ones, both root-mean-square: of single ratios it would be 1.18, as of Student's t_7."""
    offsets, errors = offsets_and_errors(scene_of(*case), 2048, REPEATS)
    ratio = np.sqrt((offsets**2).mean(axis=0) / (errors**2).mean(axis=0))
    assert (ratio > 0.8).all(), ratio
    assert (ratio < 1.3).all(), ratio
    bias = offsets.mean(axis=0) / (offsets.std(axis=0) / np.sqrt(REPEATS))
    assert (np.abs(bias) < 4).all(), bias


@pytest.mark.parametrize(
    "case", [(1, "smooth", "diagonal", False, True), (2, "stepped", "full", False, False)], ids=named
)
@pytest.mark.timeout(600)
def test_the_error_falls_at_least_like_the_square_root_of_the_points(case):
    scene = scene_of(*case)
    few, _ = offsets_and_errors(scene, 1024, 60)
    many, stated = offsets_and_errors(scene, 16 * 1024, 60)
    few, many, stated = (np.sqrt((a**2).mean(axis=0)) for a in (few, many, stated))
    assert (many <= few / 4).all(), few / many
    assert (stated <= few / 4).all(), few / stated
