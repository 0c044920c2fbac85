"""Figures: their numbers against brute force, and that no input breaks them."""

from __future__ import annotations

import importlib
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from dgmmis.errors import MissingLibrary
from dgmmis.fit_result import Scan
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.plots import (
    as_png,
    as_svg,
    component_colors,
    draw_amplitudes,
    draw_convergence,
    draw_corner,
    draw_missing_patterns,
    draw_starts,
)
from dgmmis.plots.corner_content import corner_features, prepare_corner
from dgmmis.plots.ellipses import ellipse
from dgmmis.plots.marginals import (
    convolved_density,
    median_noise,
    noise_classes,
    noise_variances,
)
from dgmmis.rows import Rows
from strategies import KINDS, random_mixture, random_scene

HOSTILE = ("$\\frac{", "a_b^c\\n\t\x00", "<script>alert(1)</script>" * 5)


def rows_of(seed: int, **scene: object) -> tuple[Model, Rows]:
    made = random_scene(seed, **scene)  # type: ignore[arg-type]
    return Model(made.mixture), Rows(made.values, made.noise, made.weights)


def brute_force(points: np.ndarray, mixture: Mixture, rows: Rows, feature: int) -> np.ndarray:
    """Average over the rows that observed the feature, one row and one component at a time."""
    covariances = rows.noise.covariances(len(rows), rows.n_features)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    total, weight = np.zeros(len(points)), 0.0
    for row in np.flatnonzero(~np.isnan(rows.values[:, feature])):
        weight += weights[row]
        for amplitude, mean, covariance in zip(
            mixture.amplitudes, mixture.means, mixture.covariances, strict=True
        ):
            deviation = np.sqrt(covariance[feature, feature] + covariances[row, feature, feature])
            total += weights[row] * amplitude * norm.pdf(points, mean[feature], deviation)
    return total / weight


def blurred(points: np.ndarray, mixture: Mixture, rows: Rows, feature: int, **classes: int) -> np.ndarray:
    present = ~np.isnan(rows.values[:, feature])
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    noise = noise_classes(noise_variances(rows, feature, present), weights[present], **classes)
    return convolved_density(
        points, mixture.amplitudes, mixture.means[:, feature], mixture.covariances[:, feature, feature], noise
    )


@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from((0.0, 0.5)), st.booleans())
def test_the_blurred_marginal_equals_brute_force_and_integrates_to_one(
    seed: int, kind: str, missing: float, weighted: bool
) -> None:
    model, rows = rows_of(seed, n=40, d=3, kind=kind, missing=missing, weighted=weighted)
    points = np.linspace(-60, 60, 2001)
    for feature in range(3):
        density = blurred(points, model.mixture, rows, feature)
        expected = brute_force(points, model.mixture, rows, feature)
        np.testing.assert_allclose(density, expected, rtol=1e-10, atol=1e-14)
        assert np.trapezoid(density, points) == pytest.approx(1, abs=1e-9)


def test_gathering_many_rows_into_few_classes_hardly_changes_the_marginal() -> None:
    model, rows = rows_of(1, n=3000, d=1, kind="diagonal")
    points = np.linspace(-12, 12, 101)
    expected = brute_force(points, model.mixture, rows, 0)
    gathered = blurred(points, model.mixture, rows, 0)
    assert len(np.unique(rows.noise.array)) > 256
    assert np.abs(gathered - expected).max() < 1e-5 * expected.max()
    assert (
        np.abs(blurred(points, model.mixture, rows, 0, n_classes=2) - expected).max() > 1e-3 * expected.max()
    )


@given(st.integers(0, 10**6), st.integers(1, 2000), st.integers(1, 40))
def test_noise_classes_keep_the_mean_variance(seed: int, n_rows: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    variances, weights = rng.exponential(size=n_rows) ** 4, rng.uniform(0.1, 3, size=n_rows)
    classes = noise_classes(variances, weights, n_classes=n_classes)
    assert len(classes.variances) <= max(n_classes, 1)
    assert classes.shares.sum() == pytest.approx(1, rel=1e-12)
    assert classes.shares @ classes.variances == pytest.approx(
        np.average(variances, weights=weights), rel=1e-10
    )


@given(st.integers(0, 10**6), st.sampled_from(("shared", "diagonal", "full")))
def test_the_typical_noise_of_every_pair_is_a_covariance(seed: int, kind: str) -> None:
    _, rows = rows_of(seed, n=80, d=4, kind=kind, missing=0.4)
    typical = median_noise(rows)
    assert typical is not None
    for i in range(4):
        for j in range(i):
            assert np.linalg.eigvalsh(typical[np.ix_([i, j], [i, j])])[0] >= -1e-12


def test_the_typical_noise_of_equal_rows_is_their_noise() -> None:
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    rows = Rows(np.zeros((50, 2)), Noise.full(np.broadcast_to(covariance, (50, 2, 2))))
    np.testing.assert_allclose(median_noise(rows), covariance, rtol=1e-12)


@given(st.integers(0, 10**6), st.sampled_from((1.0, 2.0)))
def test_an_ellipse_lies_at_its_mahalanobis_distance(seed: int, radius: float) -> None:
    mixture = random_mixture(np.random.default_rng(seed), 1, 2)
    offset = ellipse(mixture.means[0], mixture.covariances[0], radius) - mixture.means[0]
    distance = np.einsum("nd,de,ne->n", offset, np.linalg.inv(mixture.covariances[0]), offset)
    np.testing.assert_allclose(distance, radius**2, rtol=1e-9)


def test_a_lone_outlier_does_not_shrink_the_panels() -> None:
    model, rows = rows_of(3, n=3000, d=2)
    far = Rows(np.vstack([rows.values, [[1e9, -1e9]]]), rows.noise)
    ranges, with_outlier = prepare_corner(model, rows).spans, prepare_corner(model, far)
    np.testing.assert_allclose(with_outlier.spans, ranges, rtol=0.05)
    assert with_outlier.n_outside >= 1


def test_notable_components_are_in_sight_even_where_few_rows_lie() -> None:
    mixture = Mixture([0.97, 0.03], [[0.0], [30.0]], [[[1.0]], [[1.0]]])
    rng = np.random.default_rng(0)
    low, high = prepare_corner(Model(mixture), Rows(mixture.draw(4000, rng), Noise.none())).spans[0]
    assert low < -2
    assert high > 31


def test_of_many_features_those_are_drawn_that_tell_the_components_apart() -> None:
    means = np.zeros((2, 9))
    means[1, [0, 2, 3, 5, 6, 8]] = 5.0
    model = Model(Mixture([0.5, 0.5], means, np.stack([np.eye(9)] * 2)))
    assert corner_features(model, None) == [0, 2, 3, 5, 6, 8]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("d", "k"), [(1, 2), (2, 1), (3, 12), (7, 35)])
