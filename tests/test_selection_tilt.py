"""Laws of tilting: against quadrature in one and two variables, against Monte Carlo in three."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from dgmmis.errors import SelectionError
from dgmmis.selection import Ball, Box, Callback, HalfSpace, Polygon, Selection, Tilt, is_exact, tilt

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
NAN = np.nan


def composite(low: float, high: float, cuts: list[float], panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre panels between `low` and `high`, broken at `cuts`."""
    edges = np.unique(
        np.concatenate([np.linspace(low, high, panels + 1), [c for c in cuts if low < c < high]])
    )
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (NODES + 1)).ravel(), (half * WEIGHTS).ravel()


def moments(points: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    total = max(weights.sum(), 1e-300)
    mean = weights @ points / total
    off = points - mean
    return total, mean, (off * weights[:, None]).T @ off / total


def quadrature(omega, mean, covariance, cuts, panels=60):
    """Brute-force moments of N(mean, covariance) omega in one or two variables, by whitened tensor quadrature."""
    scale = np.sqrt(np.diag(covariance))
    axes = [composite(m - 11 * s, m + 11 * s, c, panels) for m, s, c in zip(mean, scale, cuts, strict=True)]
    grids = np.meshgrid(*(nodes for nodes, _ in axes), indexing="ij")
    points = np.stack([grid.ravel() for grid in grids], axis=1)
    weights = axes[0][1] if len(axes) == 1 else np.outer(axes[0][1], axes[1][1]).ravel()
    off = points - mean
    exponent = -0.5 * np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
    density = np.exp(exponent) / np.sqrt(np.linalg.det(2 * np.pi * np.asarray(covariance)))
    return moments(points, weights * density * omega(points))


def tilt_one(selection: Selection, values, mean, covariance, **settings) -> Tilt:
    """Tilt a single row of features x, y, z."""
    bound = selection.bind(["x", "y", "z"][: len(values)])
    return tilt(bound, np.array([values]), np.array([mean]), np.array([covariance]), **settings)


def assert_agrees(found: Tilt, expected, within: float) -> None:
    probability, mean, covariance = expected
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.probability[0], probability, rtol=within)
    np.testing.assert_allclose((found.means[0] - mean) / scale, 0, atol=within)
    np.testing.assert_allclose((found.covariances[0] - covariance) / np.outer(scale, scale), 0, atol=within)


@given(
    st.floats(-3, 3),
    st.floats(0.05, 4),
    st.floats(-4, 4),
    st.floats(0.05, 3),
    st.sampled_from(["in", "out", "up"]),
)
def test_one_uncertain_column_has_the_moments_of_quadrature(mean, sigma, low, width, kind):
    inner = Box([low], [low + width])
    selection = {"in": inner, "out": ~inner, "up": HalfSpace([-2.0], -2 * low)}[kind]
    bound = selection.bind(["x"])
    expected = quadrature(bound.evaluate, [mean], [[sigma**2]], [[low, low + width]])
    found = tilt_one(selection, [NAN], [mean], [[sigma**2]])
    if found.probability[0] > 1e-20:  # farther out the grid of the quadrature ends
        assert_agrees(found, expected, 1e-9)


@pytest.mark.parametrize("distance", [8.0, 20.0, 37.0])
def test_far_tails_keep_their_relative_accuracy(distance):
    steps, weights = composite(0, 60 / distance, [], 40)
    density = weights * np.exp(-distance * steps - steps**2 / 2)
    total, mean, covariance = moments(steps[:, None], density)
    factor = np.exp(-(distance**2) / 2) / np.sqrt(2 * np.pi)
    for sign in (1.0, -1.0):
        found = tilt_one(HalfSpace([sign], distance), [NAN], [0.0], [[1.0]])
        expected = total * factor, sign * (distance + mean), covariance
        assert 0 < found.probability[0] < 1e-14
        assert_agrees(found, expected, 1e-11)


def test_what_underflows_still_has_a_logarithm_and_moments():
    found = tilt_one(Box([100.0], [None]), [NAN], [0.0], [[1.0]])
    assert found.probability[0] == 0
    # Mills' ratio to three terms: Q(x) = phi(x) / x (1 - 1/x^2 + 3/x^4)
    assert found.log_probability[0] == pytest.approx(
        -5000 - np.log(100 * np.sqrt(2 * np.pi)) + np.log1p(-1e-4 + 3e-8), abs=1e-10
    )
    assert found.means[0, 0] == pytest.approx(100.01, abs=1e-5)


