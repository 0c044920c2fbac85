"""Marginals of selected rows: what a panel says the histogram should be is what the model says it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import dgmmis
from dgmmis.background import Background
from dgmmis.density_background import DensityBackground
from dgmmis.noise import Noise
from dgmmis.plots import Observing, as_png, draw_corner
from dgmmis.plots.corner_content import prepare_corner
from dgmmis.plots.marginals import NoiseClasses
from dgmmis.plots.observed_rows import observe
from dgmmis.plots.one_feature import OneFeature
from dgmmis.rows import Rows
from dgmmis.selection import Ball, Box

MIXTURE = dgmmis.Mixture([0.6, 0.4], [[0.0, 1.0], [3.0, -1.0]], [np.eye(2), [[0.4, 0.2], [0.2, 0.5]]])
BOX = Background(([-4.0, -5.0], [6.0, 5.0]), amplitude=0.3)
NAMES = ("a", "b")


def bump(values: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Evaluate a Gaussian density about (1, 0), of the features that are there."""
    widths = np.sqrt(4 + np.diagonal(covariances, axis1=1, axis2=2))
    return np.exp(np.nansum(norm.logpdf(values, [1.0, 0.0], widths), axis=1))


def sample(
    selection: dgmmis.selection.Selection, n_rows: int = 3_000, **more: object
) -> tuple[dgmmis.Model, Rows]:
    """A model and rows of it, each with noise of its own, as the selection leaves them."""
    rng = np.random.default_rng(5)
    model = dgmmis.Model(MIXTURE, NAMES, selection=selection, **more)
    noise = Noise.diagonal(rng.uniform(0.01, 0.8, (n_rows, 2)))
    return model, Rows(model.draw(n_rows, rng, noise=noise, selection=selection), noise)


@pytest.mark.parametrize("background", [BOX, DensityBackground(bump, amplitude=0.3)])
def test_one_feature_with_its_background_is_the_marginal_of_the_model(background: object) -> None:
    model = dgmmis.Model(MIXTURE, NAMES, backgrounds=(background,))
    points, classes = np.linspace(-8, 9, 40), NoiseClasses(np.array([0.2, 1.5]), np.array([0.3, 0.7]))
    one = OneFeature.of(model, 1, 1e-9)
    rows = np.column_stack([np.full(len(points), np.nan), points])
    np.testing.assert_allclose(one.density(points), np.exp(model.log_density(rows)), rtol=1e-12)
    blurred = sum(
        share * np.exp(model.log_density(rows, Noise.diagonal(np.full(rows.shape, variance))))
        for variance, share in zip(classes.variances, classes.shares, strict=True)
    )
    np.testing.assert_allclose(one.convolved(points, classes), blurred, rtol=1e-11)


def test_a_cut_density_is_each_rows_own_behind_the_cut() -> None:
    one = OneFeature(np.array([0.7, 0.3]), np.array([0.0, 2.0]), np.array([1.0, 0.2]))
    classes, side = NoiseClasses(np.array([0.1, 2.0]), np.array([0.4, 0.6])), (0.5, np.inf)
    points = np.linspace(-3, 14, 20_001)
    density = one.cut(points, classes, side)
    assert (density[points < 0.5] == 0).all()
    assert np.trapezoid(density, points) == pytest.approx(1, abs=2e-3)
    single = one.cut(points, NoiseClasses(np.zeros(1), np.ones(1)), side)
    kept = 0.7 * norm.sf(0.5) + 0.3 * norm.sf(0.5, 2, np.sqrt(0.2))
    there = points >= 0.5
    np.testing.assert_allclose(single[there], one.density(points)[there] / kept, rtol=1e-10)


@pytest.mark.parametrize("before_noise", [False, True])
def test_drawn_rows_have_the_samples_noise_and_went_through_the_selection(before_noise: bool) -> None:
    model, rows = sample(Ball([0.0, 0.0], 2.0))
    rows.values[:700, 1] = np.nan
    observed = observe(model, rows, Observing(0.5, before_noise))
    again = observe(model, rows, Observing(0.5, before_noise))
    assert observed.drawn is not None
    assert len(observed.drawn) == 50_000
    np.testing.assert_array_equal(observed.drawn.values, again.drawn.values)
    np.testing.assert_array_equal(np.isnan(observed.drawn.values[:3_000]), np.isnan(rows.values))
    whole = ~np.isnan(observed.drawn.values[:, 1])
    beyond = np.hypot(*observed.drawn.values[whole].T) > 2
    assert beyond.any() == before_noise  # noise carries rows out of what cut their noise-free values