def test_corners_of_all_sizes_and_noises_can_be_drawn(kind: str, d: int, k: int) -> None:
    model, rows = rows_of(5, n=120, d=d, k=k, kind=kind, missing=0.3)
    figure = draw_corner(model, rows)
    drawn = min(d, 6)
    panels = drawn * (drawn + 1) // 2
    assert len(figure.axes) >= panels + 1


@pytest.mark.parametrize("names", [HOSTILE, ("x", "y", "z")])
def test_names_are_drawn_literally_whatever_they_hold(names: tuple[str, ...]) -> None:
    made, rows = rows_of(2, n=50, d=3, kind="diagonal", missing=0.2)
    figure = draw_corner(Model(made.mixture, names, ("$^", "", "_")), rows)
    assert as_png(figure, dpi=50).startswith(b"\x89PNG")
    assert not any(axes.xaxis.label.get_parse_math() for axes in figure.axes if axes.get_xlabel())
    patterns = draw_missing_patterns(names, [((), 10), ((names[0],), 3), (names, 1)])
    assert b"<svg" in as_svg(patterns)


def test_degenerate_rows_and_components_can_be_drawn() -> None:
    mixture = Mixture([0.5, 0.5], [[0.0, 1e7], [0.0, 1e7]], np.zeros((2, 2, 2)))
    rows = Rows(np.array([[0.0, 1e7], [0.0, np.nan], [np.nan, np.nan]]), Noise.diagonal(np.ones((3, 2))))
    assert as_png(draw_corner(Model(mixture), rows), dpi=50)


def test_ten_components_have_colours_of_their_own_and_the_largest_the_first() -> None:
    amplitudes = np.array([0.1, 0.5, 0.4])
    colors = component_colors(amplitudes)
    assert colors[1] == component_colors([0.9, 0.1])[0]
    for k in (1, 10, 11, 60):
        assert len(set(component_colors(np.full(k, 1 / k)))) == k


def scans(gains: list[float], predicted: list[float]) -> list[Scan]:
    return [
        Scan(n, -100.0 + n, -1.0, gain, p, ())
        for n, (gain, p) in enumerate(zip(gains, predicted, strict=True))
    ]


@pytest.mark.parametrize("n_passes", [1, 2, 6])
def test_histories_of_any_length_can_be_drawn_and_what_is_unknown_is_left_out(n_passes: int) -> None:
    gains = [np.inf, 5.0, 2.0, -1.0, 1.0, 0.5][:n_passes]
    predicted = [np.inf, np.inf, np.inf, np.inf, 3.0, 1.0][:n_passes]
    figure = draw_convergence(scans(gains, predicted), 0.1, resumed=[1])
    assert as_svg(figure)
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[1].lines}
    assert ("predicted remaining gain" in drawn) == (n_passes == 6)
    if n_passes == 6:
        np.testing.assert_array_equal(drawn["gain of a pass"], [np.nan, 5, 2, np.nan, 1, 0.5])


def test_starts_that_collapsed_and_amplitudes_of_one_pass_can_be_drawn() -> None:
    assert as_svg(draw_starts([-1.0, float("nan"), -1.0], 2))
    assert as_svg(draw_amplitudes({4: np.array([0.999, 0.001, 0.0])}))


def test_patterns_beyond_the_most_frequent_are_summed_up() -> None:
    names = tuple("abcde")
    patterns = [(tuple(n for j, n in enumerate(names) if code >> j & 1), 1000 - code) for code in range(32)]
    figure = draw_missing_patterns(names, patterns)
    widths = [bar.get_width() for bar in figure.axes[1].patches]
    assert sum(widths) == sum(rows for _, rows in patterns)
    assert len(widths) < 32
    assert any("18 other patterns" in text.get_text() for text in figure.axes[0].texts)


def test_equal_figures_give_equal_bytes_and_the_users_settings_stay() -> None:
    model, rows = rows_of(4, n=80, d=2, kind="full")
    before = dict(matplotlib.rcParams)
    first, second = (as_svg(draw_corner(model, rows)) for _ in range(2))
    assert first == second
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("package", "absent"), [("dgmmis.plots", "matplotlib"), ("dgmmis.html_report", "jinja2")]
)
def test_without_its_library_a_surface_says_what_to_install(
    package: str, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(package) or name.startswith(f"{absent}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingLibrary, match=r'pip install "dgmmis\[report\]"'):
        importlib.import_module(package)