@given(
    st.floats(-0.9, 0.9),
    st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    st.floats(0.1, 3),
    st.sampled_from(["in", "out", "either"]),
)
def test_two_uncertain_columns_have_the_moments_of_quadrature(rho, numbers, scale, kind):
    low, mean = np.array(numbers[:2]), np.array(numbers[2:])
    high = low + np.array([1.0, 0.3])
    covariance = np.array([[1.0, rho * scale], [rho * scale, scale**2]])
    box = Box(low, high)
    selection = {"in": box, "out": ~box, "either": box | HalfSpace([1.0, 0.0], high[0])}[kind]
    assert is_exact(selection.bind(["x", "y"]), [0, 1])
    found = tilt_one(selection, [NAN, NAN], mean, covariance)
    assert found.standard_error[0] == 0
    bound = selection.bind(["x", "y"])
    cuts = [[low[0], high[0]], [low[1], high[1]]]
    expected = quadrature(bound.evaluate, mean, covariance, cuts, panels=18)
    if found.probability[0] > 1e-12:
        assert_agrees(found, expected, 1e-8)


def test_a_corner_is_exact_to_ten_digits():
    covariance = np.array([[1.0, 0.7], [0.7, 2.0]])
    selection = Box([0.3, -1.0], [None, 0.4])
    cuts = [[0.3], [-1.0, 0.4]]
    expected = quadrature(selection.bind(["x", "y"]).evaluate, [0.1, -0.2], covariance, cuts, panels=24)
    assert_agrees(tilt_one(selection, [NAN, NAN], [0.1, -0.2], covariance), expected, 1e-10)


@pytest.mark.parametrize("rho", [0.999, -0.999999])
def test_corners_of_strong_correlation_agree_with_fine_panels(rho):
    low, high, spread = [-0.5, 0.2], [1.5, 1.1], np.sqrt(1 - rho**2)
    edges = [limit / rho for limit in (low[1], high[1])]
    around = [edge + spread * step for edge in edges for step in np.linspace(-9, 9, 19)]
    x, weights = composite(low[0], high[0], around, 20)
    below, above = ((limit - rho * x) / spread for limit in (low[1], high[1]))
    weights = weights * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    mass = ndtr(above) - ndtr(below)
    total = (weights * mass).sum()
    # E[y; cut] = rho x mass + spread (phi(below) - phi(above))
    density = [np.exp(-(side**2) / 2) / np.sqrt(2 * np.pi) for side in (below, above)]
    means = [
        (weights * x * mass).sum(),
        (weights * (rho * x * mass + spread * (density[0] - density[1]))).sum(),
    ]
    found = tilt_one(Box(low, high), [NAN, NAN], [0.0, 0.0], [[1.0, rho], [rho, 1.0]])
    np.testing.assert_allclose(found.probability[0], total, rtol=1e-9)
    np.testing.assert_allclose(found.means[0], np.array(means) / total, rtol=1e-8)


def test_a_corner_far_out_has_the_asymptotic_mass():
    distance, rho = 25.0, 0.5
    found = tilt_one(Box([distance] * 2, [None] * 2), [NAN, NAN], [0.0, 0.0], [[1.0, rho], [rho, 1.0]])
    # Laplace at the corner: density there over the product of the two slopes, up to 1 / distance^2.
    slope = distance / (1 + rho)
    log_density = -(distance**2) / (1 + rho) - np.log(2 * np.pi * np.sqrt(1 - rho**2))
    assert found.log_probability[0] == pytest.approx(log_density - 2 * np.log(slope), abs=3 / distance**2 * 3)
    np.testing.assert_allclose(found.means[0] - distance, 1 / slope, rtol=0.02)


