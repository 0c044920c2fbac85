"""One update of expectation maximization against the oracle, and the laws it obeys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import oracle
from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import Constraints
from dgmmis.errors import CollapsedComponent, InvalidSetting
from dgmmis.expectation import summarize_samples
from dgmmis.frozen import Frozen
from dgmmis.local_pass import local_summarize
from dgmmis.maximization import events_of, maximize, starved
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from strategies import KINDS, Scene, random_covariances, random_mixture, random_scene, scenes

many_rows = st.integers(100, 300)
seeds = st.integers(0, 2**32 - 1)


def constraints_of(mixture: Mixture, frozen: dict | None = None) -> Constraints:
    return Constraints.of(mixture.n_components, mixture.n_features, frozen=frozen)


def step(scene: Scene, frozen: dict | None = None) -> Mixture:
    """One update."""
    population = Population(scene.mixture)
    statistics = summarize_samples(population, scene.samples)
    return maximize(population, statistics, constraints_of(scene.mixture, frozen)).mixture


def updated(
    scene: Scene, updates: int, chunk_rows: int = 100_000, frozen: dict | None = None
) -> tuple[Mixture, list[float]]:
    """The mixture after some updates, and the log-likelihoods before each and at the end."""
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=chunk_rows)
    summarize, constraints = local_summarize(chunks, threads=1), constraints_of(scene.mixture, frozen)
    population = Population(scene.mixture)
    log_likelihoods = []
    for _ in range(updates):
        statistics = summarize(population)
        log_likelihoods.append(statistics.log_likelihood)
        population = maximize(population, statistics, constraints)
    return population.mixture, [*log_likelihoods, summarize(population).log_likelihood]


def assert_mixtures_agree(left: Mixture, right: Mixture | oracle.Parameters, tolerance=1e-12) -> None:
    """Means to a fraction of the dispersions, covariances of the variances, amplitudes of 1."""
    dispersions = np.sqrt(np.diagonal(right.covariances, axis1=1, axis2=2))
    assert np.abs(left.amplitudes - right.amplitudes).max() <= tolerance
    assert (np.abs(left.means - right.means) / (dispersions + np.abs(right.means))).max() <= tolerance
    scale = dispersions[:, :, None] * dispersions[:, None, :]
    assert (np.abs(left.covariances - right.covariances) / scale).max() <= tolerance


def assert_mixtures_same(left: Mixture, right: Mixture) -> None:
    for name in ("amplitudes", "means", "covariances"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name


@settings(max_examples=50)
@given(scenes(rows=many_rows))
def test_an_update_equals_the_oracles(scene):
    assert_mixtures_agree(step(scene), oracle.update(*scene.oracle_rows, scene.parameters), 1e-11)


indices = st.lists(st.integers(0, 2), unique=True)


@given(scenes(rows=many_rows, max_components=3), indices, indices, indices)
def test_an_update_with_frozen_parameters_equals_the_oracles(scene, amplitudes, means, covariances):
    k = scene.mixture.n_components
    which = [[i for i in some if i < k] for some in (amplitudes, means, covariances)]
    assume(len(which[0]) < k)
    ours = step(scene, dict(zip(("amplitudes", "means", "covariances"), which, strict=True)))
    fixed = oracle.Fixed(*map(tuple, which))
    assert_mixtures_agree(ours, oracle.update(*scene.oracle_rows, scene.parameters, fixed), 1e-11)


@pytest.mark.parametrize("as_mask", [False, True])
def test_frozen_parameters_do_not_move_by_a_bit(as_mask):
    scene = random_scene(3, n=400, d=2, k=4, kind="diagonal", missing=0.2)
    frozen = {"amplitudes": [0, 3], "means": [1], "covariances": [1, 2]}
    if as_mask:
        frozen = {kind: np.isin(np.arange(4), which) for kind, which in frozen.items()}
    last = updated(scene, 10, frozen=frozen)[0]
    before = scene.mixture
    assert np.array_equal(last.amplitudes[[0, 3]], before.amplitudes[[0, 3]])
    assert np.array_equal(last.means[1], before.means[1])
    assert np.array_equal(last.covariances[[1, 2]], before.covariances[[1, 2]])
    assert not np.isclose(last.amplitudes[[1, 2]], before.amplitudes[[1, 2]]).any()
    assert not np.isclose(last.means[[0, 2, 3]], before.means[[0, 2, 3]]).any()
    assert not np.isclose(last.covariances[[0, 3]], before.covariances[[0, 3]]).any()


@given(scenes(rows=many_rows), st.data())
def test_free_amplitudes_share_what_frozen_ones_leave_in_proportion_to_their_rows(scene, data):
    k = scene.mixture.n_components
    kept = data.draw(st.sets(st.integers(0, k - 1), max_size=k - 1))
    free = [i for i in range(k) if i not in kept]
    amplitudes = step(scene, {"amplitudes": sorted(kept)}).amplitudes
    counts = summarize_samples(Population(scene.mixture), scene.samples).zeroth
    left = 1 - scene.mixture.amplitudes[sorted(kept)].sum()
    assert amplitudes[free] == pytest.approx(left * counts[free] / counts[free].sum(), rel=1e-12)
    assert amplitudes.sum() == pytest.approx(1, abs=1e-14)


def test_all_parameters_frozen_is_no_update():
    scene = random_scene(5, kind="full", k=3)
    everything = {"amplitudes": [0, 1, 2], "means": [0, 1, 2], "covariances": [0, 1, 2]}
    assert_mixtures_same(step(scene, everything), scene.mixture)


@pytest.mark.parametrize(
    "frozen",
    [
        {"weights": [0]},
        {"means": [3]},
        {"means": [-1]},
        {"means": [0.5]},
        {"means": [True, False]},
        {"means": ["x"]},
        {"means": None},
    ],
)
def test_frozen_that_names_no_component_or_parameter_is_refused(frozen):
    with pytest.raises(InvalidSetting, match="frozen"):
        Frozen.of(frozen, 3)


@pytest.mark.parametrize("frozen", [["means"], 3, {"means": [[0], [1, 2]]}])
def test_frozen_that_is_no_mapping_to_indices_is_refused(frozen):
    with pytest.raises(InvalidSetting, match="frozen"):
        Frozen.of(frozen, 3)


def test_frozen_survives_being_written_as_indices():
    frozen = Frozen.of({"means": [False, True, True], "covariances": [0]}, 3)
    assert frozen.as_indices() == {"means": [1, 2], "covariances": [0]}
    again = Frozen.of(frozen.as_indices(), 3)
    assert np.array_equal(again.means, frozen.means)
    assert not again.amplitudes.any()


@given(scenes(rows=many_rows), st.randoms(use_true_random=False))
def test_permuting_components_commutes_with_an_update(scene, random):
    k = scene.mixture.n_components
    order = random.sample(range(k), k)
    mixture = scene.mixture
    shuffled = Mixture(mixture.amplitudes[order], mixture.means[order], mixture.covariances[order])
    after = step(scene)
    expected = Mixture(after.amplitudes[order], after.means[order], after.covariances[order])
    assert_mixtures_agree(step(Scene(shuffled, scene.values, scene.noise, scene.weights)), expected)


def mapped(scene: Scene, matrix: np.ndarray, shift: np.ndarray) -> Scene:
    """The same scene seen in coordinates x' = matrix x + shift."""
    missing = np.isnan(scene.values)
    values = np.where(missing, 0, scene.values) @ matrix.T + shift
    values[(missing.astype(float) @ np.abs(matrix).T) > 0] = np.nan
    noise = Noise.none()
    if scene.noise.kind == "shared":
        noise = Noise.shared(matrix @ scene.noise.array @ matrix.T)
    elif scene.noise.kind != "none":
        noise = Noise.full(matrix @ scene.noise.covariances(*scene.values.shape) @ matrix.T)
    return Scene(mapped_mixture(scene.mixture, matrix, shift), values, noise, scene.weights)


