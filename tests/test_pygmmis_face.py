"""What was written for pyGMMis runs on `dgmmis.pygmmis`, and the numbers are those of the likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.stats import norm

import dgmmis
from dgmmis import pygmmis
from dgmmis.errors import InvalidData, InvalidSetting
from pygmmis_models import below_six, blobs, gmm_of, line, trio
from references import load_reference

EXACT = 1e-12


@pytest.fixture(scope="module")
def readme() -> dict[str, object]:
    """Steps 1 to 9 of pyGMMis' README, in its words."""
    K, D = 3, 2
    data = pygmmis.draw(trio(), 1500, sel_callback=below_six, rng=RandomState(8))[0]
    test_coords = data[:5]
    # 1.
    gmm = pygmmis.GMM(K=K, D=D)
    # 2. and 3.
    cb = below_six
    # 4.
    dispersion = 0.1
    default_covar = np.eye(D) * dispersion**2
    covar_cb = lambda coords: default_covar  # noqa: E731
    # 5.
    footprint = data.min(axis=0), data.max(axis=0)
    bg = pygmmis.Background(footprint, amp=0.3)
    bg.amp_min = 0.1
    bg.amp_max = 0.5
    bg.adjust_amp = False
    # 7.
    frozen = {"amp": [1, 2], "mean": [], "covar": [1]}
    # 6. and 8.
    rng = RandomState(42)
    logL, U = pygmmis.fit(
        gmm,
        data,
        init_method="random",
        sel_callback=cb,
        covar_callback=covar_cb,
        w=0.1,
        cutoff=5,
        background=bg,
        tol=1e-3,
        frozen=frozen,
        rng=rng,
    )
    # 9.
    p = gmm(test_coords, as_log=False)
    samples = gmm.draw(1000)
    observed, covar_samples, N_orig = pygmmis.draw(
        gmm,
        len(data),
        sel_callback=cb,
        invert_sel=False,
        orig_size=None,
        covar_callback=covar_cb,
        background=bg,
    )
    return locals()


def test_the_steps_of_the_readme_run_unchanged(readme):
    gmm, bg, data = readme["gmm"], readme["bg"], readme["data"]
    assert np.isfinite(readme["logL"])
    assert gmm.amp.sum() + bg.amp == pytest.approx(1, abs=EXACT)
    assert bg.amp == 0.3
    assert gmm.amp[1:] == pytest.approx(0.7 / 3, abs=EXACT)
    assert [rows.dtype.kind for rows in readme["U"]] == ["i"] * 3
    assert readme["p"].shape == (5,)
    assert readme["samples"].shape == (1000, 2)
    assert (readme["observed"][:, 0] < 6).all()
    assert readme["covar_samples"].shape == (2, 2)
    assert readme["N_orig"] > len(readme["observed"]) == pytest.approx(len(data), abs=3 * np.sqrt(len(data)))


def test_the_likelihood_of_the_readme_is_the_conditional_one(readme):
    gmm, bg, data = readme["gmm"], readme["bg"], readme["data"]
    high = readme["footprint"][1][0]
    assert high < 6
    seen = norm.cdf((6 - gmm.mean[:, 0]) / np.sqrt(gmm.covar[:, 0, 0]))
    log_density = np.log(gmm(data) + bg.amp * bg.p)
    expected = log_density.mean() - np.log(gmm.amp @ seen + bg.amp)
    assert readme["logL"] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    "name", ["pygmmis_noisefree", "pygmmis_full_cov", "pygmmis_w0.3", "pygmmis_background"]
)
def test_one_update_is_pygmmis_but_for_its_covariance_about_the_old_mean(name):
    case = load_reference(name)
    noise = case.get("S")
    if noise is not None and noise.ndim == 2:
        noise = noise[:, :, None] * np.eye(noise.shape[1])
    settings = {"init_method": "none", "w": float(case.get("w", 0.0)), "tol": 0.0}
    gmm = gmm_of(case["amp0"], case["mean0"], case["covar0"])
    background = None
    if "footprint" in case:
        background = pygmmis.Background(tuple(case["footprint"]), amp=float(case["bg_amp0"]))
    start, _ = pygmmis.fit(gmm, case["X"], noise, maxiter=0, background=background, **settings)
    pygmmis.fit(gmm, case["X"], noise, maxiter=1, background=background, **settings)
    step, count = gmm.mean - case["mean0"], gmm.amp * len(case["X"])
    about_old = count / (count + 1) if settings["w"] else np.ones_like(count)
    covar = gmm.covar + about_old[:, None, None] * step[:, :, None] * step[:, None, :]
    assert start == pytest.approx(float(case["ll_n1"]), abs=EXACT)
    assert gmm.amp == pytest.approx(case["amp_n1"], abs=EXACT)
    assert gmm.mean == pytest.approx(case["mean_n1"], abs=EXACT)
    assert covar == pytest.approx(case["covar_n1"], abs=EXACT)
    if background is not None:
        assert background.amp == pytest.approx(float(case["bg_amp_n1"]), abs=EXACT)