def test_nearly_singular_corners_approach_the_singular_one():
    box = Box([-0.5, 0.2], [1.5, 3.6])
    singular = tilt_one(box, [NAN, NAN], [0.0, 0.0], [[1.0, 2.0], [2.0, 4.0]])
    line = tilt_one(Box([0.1], [1.5]), [NAN], [0.0], [[1.0]])
    np.testing.assert_allclose(singular.probability, line.probability, rtol=1e-13)
    np.testing.assert_allclose(singular.means[0], line.means[0, 0] * np.array([1, 2]), rtol=1e-12)
    for spread in (1e-2, 1e-4, 1e-6):
        near = tilt_one(box, [NAN, NAN], [0.0, 0.0], [[1.0, 2.0], [2.0, 4.0 + spread**2]])
        # To first order in the spread only the blurred face moves, symmetrically: the change is of second order.
        assert abs(near.probability[0] - singular.probability[0]) < spread**2 + 1e-9
        np.testing.assert_allclose(near.covariances, singular.covariances, atol=2 * spread**2 + 1e-8)


@given(st.floats(-1, 1), st.floats(0.1, 2))
def test_a_certain_column_counts_as_known(certain, variance):
    box = Box([-0.5, -0.2], [0.6, 1.0])
    covariance = [[0.0, 0.0], [0.0, variance]]
    found = tilt_one(box, [NAN, NAN], [certain, 0.3], covariance)
    known = tilt_one(box, [certain, NAN], [0.3], [[variance]])
    np.testing.assert_allclose(found.probability, known.probability, rtol=1e-14)
    np.testing.assert_allclose(found.means[0, 1], known.means[0, 0], rtol=1e-14)
    assert found.means[0, 0] == certain
    np.testing.assert_allclose(found.covariances[0, 1, 1], known.covariances[0, 0, 0], rtol=1e-12)


def test_known_columns_decide():
    bound = Box.of(x=(0, 1), y=(0, None)).bind(["x", "y"])
    values = np.array([[0.5, NAN], [2.0, NAN]])
    found = tilt(bound, values, np.zeros((2, 1)), np.ones((2, 1, 1)))
    np.testing.assert_allclose(found.probability, [0.5, 0], rtol=1e-15)
    assert found.means[1, 0] == 0
    assert found.covariances[1, 0, 0] == 1
    assert found.log_probability[1] == -np.inf


def test_certain_rows_and_nothing_uncertain_give_the_selection_itself():
    box = Box([0.0], [1.0])
    found = tilt(box.bind(["x"]), [[NAN]] * 2, [[0.5], [1.5]], np.zeros((2, 1, 1)))
    np.testing.assert_array_equal(found.probability, [1, 0])
    np.testing.assert_array_equal(found.means[:, 0], [0.5, 1.5])
    known = tilt(box.bind(["x"]), [[0.5], [1.5]], np.zeros((2, 0)), np.zeros((2, 0, 0)))
    np.testing.assert_array_equal(known.probability, [1, 0])


