"""The same numbers as trusted programs: extreme-deconvolution, scikit-learn, mclust, XDGMM and pyGMMis."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis import Mixture, fit
from dgmmis.background import Background
from references import load_reference

EXACT = 1e-10
"""Absolute: the programs agree with each other to 1e-13."""

CASES = (
    "ed_noisefree",
    "ed_shared_cov",
    "ed_full_cov",
    "ed_diag_cov",
    "ed_missing30",
    "ed_weight",
    "ed_fixamp",
    "ed_fixmean",
    "ed_fixcovar",
    "sk_noisefree",
)
FROZEN = {"fixamp": "amplitudes", "fixmean": "means", "fixcovar": "covariances"}


@pytest.mark.parametrize("updates", [1, 2, 10])
@pytest.mark.parametrize("name", CASES)
def test_updates_are_those_of_the_trusted_program(name, updates):
    case = load_reference(name)
    weights = case.get("weight")
    result = fit(
        case["X"],
        n_components=len(case["amp0"]),
        noise=case.get("S"),
        weights=weights,
        initial=Mixture(case["amp0"], case["mean0"], case["covar0"]),
        frozen={ours: case[theirs] for theirs, ours in FROZEN.items() if theirs in case},
        tolerance=0,
        max_passes=updates,
    )
    assert result.mixture.amplitudes == pytest.approx(case[f"amp_n{updates}"], abs=EXACT, rel=0)
    assert result.mixture.means == pytest.approx(case[f"mean_n{updates}"], abs=EXACT, rel=0)
    assert result.mixture.covariances == pytest.approx(case[f"covar_n{updates}"], abs=EXACT, rel=0)
    # extreme-deconvolution divides by the number of rows, whatever they weigh
    per_row = 1 if weights is None else weights.mean()
    assert result.mean_log_likelihood * per_row == pytest.approx(
        float(case[f"llfinal_n{updates}"]), abs=EXACT, rel=0
    )


def test_an_update_with_a_background_is_that_of_pygmmis():
    """Its start need not sum to 1, and its covariances are about the means before the update."""
    case = load_reference("pygmmis_background")
    result = fit(
        case["X"],
        n_components=len(case["amp0"]),
        initial=Mixture(case["amp0"] / case["amp0"].sum(), case["mean0"], case["covar0"]),
        background=Background(tuple(case["footprint"]), amplitude=float(case["bg_amp0"])),
        tolerance=0,
        max_passes=1,
    )
    steps = result.mixture.means - case["mean0"]
    about_old_means = result.mixture.covariances + steps[:, :, None] * steps[:, None, :]
    assert result.population.amplitudes == pytest.approx(case["amp_n1"], abs=EXACT, rel=0)
    assert result.background.amplitude == pytest.approx(float(case["bg_amp_n1"]), abs=EXACT, rel=0)
    assert result.mixture.means == pytest.approx(case["mean_n1"], abs=EXACT, rel=0)
    assert about_old_means == pytest.approx(case["covar_n1"], abs=EXACT, rel=0)
    assert result.history[0].mean_log_likelihood == pytest.approx(float(case["ll_n1"]), abs=EXACT, rel=0)


def from_responsibilities(values: np.ndarray, shares: np.ndarray) -> Mixture:
    """The mixture of rows that belong to components by these shares."""
    counts = shares.sum(axis=0)
    means = shares.T @ values / counts[:, None]
    offsets = values[:, None] - means
    covariances = np.einsum("nk,nkd,nke->kde", shares, offsets, offsets) / counts[:, None, None]
    return Mixture(counts / len(values), means, covariances)


def test_old_faithful_has_the_optimum_that_mclust_found():
    case = load_reference("real_faithful_mclust")
    result = fit(
        case["X"],
        n_components=2,
        initial=from_responsibilities(case["X"], case["VVV2_z"]),
        tolerance=1e-11,
        max_passes=500,
    )
    assert result.converged
    assert result.log_likelihood == pytest.approx(float(case["VVV2_tight_logL"]), abs=1e-6)
    assert result.mixture.amplitudes == pytest.approx(case["VVV2_tight_amp"], rel=1e-6)
    assert result.mixture.means == pytest.approx(case["VVV2_tight_mean"], rel=1e-6)
    assert result.mixture.covariances == pytest.approx(case["VVV2_tight_covar"], rel=1e-6)


def test_densities_and_responsibilities_are_those_of_xdgmm():
    case = load_reference("loglik_posterior")
    truth = Mixture(case["true_amp"], case["true_mean"], case["true_covar"])
    assert truth.log_density(case["X"], case["S"]) == pytest.approx(case["logprob"], abs=EXACT, rel=0)
    assert truth.responsibilities(case["X"], case["S"]) == pytest.approx(case["resp"], abs=EXACT, rel=0)


def test_densities_and_responsibilities_are_those_of_scikit_learn():
    case = load_reference("sk_noisefree")
    mixture = Mixture(case["amp_n10"], case["mean_n10"], case["covar_n10"])
    assert mixture.log_density(case["X"]) == pytest.approx(case["score_samples_n10"], abs=EXACT, rel=0)
    assert mixture.responsibilities(case["X"]) == pytest.approx(case["resp_n10"], abs=EXACT, rel=0)