def test_a_constant_selection_changes_no_amplitude():
    data = blobs().draw(1500, RandomState(1))
    free, halved = blobs(), blobs()
    pygmmis.fit(free, data, init_method="none", tol=1e-6)
    pygmmis.fit(halved, data, init_method="none", tol=1e-6, sel_callback=lambda x: np.full(len(x), 0.5))
    assert halved.amp.sum() == pytest.approx(1, abs=EXACT)
    assert halved.amp == pytest.approx(free.amp, abs=1e-3)
    assert halved.mean == pytest.approx(free.mean, abs=1e-2)


def test_fractional_completeness_is_corrected_once():
    def chance(x):
        return np.where(x[:, 0] < 5, 0.25, 1.0)

    data, covar, n_orig = pygmmis.draw(line(), 4000, sel_callback=chance, rng=RandomState(2))
    gmm = line()
    gmm.amp[:] = 0.5
    pygmmis.fit(gmm, data, init_method="none", sel_callback=chance, rng=RandomState(3))
    error = np.sqrt(0.8 * 0.2 / len(data))
    assert covar is None
    assert n_orig == pytest.approx(len(data) / 0.4, rel=0.1)
    assert gmm.amp.sum() == pytest.approx(1, abs=EXACT)
    assert gmm.amp == pytest.approx([0.8, 0.2], abs=4 * error)


def test_a_fit_returns_the_mean_log_likelihood_of_its_model():
    data, noise = blobs().draw(300, RandomState(7)), 0.2 * np.eye(2)
    gmm = blobs()
    mean, _ = pygmmis.fit(gmm, data, noise, init_method="none")
    assert mean == pytest.approx(gmm.logL(data, noise).mean(), abs=EXACT)
    terms = [gmm.logL_k(k, data, noise) for k in range(2)]
    assert np.allclose(np.logaddexp(*terms), gmm(data, covar=noise, as_log=True), atol=EXACT)
    assert gmm(data[0]).shape == (1,)


@pytest.mark.parametrize("method", ["random", "minmax", "kmeans", "none"])
def test_every_start_serves_rows_with_missing_features(method):
    data = blobs().draw(400, RandomState(8))
    data[RandomState(9).random_sample(data.shape) < 0.2] = np.nan
    first, second = blobs(), blobs()
    for gmm in (first, second):
        mean, _ = pygmmis.fit(gmm, data, init_method=method, w=0.05, rng=RandomState(10))
        assert np.isfinite(mean)
    assert np.array_equal(first.mean, second.mean)


def test_what_is_known_and_frozen_survives_a_random_start():
    data = blobs().draw(500, RandomState(11))
    gmm = pygmmis.GMM(2, 2)
    gmm.amp[0], gmm.mean[1] = 0.55, [6.0, 3.0]
    pygmmis.fit(gmm, data, frozen={"amp": [0], "mean": [1]}, rng=RandomState(1))
    assert gmm.amp == pytest.approx([0.55, 0.45], abs=EXACT)
    assert gmm.mean[1].tolist() == [6.0, 3.0]
    assert np.isfinite(gmm.covar).all()


def test_a_frozen_list_is_for_means_and_covariances():
    data = blobs().draw(500, RandomState(11))
    gmm = blobs()
    gmm.amp[:] = 0.5
    pygmmis.fit(gmm, data, init_method="none", frozen=np.array([1]))
    assert np.array_equal(gmm.mean[1], blobs().mean[1])
    assert np.array_equal(gmm.covar[1], blobs().covar[1])
    assert gmm.amp[1] == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 500))
    with pytest.raises(InvalidSetting, match="frozen has keys"):
        pygmmis.fit(gmm, data, init_method="none", frozen={"means": [1]})


def test_a_background_keeps_to_its_limits_and_a_second_fit_does_not_shrink_the_mixture():
    background = pygmmis.Background(([-20.0, -20.0], [20.0, 20.0]), amp=0.3)
    data = pygmmis.draw(blobs(), 800, background=background, rng=RandomState(4))[0]
    gmm = blobs()
    first, _ = pygmmis.fit(gmm, data, init_method="none", background=background, tol=1e-6)
    assert background.amp == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 800))
    assert gmm.amp.sum() == pytest.approx(1 - background.amp, abs=EXACT)
    second, _ = pygmmis.fit(gmm, data, init_method="none", background=background, maxiter=0)
    assert second == pytest.approx(first, abs=EXACT)
    background.amp_max = 0.2
    pygmmis.fit(gmm, data, init_method="none", background=background)
    assert background.amp == 0.2
    assert background.p == 1 / 1600


