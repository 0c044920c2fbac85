"""A selection that looks at columns which the mixture does not describe."""

from __future__ import annotations

import numpy as np
import pytest

import dgmmis

START = dgmmis.Mixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))


def deep(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Keep what is brighter than the depth of its field, with a soft edge."""
    return 1 / (1 + np.exp(-4 * (values[:, 0] - covariates[:, 0])))


def catalogue(depths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and noise variances (n, 1) of kept rows, and their depths."""
    rng = np.random.default_rng(5)
    deviations = rng.choice([0.1, 0.5], len(depths))
    values = (rng.normal(size=len(depths)) + deviations * rng.normal(size=len(depths)))[:, None]
    kept = rng.random(len(depths)) < deep(values, depths[:, None])
    return values[kept], deviations[kept, None] ** 2, depths[kept]


@pytest.mark.parametrize("fields", [3, 10**6])
def test_the_truth_comes_back_from_fields_of_few_or_many_depths(fields: int) -> None:
    depths = np.linspace(-1.5, 1.5, fields)[np.random.default_rng(1).integers(fields, size=12_000)]
    values, variances, theirs = catalogue(depths)
    noise = dgmmis.Noise.diagonal(variances)
    told = dgmmis.fit(
        values,
        n_components=1,
        noise=noise,
        selection=deep,
        covariates={"depth": theirs},
        prior=None,
        initial=START,
    )
    # half of the rows are kept; errors of the mean and variance of a cut normal are about 2 and 3 / sqrt(n)
    n = len(values)
    assert abs(told.mixture.means[0, 0]) < 4 * 2 / np.sqrt(n)
    assert abs(told.mixture.covariances[0, 0, 0] - 1) < 4 * 3 / np.sqrt(n)
    assert told.completeness == pytest.approx(n / len(depths), abs=4 * 0.5 / np.sqrt(len(depths)) + 0.02)
    ignored = dgmmis.fit(values, n_components=1, noise=noise, prior=None, initial=START)
    assert ignored.mixture.means[0, 0] > 0.4


def test_covariates_that_cannot_be_used_are_refused() -> None:
    values, _, theirs = catalogue(np.zeros(200))
    settings = {"n_components": 1, "initial": START, "selection": deep}
    with pytest.raises(dgmmis.InvalidData, match="name: column"):
        dgmmis.fit(values, covariates=theirs, **settings)
    with pytest.raises(dgmmis.InvalidData, match="one value for each row"):
        dgmmis.fit(values, covariates={"depth": theirs[1:]}, **settings)
    theirs[3] = np.nan
    with pytest.raises(dgmmis.InvalidData, match="'depth' is nan in row 3"):
        dgmmis.fit(values, covariates={"depth": theirs}, **settings)
    with pytest.raises(dgmmis.InvalidSetting, match="give the selection too"):
        dgmmis.fit(values, n_components=1, covariates={"depth": np.ones(len(values))})