def test_the_exact_curve_is_used_only_where_a_box_cuts_that_feature_alone() -> None:
    model, rows = sample(Box.of(a=(0, None), b=(None, None)))
    assert observe(model, rows, Observing(0.7)).cut == {0: (0, np.inf)}
    assert observe(model, rows, Observing(0.7, before_noise=True)).cut == {}
    for selection in (Box.of(a=(0, None), b=(-2, 2)), Ball([0, 0], 3.0), Box.of(a=(0, 1)) | Box.of(a=(2, 3))):
        assert observe(*sample(selection), Observing(0.7)).cut == {}
    assert observe(*sample(Box.of(a=(0, None)), backgrounds=(BOX,)), Observing(0.7)).cut == {}


def test_drawn_and_exact_curves_agree_with_the_sample_they_describe() -> None:
    """The exact curve of `a`, the drawn one of `a`, and the sample itself, bin by bin."""
    model, rows = sample(Box.of(a=(0, 2.5)), n_rows=20_000)
    observed = observe(model, rows, Observing(0.5))
    edges = np.linspace(0, 2.5, 11)
    one = OneFeature.of(model, 0, 1e-9)
    classes = NoiseClasses(rows.noise.array[:500, 0], np.full(500, 1 / 500))
    points = np.linspace(0, 2.5, 1_001)
    exact = one.cut(points, classes, (0, 2.5))
    expected = np.array([np.trapezoid(exact[k : k + 101], points[k : k + 101]) for k in range(0, 1_000, 100)])
    for values in (rows.values, observed.drawn.values):
        shares = np.histogram(values[:, 0], edges)[0] / len(values)
        error = np.sqrt(expected * (1 - expected) / len(values) + (0.02 * expected) ** 2)  # 500 rows' noise
        assert (np.abs(shares - expected) < 4 * error).all()


def test_a_selection_that_keeps_next_to_nothing_is_said_and_drawn_without() -> None:
    _, rows = sample(Ball([0.0, 0.0], 2.0))
    blind = dgmmis.Model(MIXTURE, NAMES, selection=Ball([300.0, 0.0], 1.0))
    observed = observe(blind, rows, Observing(1e-9))
    assert observed.drawn is None
    assert "keeps too few" in observed.problem
    assert as_png(draw_corner(blind, rows, Observing(0.5)), dpi=40)


@pytest.mark.parametrize("selection", [Box.of(a=(0, None)), Ball([0, 0], 2.0)])
def test_the_range_reaches_beyond_the_cut_and_the_figure_is_drawn(selection: object) -> None:
    model, rows = sample(selection, backgrounds=(BOX,))
    corner = prepare_corner(model, rows, Observing(0.5))
    assert corner.spans[0][0] < min(-0.5, np.nanmin(rows.values[:, 0]))
    assert prepare_corner(model, rows).observed is None
    figure = draw_corner(model, rows, Observing(0.5))
    words = [
        text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()
    ]
    assert {"complete model without noise", "model as these rows were observed", "background: 30.0 %"} <= set(
        words
    )


def test_of_many_features_the_drawn_ones_keep_their_selection() -> None:
    rng = np.random.default_rng(0)
    wide = dgmmis.Mixture([0.5, 0.5], np.vstack([np.zeros(8), np.arange(8.0)]), np.tile(np.eye(8), (2, 1, 1)))
    model = dgmmis.Model(wide, selection=Box.of(x7=(0, None)))
    rows = Rows(model.draw(500, rng, selection=model.selection), Noise.none())
    corner = prepare_corner(model, rows, Observing(0.8))
    assert corner.model.features == ("x2", "x3", "x4", "x5", "x6", "x7")
    assert corner.observed.cut == {5: (0, np.inf)}
    assert corner.observed.drawn.values.shape[1] == 6