def test_each_row_s_own_noise_needs_no_callback():
    rng = RandomState(5)
    noise = rng.uniform(0.01, 0.3, (500, 1, 1)) * np.eye(2)
    data = blobs().draw(500, rng) + np.sqrt(noise[:, 0, :1]) * rng.standard_normal((500, 2))
    noise, data = noise[data[:, 0] < 6], data[data[:, 0] < 6]
    fitted = []
    for callback in (None, lambda x: 9 * np.eye(2)):
        gmm = blobs()
        pygmmis.fit(
            gmm,
            data,
            noise,
            init_method="none",
            sel_callback=below_six,
            covar_callback=callback,
            maxiter=3,
            rng=RandomState(1),
        )
        fitted.append(gmm)
    assert np.array_equal(fitted[0].mean, fitted[1].mean)
    assert np.array_equal(fitted[0].covar, fitted[1].covar)


def test_projections_lead_to_the_mixture_behind_them():
    rng = RandomState(6)
    latent = blobs().draw(1500, rng)
    R = rng.standard_normal((1500, 2, 2))
    gmm = blobs()
    gmm.mean += 0.5
    pygmmis.fit(gmm, np.einsum("nij,nj->ni", R, latent), R=R, init_method="none")
    assert gmm.mean == pytest.approx(blobs().mean, abs=0.3)


def test_miniter_and_maxiter_bound_the_updates():
    data = blobs().draw(300, RandomState(3))
    stepwise = blobs()
    for _ in range(7):
        pygmmis.fit(stepwise, data, init_method="none", maxiter=1)
    least = blobs()
    pygmmis.fit(least, data, init_method="none", miniter=7, maxiter=7, tol=1e9)
    assert least.mean == pytest.approx(stepwise.mean, abs=1e-10)
    most = blobs()
    pygmmis.fit(most, data, init_method="none", maxiter=7, tol=0)
    assert most.mean == pytest.approx(stepwise.mean, abs=1e-10)


def test_split_and_merge_leaves_a_local_optimum():
    data = trio().draw(900, RandomState(12))
    poor = gmm_of(
        np.full(3, 1 / 3), [[0.0, 0.5], [0.0, -0.5], [4.0, 5.0]], [np.eye(2), np.eye(2), 9 * np.eye(2)]
    )
    alone, helped = pygmmis.stack([poor], [1.0]), pygmmis.stack([poor], [1.0])
    before, _ = pygmmis.fit(alone, data, init_method="none")
    after, _ = pygmmis.fit(helped, data, init_method="none", split_n_merge=2)
    assert before < trio().logL(data).mean() - 0.1
    assert after > trio().logL(data).mean()


def test_impossible_requests_are_refused_by_name():
    data = blobs().draw(50, RandomState(1))
    with pytest.raises(InvalidData, match="never set"):
        pygmmis.fit(pygmmis.GMM(2, 2), data, init_method="none")
    with pytest.raises(InvalidSetting, match="init_method is 'best'"):
        pygmmis.fit(blobs(), data, init_method="best")
    with pytest.raises(InvalidData, match="the GMM has 2"):
        pygmmis.fit(blobs(), data[:, :1])
    with pytest.raises(InvalidSetting, match="w is -1"):
        pygmmis.fit(blobs(), data, w=-1)
    with pytest.raises(InvalidSetting, match="default covariance has shape"):
        pygmmis.covar_callback_default(data, default=np.eye(3))
    with pytest.raises(InvalidSetting, match="expected one each"):
        pygmmis.stack([blobs()], [0.5, 0.5])


def test_a_fit_is_the_package_s_own():
    data = blobs().draw(300, RandomState(16))
    gmm = blobs()
    pygmmis.fit(gmm, data, init_method="none")
    start = dgmmis.Mixture(blobs().amp, blobs().mean, blobs().covar)
    result = dgmmis.fit(data, n_components=2, initial=start, method="em")
    assert np.array_equal(gmm.mean, result.mixture.means)
    assert np.array_equal(gmm.covar, result.mixture.covariances)


@pytest.mark.statistical
def test_a_truncated_noisy_population_is_recovered_where_pygmmis_stops_early():
    case = load_reference("pygmmis_selection_ov10")

    def box_with_hole(x):
        inside = ((x > 0) & (x < 10)).all(axis=1)
        return inside & (((x - [6.5, 6.0]) ** 2).sum(axis=1) > 4)

    truth = gmm_of(case["true_amp"], case["true_mean"], case["true_covar"])
    fresh = truth.draw(50_000, RandomState(1))
    gmm = gmm_of(case["amp0"], case["mean0"], case["covar0"])
    pygmmis.fit(gmm, case["X"], case["S"], init_method="none", sel_callback=box_with_hole, rng=RandomState(1))
    theirs = [
        gmm_of(*(case[f"{name}_noise"][i] for name in ("amp", "mean", "covar"))).logL(fresh).mean()
        for i in range(3)
    ]
    assert gmm.logL(fresh).mean() > truth.logL(fresh).mean() - 0.05
    assert gmm.logL(fresh).mean() > max(theirs) + 0.2
