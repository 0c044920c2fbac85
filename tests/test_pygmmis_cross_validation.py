"""Left-out rows are judged by the whole observation model."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.stats import norm

from dgmmis import pygmmis
from dgmmis.errors import InvalidSetting
from dgmmis.pygmmis import cross_validation
from pygmmis_models import blobs, gmm_of, line
from references import load_reference

EXACT = 1e-12


def test_stacks_are_those_of_pygmmis():
    case = load_reference("pygmmis_stack")
    gmms = [gmm_of(case[f"amp{i}"], case[f"mean{i}"], case[f"covar{i}"]) for i in (1, 2)]
    stacked = pygmmis.stack(gmms, [0.3, 0.7])
    for name in ("amp", "mean", "covar"):
        assert getattr(stacked, name) == pytest.approx(case[name], abs=EXACT)


def test_held_out_rows_are_judged_with_background_and_selection():
    gmm, background = line(), pygmmis.Background(([-5.0], [15.0]), amp=0.2)
    noise = np.where(np.arange(300) % 2, 0.25, 4.0)[:, None, None] * np.ones((1, 1, 1))
    rng = RandomState(13)
    complete = pygmmis.draw(gmm, 2000, background=background, rng=rng)[0]
    complete = complete[rng.permutation(2000)]
    kept = complete + np.sqrt(np.resize(noise[:, 0], complete.shape)) * rng.standard_normal(complete.shape)
    where = np.flatnonzero(kept[:, 0] < 8)[:300]
    data, noise = kept[where], np.resize(noise, (2000, 1, 1))[where]
    settings = {"init_method": "none", "maxiter": 0, "background": background}
    scores = pygmmis.cv_fit(
        gmm, data, L=3, covar=noise, sel_callback=lambda x: x[:, 0] < 8, rng=RandomState(0), **settings
    )
    spread = np.sqrt(1 + noise[:, 0])
    inside = np.linspace(-5, 15, 4001)
    seen = 0.8 * norm.cdf((8 - gmm.mean[:, 0]) / spread) @ gmm.amp
    seen += 0.2 * norm.cdf((8 - inside) / np.sqrt(noise[:, 0])).mean(axis=1)
    box = norm.cdf((15 - data) / np.sqrt(noise[:, 0])) - norm.cdf((-5 - data) / np.sqrt(noise[:, 0]))
    density = 0.8 * norm.pdf(data, gmm.mean[:, 0], spread) @ gmm.amp + 0.2 * box[:, 0] / 20
    assert scores == pytest.approx(np.log(density / seen), abs=2e-3)
    without = pygmmis.cv_fit(gmm, data, L=3, covar=noise, rng=RandomState(0), **settings)
    assert without == pytest.approx(np.log(density), abs=1e-9)


def test_held_out_rows_are_judged_by_their_own_completeness():
    def chance(x):
        return np.where(x[:, 0] < 5, 0.25, 1.0)

    data = line().draw(100, RandomState(1))
    scores = pygmmis.cv_fit(line(), data, L=2, init_method="none", maxiter=0, sel_callback=chance)
    expected = line().logL(data) + np.log(chance(data)) - np.log(0.8 * 0.25 + 0.2)
    assert scores == pytest.approx(expected, abs=1e-4)


def test_no_row_is_judged_by_a_fit_that_saw_it():
    data = blobs().draw(60, RandomState(14))
    gmm = blobs()
    scores = pygmmis.cv_fit(gmm, data, L=4, init_method="none", w=0.1, rng=RandomState(1))
    assert np.array_equal(gmm.mean, blobs().mean)
    part = np.arange(60) % 4
    trial = blobs()
    pygmmis.fit(trial, data[part != 2], init_method="none", w=0.1)
    assert scores[part == 2] == pytest.approx(trial.logL(data[part == 2]), abs=EXACT)
    with pytest.raises(InvalidSetting, match="parts from 2"):
        pygmmis.cv_fit(gmm, data, L=1)


@pytest.mark.parametrize("init_method", ["random", "kmeans", "none"])
def test_fits_that_share_their_passes_are_those_made_one_after_the_other(init_method):
    rng = RandomState(3)
    noise = np.where(np.arange(200) % 3, 0.1, 0.6)[:, None, None] * np.eye(2)
    data = blobs().draw(200, rng) + np.sqrt(noise[:, 0, :1]) * rng.standard_normal((200, 2))
    data[::9, 1] = np.nan
    settings = {"covar": noise, "w": 0.05, "init_method": init_method, "miniter": 3, "frozen": {"amp": [1]}}
    settings["background"] = pygmmis.Background(([-9.0, -9.0], [9.0, 9.0]), amp=0.1)
    together = cross_validation._fitted_together(blobs(), data, 3, 5, dict(settings))
    apart = list(cross_validation._fitted_apart(blobs(), data, 3, 5, dict(settings)))
    for one, other in zip(together, apart, strict=True):
        assert one.mixture.means == pytest.approx(other.mixture.means, abs=1e-9)
        assert one.mixture.covariances == pytest.approx(other.mixture.covariances, abs=1e-9)
        assert one.background_amplitudes == pytest.approx(other.background_amplitudes, abs=1e-9)
    assert not np.array_equal(together[0].mixture.means, together[1].mixture.means)
    assert settings["background"].amp == 0.1


def test_an_argument_that_fit_does_not_have_is_refused():
    with pytest.raises(TypeError, match="maxitre"):
        pygmmis.cv_fit(blobs(), blobs().draw(20, RandomState(0)), L=2, maxitre=3)


def test_stacking_weighs_models_by_what_they_predict():
    data = blobs().draw(400, RandomState(15))
    good, poor = blobs(), gmm_of([1.0], [[20.0, 20.0]], [np.eye(2)])
    frozen = {"frozen": {"mean": [0], "covar": [0]}}
    settings = [{"init_method": "none"}, {"init_method": "none", **frozen}]
    stacked = pygmmis.stack_fit([good, poor], data, settings, L=4, rng=RandomState(2))
    assert stacked.K == 3
    assert stacked.amp[2] == pytest.approx(0, abs=1e-6)
    assert stacked.amp.sum() == pytest.approx(1, abs=EXACT)
    assert stacked.mean[:2] == pytest.approx(good.mean)