def mapped_mixture(mixture: Mixture, matrix: np.ndarray, shift: np.ndarray) -> Mixture:
    covariances = matrix @ mixture.covariances @ matrix.T
    symmetric = (covariances + covariances.swapaxes(1, 2)) / 2
    return Mixture(mixture.amplitudes, mixture.means @ matrix.T + shift, symmetric)


@given(scenes(rows=many_rows), st.randoms(use_true_random=False), seeds)
def test_permuting_scaling_and_shifting_features_commutes_with_an_update(scene, random, seed):
    rng = np.random.default_rng(seed)
    d = scene.values.shape[1]
    matrix = np.diag(10.0 ** rng.uniform(-3, 3, size=d))[random.sample(range(d), d)]
    shift = matrix.sum(axis=1) * rng.normal(scale=5, size=d)
    expected = mapped_mixture(step(scene), matrix, shift)
    assert_mixtures_agree(step(mapped(scene, matrix, shift)), expected, 1e-11)


@given(scenes(rows=many_rows, missing=(0.0,)), seeds)
def test_rotating_and_shearing_features_commutes_with_an_update(scene, seed):
    rng = np.random.default_rng(seed)
    d = scene.values.shape[1]
    matrix = random_covariances(rng, 1, d)[0] @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    shift = rng.normal(size=d)
    expected = mapped_mixture(step(scene), matrix, shift)
    assert_mixtures_agree(step(mapped(scene, matrix, shift)), expected, 1e-11)


@given(scenes(rows=many_rows, max_features=3, max_components=3), seeds)
def test_the_log_likelihood_never_falls(scene, seed):
    """From a start that is not the truth, over 30 updates, beyond rounding."""
    n, d = scene.values.shape
    assume(n >= 10 * scene.mixture.n_components * d)
    start = random_mixture(np.random.default_rng(seed), scene.mixture.n_components, d)
    chance = Scene(
        Mixture(start.amplitudes, start.means, 4 * start.covariances), scene.values, scene.noise, None
    )
    try:
        log_likelihoods = np.array(updated(chance, 30)[1])
    except CollapsedComponent:
        assume(False)
    assert len(log_likelihoods) == 31
    assert np.diff(log_likelihoods).min() >= -1e-13 * np.abs(log_likelihoods).max()
    assert log_likelihoods[-1] > log_likelihoods[0]


