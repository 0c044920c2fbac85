"""What one pass tells of wrong components: it is what the formulas say row by row, and it adds."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from dgmmis import Mixture
from dgmmis.background import Background
from dgmmis.chunk import ArrayChunks
from dgmmis.imputed_misfit import imputed_misfit
from dgmmis.local_pass import LocalPasses
from dgmmis.misfit import SHARE, Examiner, Misfit
from dgmmis.population import Population
from dgmmis.selection import Box
from projected_scenes import ProjectedScene, projected_scenes
from selected_scenes import AMPLITUDES, COVARIANCES, MEANS, problem_of
from strategies import Scene, random_scene, scenes


def written_out(scene: Scene | ProjectedScene, directions: np.ndarray) -> Misfit:
    """Sum the definitions, row by row and direction by direction."""
    parameters = scene.parameters
    K, D = parameters.means.shape
    total = Misfit.zero(K, D)
    for (x, S, s), R in oracle.projected(*_rows(scene)):
        q = oracle.responsibilities(x, S, parameters, R)
        q = np.where(q < SHARE, 0, q)
        total.overlap[:] += s * np.outer(q, q)
        for k in range(K):
            u, G = oracle.score(x, S, parameters.means[k], parameters.covariances[k], R)
            for j in range(D):
                e = directions[k, :, j]
                along, P = u @ e, e @ G @ e
                h3, h4 = along**3 - 3 * along * P, along**4 - 6 * along**2 * P + 3 * P**2
                total.third[k, j] += s * q[k] * h3
                total.fourth[k, j] += s * q[k] * h4
                total.third_squares[k, j] += s * (q[k] * h3) ** 2
                total.fourth_squares[k, j] += s * (q[k] * h4) ** 2
    return total


def _rows(scene: Scene | ProjectedScene) -> tuple:
    if isinstance(scene, ProjectedScene):
        return scene.values, scene.covariances, scene.weights, scene.row_projections
    return *scene.oracle_rows, None


def assert_close(ours: Misfit, theirs: Misfit, rel: float = 1e-9) -> None:
    """Compare sums to what rounding leaves: the root of the sum of squares times that of the rows sets the scale."""
    assert ours.overlap == pytest.approx(theirs.overlap, rel=rel, abs=1e-9)
    for name in ("third", "fourth"):
        squares = getattr(theirs, f"{name}_squares")
        assert getattr(ours, f"{name}_squares") == pytest.approx(squares, rel=rel, abs=1e-12)
        scale = 1e3 * rel * np.sqrt(squares.max(initial=0)) + 1e-9
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=rel, abs=scale)


@given(scenes(rows=st.integers(1, 60), max_features=4, max_components=4))
@settings(max_examples=15)
def test_one_pass_sums_the_third_and_fourth_orders_of_every_row(scene):
    examiner = Examiner.of(Population(scene.mixture))
    assert_close(examiner.examine(scene.samples), written_out(scene, examiner.directions))


@given(projected_scenes())
@settings(max_examples=8)
def test_projected_rows_are_summed_alike(scene):
    examiner = Examiner.of(Population(scene.mixture))
    assert_close(examiner.examine(scene.samples), written_out(scene, examiner.directions))


def test_the_sums_of_a_whole_are_those_of_its_parts():
    scene = random_scene(3, n=500, d=3, kind="diagonal", missing=0.2, weighted=True)
    background = Background(footprint=(np.full(3, -12.0), np.full(3, 12.0)), amplitude=0.2)
    examiner = Examiner.of(Population(scene.mixture, (background,)))

    def over(chunk_rows: int, threads: int = 1) -> Misfit:
        chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=chunk_rows)
        return LocalPasses(chunks, threads=threads).examine(examiner)

    assert_close(over(70), over(500))
    for name, array in vars(over(70, threads=3)).items():
        assert np.array_equal(array, getattr(over(70), name))
    assert (
        np.diagonal(over(500).overlap) < np.diagonal(written_out(scene, examiner.directions).overlap)
    ).all()


def test_a_gaussian_has_scores_of_about_two_and_a_component_over_two_clusters_has_far_more():
    truth = Mixture(np.full(3, 1 / 3), np.array([[0.0, 0], [7, 0], [20, 20]]), np.stack([np.eye(2)] * 3))
    samples = truth.samples(truth.draw(6000, np.random.default_rng(0)))
    fair = Examiner.of(Population(truth)).examine(samples).scores
    assert fair.mean() == pytest.approx(2, abs=4 * 2 / np.sqrt(fair.size))  # chi-square of 2 has variance 4
    one = Mixture(
        np.array([2 / 3, 1 / 3]),
        np.array([[3.5, 0], [20, 20]]),
        np.stack([np.diag([1 + 3.5**2, 1]), np.eye(2)]),
    )
    examiner = Examiner.of(Population(one))
    wrong = examiner.examine(samples).scores
    along = np.abs(examiner.directions[0, 0]).argmax()
    assert wrong[0, along] > 1000
    assert max(wrong[0, 1 - along], wrong[1].max()) < 20


def test_components_that_share_rows_have_a_cosine_near_one_and_apart_ones_of_zero():
    means = np.array([[0.0], [0.1], [50.0]])
    mixture = Mixture(np.array([0.3, 0.3, 0.4]), means, np.ones((3, 1, 1)))
    rows = mixture.draw(500, np.random.default_rng(1))
    cosines = Examiner.of(Population(mixture)).examine(mixture.samples(rows)).cosines
    assert cosines[0, 1] > 0.99
    assert cosines[0, 2] < 1e-9
    empty = Mixture(np.array([0.3, 0.3, 0.4]), np.array([[0.0], [50.0], [9e3]]), np.ones((3, 1, 1)))
    cosines = Examiner.of(Population(empty)).examine(empty.samples(rows)).cosines
    assert cosines[2, 0] == cosines[2, 1] == 1  # a component without rows


def test_what_was_not_observed_is_expected_to_make_good_what_a_cut_took():
    population = Population(Mixture(AMPLITUDES, MEANS, COVARIANCES))
    rng = np.random.default_rng(5)
    values = population.mixture.draw(20_000, rng)
    values = values[values[:, 0] > 0]
    problem = problem_of(values, population, Box([0.0], [np.inf], features=("x0",)), points=16_384)
    examiner = Examiner.of(population)
    chunks = ArrayChunks.from_arrays(values)
    cut = LocalPasses(chunks).examine(examiner)
    imputation = problem.imputation
    unobserved = imputed_misfit(examiner, imputation.observation, imputation.first_reference(population))
    assert cut.scores.max() > 100
    assert cut.completed(unobserved).scores.max() < 30
    parts = [Examiner.of(population).examine(samples) for samples in chunks.samples]
    assert_close(reduce(add, parts), cut)
