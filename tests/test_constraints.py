"""Fits under constraints: the best population among those allowed, and no step back on the way there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dgmmis.background import Background
from dgmmis.constraints import TYPES, Constraints
from dgmmis.errors import CollapsedComponent
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.maximization import conform, events_of, maximize
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from dgmmis.samples import Samples
from expected_objective import Allowed, best_population, expected_objective
from references import load_reference
from strategies import Scene, random_mixture, random_scene, scenes

EXACT = 1e-10
"""Absolute: the programs agree with each other to 1e-13."""

PRIOR = Prior(InverseWishart([2.0, 5.0], degrees_of_freedom=3), Dirichlet(4))


def updated(population: Population, samples: Samples, constraints: Constraints, updates: int) -> Population:
    samples = prepare(population, samples)
    for _ in range(updates):
        population = maximize(population, summarize_samples(population, samples), constraints)
    return population


def in_full(array: np.ndarray, covariance_type: str, k: int, d: int) -> np.ndarray:
    """Covariances (K, D, D) of what scikit-learn stores for a type."""
    if covariance_type == "diag":
        return array[:, :, None] * np.eye(d)
    if covariance_type == "spherical":
        return array[:, None, None] * np.eye(d)
    return np.broadcast_to(array, (k, d, d))


def assert_is_reference(population: Population, samples: Samples, case: dict, updates: int, covariances):
    assert population.amplitudes == pytest.approx(case[f"amp_n{updates}"], abs=EXACT, rel=0)
    assert population.mixture.means == pytest.approx(case[f"mean_n{updates}"], abs=EXACT, rel=0)
    assert population.mixture.covariances == pytest.approx(covariances, abs=EXACT, rel=0)
    mean = summarize_samples(population, samples).mean_log_likelihood
    assert mean == pytest.approx(float(case[f"llfinal_n{updates}"]), abs=EXACT, rel=0)


@pytest.mark.parametrize("updates", [1, 2, 10])
@pytest.mark.parametrize("kind", ["diag", "tied", "spherical"])
def test_covariance_types_are_those_of_scikit_learn(kind, updates):
    case = load_reference(f"sk_noisefree_{kind}")
    k, d = case["mean0"].shape
    precisions = in_full(case["precisions0"], kind, k, d)
    start = Population(Mixture(case["amp0"], case["mean0"], np.linalg.inv(precisions)))
    samples = Samples.from_arrays(case["X"])
    ours = updated(start, samples, Constraints.of(k, d, covariance_type=kind), updates)
    assert_is_reference(ours, samples, case, updates, in_full(case[f"covar_n{updates}"], kind, k, d))


@pytest.mark.parametrize("updates", [1, 2, 10])
def test_bovys_prior_is_that_of_extreme_deconvolution(updates):
    case = load_reference("ed_w0.01")
    start = Population(Mixture(case["amp0"], case["mean0"], case["covar0"]))
    samples = Samples.from_arrays(case["X"], Noise.diagonal(case["S"]))
    constraints = Constraints.of(*case["mean0"].shape, prior=Prior(InverseWishart.bovy(float(case["w"]))))
    ours = updated(start, samples, constraints, updates)
    assert_is_reference(ours, samples, case, updates, case[f"covar_n{updates}"])


FROZEN = {"amplitudes": [1], "means": [0], "covariances": [2]}


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(
    ("floor", "prior", "frozen"),
    [
        (None, None, {}),
        ([0.5, 1.4], None, {}),
        ([0.8, 1.2], PRIOR, FROZEN),
        (None, PRIOR, {}),
        (None, None, FROZEN),
    ],
    ids=["free", "floor", "all", "prior", "frozen"],
)
def test_an_update_is_the_best_of_all_populations_allowed(covariance_type, floor, prior, frozen):
    scene = random_scene(21, n=40, d=2, k=3, kind="diagonal", missing=0.2, weighted=True)
    constraints = Constraints.of(
        3, 2, frozen=frozen, covariance_type=covariance_type, floor=floor, prior=prior
    )
    start = Population(scene.mixture)
    ours = updated(start, scene.samples, constraints, 1).mixture
    allowed = Allowed(scene.parameters, covariance_type, floor, frozen)
    psi, rows, alpha = (np.diag([2.0, 5.0]), 6.0, 4.0) if prior else (np.zeros((2, 2)), 0.0, 1.0)
    objective = expected_objective(*scene.oracle_rows, allowed, psi, rows, alpha)
    theirs, value = best_population(objective, allowed)
    reached = objective((ours.amplitudes, ours.means, ours.covariances))
    assert reached == pytest.approx(value, abs=1e-6)
    assert reached >= value - 1e-9 * abs(value)
    assert ours.amplitudes == pytest.approx(theirs.amplitudes, abs=1e-4)
    assert ours.means == pytest.approx(theirs.means, abs=1e-3)
    assert ours.covariances == pytest.approx(theirs.covariances, abs=3e-3)


@settings(max_examples=30)
@given(
    scenes(rows=st.integers(100, 200), max_features=3, max_components=3),
    st.sampled_from(TYPES),
    st.sampled_from([None, 0.3, 1.5]),
    st.sampled_from([None, Prior(InverseWishart.bovy(2), Dirichlet(3)), Prior(InverseWishart(1, 5))]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_objective_never_falls(scene, covariance_type, floor, prior, with_background, seed):
    """From a start that is not the truth, with one covariance frozen and perhaps a background."""
    k, d = scene.mixture.n_components, scene.mixture.n_features
    start = random_mixture(np.random.default_rng(seed), k, d)
    box = Background((np.full(d, -9.0), np.full(d, 9.0)), 0.2, amplitude_min=0.05, amplitude_max=0.3)
    frozen = {"covariances": [0]} if k > 1 else None
    constraints = Constraints.of(
        k, d, covariance_type=covariance_type, floor=floor, prior=prior, frozen=frozen
    )
    population = conform(Population(start, (box,) if with_background else ()), constraints)
    samples = prepare(population, scene.samples)
    objectives = []
    try:
        for _ in range(12):
            statistics = summarize_samples(population, samples)
            objectives.append(statistics.log_likelihood + constraints.log_prior(population))
            population = maximize(population, statistics, constraints)
    except CollapsedComponent:
        assume(False)
    assert np.diff(objectives).min() >= -1e-13 * np.abs(objectives).max()
    assert objectives[-1] > objectives[0]


@given(scenes(rows=st.integers(100, 200), max_components=4), st.sets(st.integers(0, 3)))
def test_tied_covariances_are_the_mean_of_the_free_ones_by_rows(scene, which):
    k, d = scene.mixture.n_components, scene.mixture.n_features
    free = [i for i in range(k) if i not in which]
    frozen = {"covariances": [i for i in range(k) if i in which]}
    statistics = summarize_samples(Population(scene.mixture), scene.samples)
    each, tied = (
        maximize(
            Population(scene.mixture), statistics, Constraints.of(k, d, frozen=frozen, covariance_type=kind)
        )
        for kind in ("full", "tied")
    )
    kept = frozen["covariances"]
    assert np.array_equal(tied.mixture.covariances[kept], scene.mixture.covariances[kept])
    if free:
        mean = np.average(each.mixture.covariances[free], axis=0, weights=statistics.zeroth[free])
        common = tied.mixture.covariances[free]
        assert (common == common[0]).all()
        assert common[0] == pytest.approx(mean, rel=1e-11, abs=1e-13)
    assert np.array_equal(tied.mixture.means, each.mixture.means)


@given(scenes(rows=st.integers(100, 200)), st.sampled_from(TYPES))
def test_a_floor_below_all_dispersions_changes_no_bit(scene, covariance_type):
    k, d = scene.mixture.n_components, scene.mixture.n_features
    floors = (None, np.full(d, 1e-4))
    try:
        free, floored = (
            updated(
                Population(scene.mixture),
                scene.samples,
                Constraints.of(k, d, covariance_type=covariance_type, floor=floor),
                2,
            )
            for floor in floors
        )
    except CollapsedComponent:
        assume(False)
    assume((np.linalg.eigvalsh(free.mixture.covariances) > 1e-7).all())
    assert np.array_equal(free.mixture.covariances, floored.mixture.covariances)
    assert np.array_equal(free.mixture.means, floored.mixture.means)


FLAT = np.concatenate((np.random.default_rng(0).normal(size=(60, 1)), np.full((60, 1), 7.0)), axis=1)
"""Rows whose second feature has no spread."""


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_floor_keeps_what_would_collapse_and_says_so(covariance_type):
    floor = np.array([0.1, 0.2])
    constraints = Constraints.of(1, 2, covariance_type=covariance_type, floor=floor)
    values = FLAT * [0.01, 1]  # spherical ones reach the floor, too
    start = Population(Mixture([1.0], [[0.0, 7.0]], [np.eye(2)]))
    samples = Samples.from_arrays(values)
    last = updated(start, samples, constraints, 3)
    expected = np.full(2, 0.2) if covariance_type == "spherical" else floor
    assert last.mixture.covariances[0] == pytest.approx(np.diag(expected**2), rel=1e-12)
    events = events_of(last, summarize_samples(last, samples), constraints)
    what = "the tied covariance" if covariance_type == "tied" else "component 0"
    assert events == (f"{what} lies on its floor",)
    assert events_of(start, summarize_samples(start, samples), constraints) == ()


@given(scenes(rows=st.integers(50, 150), max_features=4), st.sampled_from(TYPES), st.integers(0, 2**32 - 1))
def test_no_direction_is_ever_below_the_floor(scene, covariance_type, seed):
    k, d = scene.mixture.n_components, scene.mixture.n_features
    floor = np.random.default_rng(seed).uniform(0.5, 3, size=d)
    constraints = Constraints.of(k, d, covariance_type=covariance_type, floor=floor)
    last = updated(Population(scene.mixture), scene.samples, constraints, 2)
    scaled = last.mixture.covariances / np.outer(floor, floor)
    assert np.linalg.eigvalsh(scaled).min() >= 1 - 1e-12


def collapse(values: np.ndarray, covariance_type="full") -> CollapsedComponent:
    d = values.shape[1]
    start = Population(Mixture([1.0], [values.mean(axis=0)], [np.eye(d)]))
    with pytest.raises(CollapsedComponent, match="set a floor") as caught:
        updated(start, Samples.from_arrays(values), Constraints.of(1, d, covariance_type=covariance_type), 40)
    return caught.value


@pytest.mark.parametrize("covariance_type", ["full", "diagonal", "tied"])
def test_a_collapse_names_the_feature_without_spread(covariance_type):
    error = collapse(FLAT - [0, 7], covariance_type)
    assert (error.features, error.collinear) == ((1,), False)
    assert "(feature 1 is constant there)" in str(error)


def test_a_tied_collapse_is_seen_though_the_first_component_is_starved():
    start = Population(Mixture([0.5, 0.5], [[1e6, 1e6], [0, 0]], np.array([np.eye(2)] * 2)))
    samples = Samples.from_arrays(FLAT - [0, 7])
    with pytest.raises(CollapsedComponent, match=r"onto 60 rows.*feature 1 is constant"):
        updated(start, samples, Constraints.of(2, 2, covariance_type="tied"), 40)


def test_a_collapse_names_the_features_that_lie_on_a_line():
    x, y = np.random.default_rng(1).integers(-8, 8, size=(2, 64)).astype(float)
    error = collapse(np.stack((x, y, -2 * x), axis=1))
    assert (error.features, error.collinear) == ((0, 2), True)
    assert "(features 0 and 2 are collinear there)" in str(error)


def test_a_starved_component_keeps_its_covariance_unless_it_is_tied():
    scene = random_scene(5, n=100, d=2, k=2)
    far = Mixture([0.5, 0.5], [[0, 0], [1e4, 1e4]], [np.eye(2), np.eye(2)])
    for kind in TYPES:
        constraints = Constraints.of(2, 2, covariance_type=kind)
        after = updated(Population(far), scene.samples, constraints, 1).mixture
        expected = after.covariances[0] if kind == "tied" else np.eye(2)
        assert np.array_equal(after.covariances[1], expected)
        assert not np.array_equal(after.covariances[0], np.eye(2))
        assert np.array_equal(after.means[1], far.means[1])


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_start_takes_the_type_and_the_floor_but_where_it_is_frozen(covariance_type):
    scene: Scene = random_scene(6, d=3, k=3)
    settings = {"covariance_type": covariance_type, "floor": 1.1, "frozen": {"covariances": [1]}}
    constraints = Constraints.of(3, 3, **settings)
    start = Population(scene.mixture)
    once = conform(start, constraints).mixture.covariances
    assert np.array_equal(once[1], scene.mixture.covariances[1])
    assert np.linalg.eigvalsh(once[[0, 2]]).min() >= 1.21 * (1 - 1e-14)
    if covariance_type == "tied":
        assert np.array_equal(once[0], once[2])
    elif covariance_type != "full":
        assert (once[[0, 2]][:, ~np.eye(3, dtype=bool)] == 0).all()
    again = conform(conform(start, constraints), constraints).mixture.covariances
    assert again == pytest.approx(once, rel=1e-14, abs=1e-14)
    believing = Constraints.of(3, 3, **settings, prior=Prior(InverseWishart(50, 9)))
    assert np.array_equal(conform(start, believing).mixture.covariances, once)