@given(st.lists(st.floats(-1, 1), min_size=9, max_size=9), st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_a_half_space_moves_along_one_direction_only(entries, normal):
    if np.abs(normal).max() < 0.1:
        return
    root = np.array(entries).reshape(3, 3)
    covariance, normal = root @ root.T + 0.1 * np.eye(3), np.array(normal)
    selection = HalfSpace(normal, 0.4)
    found = tilt_one(selection, [NAN] * 3, np.array([0.1, -0.2, 0.3]), covariance)
    along, mean = normal @ covariance @ normal, normal @ [0.1, -0.2, 0.3]
    one = tilt_one(HalfSpace([1.0], 0.4), [NAN], [mean], [[along]])
    gain = covariance @ normal / along
    np.testing.assert_allclose(found.probability, one.probability, rtol=1e-12)
    np.testing.assert_allclose(
        found.means[0], [0.1, -0.2, 0.3] + gain * (one.means[0, 0] - mean), rtol=1e-10, atol=1e-12
    )
    shrunk = covariance - np.outer(gain, gain) * (along - one.covariances[0, 0, 0])
    np.testing.assert_allclose(found.covariances[0], shrunk, rtol=1e-10, atol=1e-12)


def test_two_half_spaces_and_their_union_are_exact():
    either = HalfSpace([1.0, 1.0], 0.5) | ~HalfSpace([1.0, -2.0], -0.3)
    bound = either.bind(["x", "y"])
    assert is_exact(bound, [0, 1])
    # Turned so that both planes are faces: u = x + y, v = x - 2y.
    turn = np.array([[1.0, 1.0], [1.0, -2.0]])
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    faces = Box.of(u=(0.5, None)) | Box.of(v=(None, -0.3))
    turned = turn @ covariance @ turn.T
    probability, mean, spread = quadrature(
        faces.bind(["u", "v"]).evaluate, [0.0, 0.0], turned, [[0.5], [-0.3]], 24
    )
    back = np.linalg.inv(turn)
    found = tilt(bound, [[NAN, NAN]], [[0.0, 0.0]], [covariance])
    assert_agrees(found, (probability, back @ mean, back @ spread @ back.T), 1e-9)


THREE = np.array([[1.0, 0.5, 0.2], [0.5, 1.5, -0.4], [0.2, -0.4, 0.8]])


@pytest.mark.parametrize(
    "selection",
    [
        Box([-0.5, 0.0, -1.0], [1.0, None, 0.5]),
        ~Box([-0.5, 0.0, -1.0], [1.0, None, 0.5]),
        Ball([0.5, 0.5, 0.0], 1.2),
        Box.of(x=(0, None)) & Callback(lambda v: 1 / (1 + np.exp(-v[:, 0])), features=("y",)),
    ],
    ids=["box", "outside", "ball", "callback"],
)
def test_three_uncertain_columns_agree_with_monte_carlo(selection):
    bound, mean = selection.bind(["x", "y", "z"]), np.array([0.2, 0.1, -0.1])
    u = len(bound.columns)
    middle, covariance = mean[:u], THREE[:u, :u]
    n = 200_000
    drawn = np.random.default_rng(7).multivariate_normal(mean, THREE, n)
    weights = bound.evaluate(drawn)
    kept = drawn[:, :u]
    found = tilt(bound, np.full((1, u), NAN), [middle], [covariance], points=4096)
    assert not is_exact(bound, range(u))
    se = np.hypot(weights.std() / np.sqrt(n), found.standard_error[0])
    assert abs(found.probability[0] - weights.mean()) < 4 * se
    _, truth, spread = moments(kept, weights)
    effective = weights.sum() ** 2 / (weights**2).sum()
    scale = np.sqrt(np.diag(spread))
    # The sampled side adds at most its share of points, as plain draws would.
    se = np.sqrt(1 / effective + 1 / (4096 * found.probability[0]))
    assert (np.abs(found.means[0] - truth) / scale < 4 * se).all()
    assert (np.abs(found.covariances[0] - spread) / np.outer(scale, scale) < 4 * np.sqrt(2) * se).all()


def test_the_stated_standard_error_is_the_scatter_over_seeds():
    bound = Box([0.0] * 3, [1.0, 2.0, None]).bind(["x", "y", "z"])
    found = [tilt(bound, [[NAN] * 3], [[0.0] * 3], [THREE], points=64, seed=s) for s in range(60)]
    probabilities = np.array([f.probability[0] for f in found])
    stated = np.sqrt(np.mean([f.standard_error[0] ** 2 for f in found]))
    # Both are known to about 1 / sqrt(2 * 60) = 9 %; the errors of scrambles are not quite normal.
    assert 0.65 < probabilities.std(ddof=1) / stated < 1.5


@given(st.floats(-0.9, 0.9), st.floats(1e-6, 1e-4))
def test_sampled_boxes_change_smoothly_with_the_parameters(rho, step):
    bound = Box([0.0, -1.0, 0.5], [1.0, 1.0, None]).bind(["x", "y", "z"])
    covariance = np.eye(3) + rho / 2 * (1 - np.eye(3)) * [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    means = np.array([[-0.5 - step, 0, 0], [-0.5, 0, 0], [-0.5 + step, 0, 0]])
    found = tilt(bound, np.full((3, 3), NAN), means, np.array([covariance] * 3))
    bend = found.probability[0] - 2 * found.probability[1] + found.probability[2]
    assert abs(bend) < 2 * step**2 + 1e-14


def test_a_constant_selection_tilts_nothing():
    bound = Callback(lambda v: np.full(len(v), 0.25)).bind(["x", "y", "z"])
    found = tilt(bound, np.full((1, 3), NAN), [[1.0, 2.0, 3.0]], [THREE])
    np.testing.assert_allclose(found.probability, 0.25, rtol=1e-13)
    np.testing.assert_allclose(found.means[0], [1, 2, 3], rtol=1e-13)
    np.testing.assert_allclose(found.covariances[0], THREE, rtol=1e-12)


def test_sampled_rows_of_singular_covariance_stay_on_their_line():
    bound = Ball([0.0, 0.0], 1.0).bind(["x", "y"])
    found = tilt(bound, [[NAN, NAN]], [[0.3, 0.6]], [[[1.0, 2.0], [2.0, 4.0]]], points=1024)
    assert found.means[0, 1] == pytest.approx(2 * found.means[0, 0], rel=1e-12)
    assert found.covariances[0, 1, 1] == pytest.approx(4 * found.covariances[0, 0, 0], rel=1e-12)


def test_rows_do_not_depend_on_the_rows_beside_them(monkeypatch):
    rng = np.random.default_rng(3)
    means = rng.normal(size=(50, 2))
    for selection in (Box([0.0, 0.0], [1.0, None]), Ball([0.0, 0.0], 1.0)):
        bound = selection.bind(["x", "y"])
        whole = tilt(bound, np.full((50, 2), NAN), means, np.array([THREE[:2, :2]] * 50))
        monkeypatch.setattr("dgmmis.selection.tilting.SLAB_NUMBERS", 4096)
        slabs = tilt(bound, np.full((50, 2), NAN), means, np.array([THREE[:2, :2]] * 50))
        monkeypatch.undo()
        np.testing.assert_array_equal(whole.means, slabs.means)
        np.testing.assert_array_equal(whole.probability, slabs.probability)


def test_covariates_and_known_callbacks_weigh_exactly():
    dim = Callback(lambda v: v[:, 0], features=("depth",), name="depth")
    bound = (dim & Box.of(x=(0, None))).bind(["x"], ["depth"])
    found = tilt(bound, [[NAN]] * 2, [[0.0]] * 2, [[[1.0]]] * 2, covariates=[[0.2], [0.8]])
    np.testing.assert_allclose(found.probability, [0.1, 0.4], rtol=1e-14)
    assert is_exact(bound, [0])


def test_a_ball_leaves_one_uncertain_column_an_interval():
    ball = Ball([0.0, 1.0], 2.0)
    found = tilt_one(ball, [1.2, NAN], [0.3], [[0.5]])
    expected = tilt_one(Box([1 - 1.6], [1 + 1.6]), [NAN], [0.3], [[0.5]])
    np.testing.assert_allclose(found.means, expected.means, rtol=1e-12)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-12)


def test_polygons_are_sampled_and_agree_with_the_box_they_are():
    square = Polygon([[0, 0], [1, 0], [1, 1], [0, 1]], ("x", "y"))
    assert not is_exact(square.bind(["x", "y"]), [0, 1])
    exact = tilt_one(Box([0, 0], [1, 1]), [NAN, NAN], [0.5, 0.0], THREE[:2, :2])
    found = tilt_one(square, [NAN, NAN], [0.5, 0.0], THREE[:2, :2], points=4096)
    assert abs(found.probability[0] - exact.probability[0]) < 4 * found.standard_error[0]


def test_rows_of_different_patterns_are_refused():
    bound = Box([0, 0], [1, 1]).bind(["x", "y"])
    with pytest.raises(SelectionError, match="row 1 has other uncertain columns"):
        tilt(bound, [[NAN, 0.5], [0.5, NAN]], [[0.0]] * 2, [[[1.0]]] * 2)
    with pytest.raises(SelectionError, match=r"do not fit 1 rows with 1 uncertain"):
        tilt(bound, [[NAN, 0.5]], [[0.0, 0.0]], [[[1.0]]])
    with pytest.raises(SelectionError, match="power of 2"):
        tilt(bound, [[NAN, 0.5]], [[0.0]], [[[1.0]]], points=100)


def test_a_bad_answer_under_the_tilt_names_the_row():
    bound = Callback(lambda v: np.where(v[:, 1] > 5, 2.0, 0.5)).bind(["x", "y"])
    with pytest.raises(SelectionError, match=r"row 1 .*y = 9") as caught:
        tilt(bound, [[NAN, 0.0], [NAN, 9.0]], [[0.0]] * 2, [[[1.0]]] * 2)
    assert caught.value.row == 1