@settings(max_examples=15)
@given(scenes(rows=many_rows, max_components=3, max_features=3), st.integers(1, 300))
def test_any_chunks_give_the_same_fit(scene, chunk_rows):
    (whole, of_whole), (parts, of_parts) = updated(scene, 5), updated(scene, 5, chunk_rows)
    assert_mixtures_agree(parts, whole, 1e-12)
    assert of_parts == pytest.approx(of_whole, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_data_a_million_sigma_from_zero_keep_their_covariances(kind):
    """Rounding of x itself is 1e-10 sigma there; moments about zero would leave 1e-4."""
    scene = random_scene(11, n=300, d=3, k=2, kind=kind)
    shift = np.array([1e6, -1e6, 3e6])
    far = mapped(scene, np.eye(3), shift)
    near, away = updated(scene, 10)[0], updated(far, 10)[0]
    assert away.covariances == pytest.approx(near.covariances, abs=1e-9)
    assert away.means - shift == pytest.approx(near.means, abs=2e-9)


@pytest.mark.parametrize("unit", [1e-30, 1e-6, 1e30])
@pytest.mark.parametrize("kind", KINDS)
def test_fits_are_the_same_in_any_unit(kind, unit):
    scene = random_scene(12, n=300, d=3, k=2, kind=kind, missing=0.2)
    scaled = mapped(scene, unit * np.eye(3), np.zeros(3))
    last = updated(scaled, 10)[0]
    back = Mixture(last.amplitudes, last.means / unit, last.covariances / unit**2)
    assert_mixtures_agree(back, updated(scene, 10)[0], 1e-11)


@pytest.mark.parametrize("distance", [12.0, 1000.0])
def test_a_starved_component_keeps_its_mean_and_covariance(distance):
    """And the rest move as if it were not there, whether it holds exactly nothing or 1e-13 of a row."""
    scene = random_scene(13, n=200, d=2, k=2, kind="diagonal")
    mixture = scene.mixture
    lonely = Mixture(
        np.append(mixture.amplitudes * 0.9, 0.1),
        np.concatenate((mixture.means, scene.values.max(axis=0, keepdims=True) + distance)),
        np.concatenate((mixture.covariances, [np.eye(2)])),
    )
    three = Scene(lonely, scene.values, scene.noise, None)
    statistics = summarize_samples(Population(lonely), three.samples)
    after = step(three)
    assert statistics.zeroth[2] < 1e-10
    assert (statistics.zeroth[2] > 0) == (distance == 12)
    assert starved(statistics).tolist() == [False, False, True]
    assert np.array_equal(after.means[2], lonely.means[2])
    assert np.array_equal(after.covariances[2], lonely.covariances[2])
    assert after.amplitudes[2] == pytest.approx(0, abs=1e-12)
    without = step(scene)
    assert after.means[:2] == pytest.approx(without.means, rel=1e-12)
    events = events_of(Population(lonely), statistics, constraints_of(lonely))
    assert events == ("component 2 holds no rows any more: its mean and covariance stay as they are",)


def test_a_component_that_collapses_is_named():
    """The first feature has no spread: the covariance of component 1 would be singular."""
    rng = np.random.default_rng(0)
    values = np.concatenate((rng.normal(size=(50, 2)), [[100.0, 100.0]]))
    mixture = Mixture([0.9, 0.1], [[0.0, 0.0], [100.0, 100.0]], [np.eye(2), np.eye(2)])
    with pytest.raises(CollapsedComponent, match="component 1 ") as caught:
        updated(Scene(mixture, values, Noise.none(), None), 50)
    assert caught.value.component == 1
    assert caught.value.rows == pytest.approx(1, abs=1e-6)


def test_noise_keeps_a_component_of_one_row_from_collapsing():
    rng = np.random.default_rng(0)
    values = np.concatenate((rng.normal(size=(50, 2)), [[100.0, 100.0]]))
    mixture = Mixture([0.9, 0.1], [[0.0, 0.0], [100.0, 100.0]], [np.eye(2), np.eye(2)])
    last = updated(Scene(mixture, values, Noise.shared(np.eye(2)), None), 50)[0]
    assert 0 < np.linalg.eigvalsh(last.covariances[1])[0] < 0.1
    assert last.means[1] == pytest.approx([100, 100])


def test_an_update_at_a_stationary_point_stays_there():
    mixture = random_mixture(np.random.default_rng(1), 3, 2)
    statistics = Statistics(10, 10.0, 0.0, 10 * mixture.amplitudes, np.zeros((3, 2)), np.zeros((3, 3)))
    after = maximize(Population(mixture), statistics, constraints_of(mixture))
    assert_mixtures_agree(after.mixture, mixture, 1e-15)
