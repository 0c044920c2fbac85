"""pyGMMis' objects: densities, files, draws, starts and neighbourhoods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState
from scipy.stats import chi2, norm

from dgmmis import pygmmis
from dgmmis.errors import InvalidData, InvalidSetting, SelectionError
from pygmmis_models import below_six, blobs, line

EXACT = 1e-12


def test_files_of_pygmmis_are_read(tmp_path):
    amp, mean, covar = np.array([0.5, 0.2]), np.arange(4.0).reshape(2, 2), np.stack([np.eye(2)] * 2)
    np.savez(tmp_path / "seed.npz", amp=amp, mean=mean, covar=covar, note="of a run")
    gmm = pygmmis.GMM.from_file(tmp_path / "seed.npz")
    gmm.save(tmp_path / "ours.npz", seed=8)
    again = pygmmis.GMM()
    again.load(tmp_path / "ours.npz")
    for one in (gmm, again):
        assert np.array_equal(one.amp, amp)
        assert np.array_equal(one.mean, mean)
        assert np.array_equal(one.covar, covar)
    np.savez(tmp_path / "other.npz", mean=mean)
    with pytest.raises(InvalidData, match="is no file that GMM"):
        pygmmis.GMM.from_file(tmp_path / "other.npz")


def test_rows_and_missing_rows_come_from_one_complete_sample():
    noise = np.diag([0.04, 0.09])
    settings = {"sel_callback": below_six, "covar_callback": lambda x: np.tile(noise, (len(x), 1, 1))}
    seen, seen_noise, n_seen = pygmmis.draw(blobs(), 600, rng=RandomState(3), **settings)
    hidden, hidden_noise, n_hidden = pygmmis.draw(
        blobs(), 600, rng=RandomState(3), orig_size=700, invert_sel=True, **settings
    )
    low, high = chi2.ppf(0.16, 1200) / 2, chi2.ppf(0.84, 1202) / 2
    assert low <= len(seen) <= high
    assert low <= n_hidden - len(hidden) <= high
    assert (seen[:, 0] < 6).all()
    assert (hidden[:, 0] >= 6).all()
    assert seen_noise.shape == (len(seen), 2, 2)
    assert hidden_noise.shape == (len(hidden), 2, 2)
    assert n_seen > len(seen)


def test_without_a_selection_one_complete_sample_is_drawn_with_its_background():
    background = pygmmis.Background(([50.0, 50.0], [60.0, 60.0]), amp=0.25)
    rows, covar, n_orig = pygmmis.draw(blobs(), 4000, background=background, rng=RandomState(5))
    assert (len(rows), n_orig, covar) == (4000, 4000, None)
    assert (rows[:, 0] > 40).mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 4000))
    with pytest.raises(InvalidSetting, match="invert_sel"):
        pygmmis.draw(blobs(), 10, invert_sel=True)


def test_a_selection_that_keeps_nothing_ends_the_draw():
    with pytest.raises(SelectionError, match="the selection kept 0"):
        pygmmis.draw(line(), 10, sel_callback=lambda x: x[:, 0] > 1e6, rng=RandomState(0))


def test_every_row_counts_whatever_the_cutoff():
    data = blobs().draw(400, RandomState(6))
    fitted = [blobs(), blobs()]
    results = [
        pygmmis.fit(gmm, data, init_method="none", cutoff=cutoff, rng=RandomState(0))
        for gmm, cutoff in zip(fitted, (None, 1.5), strict=True)
    ]
    assert results[0][0] == results[1][0]
    assert np.array_equal(fitted[0].covar, fitted[1].covar)
    assert [len(rows) for rows in results[0][1]] == [400, 400]
    for k, rows in enumerate(results[1][1]):
        offsets = data - fitted[1].mean[k]
        distances = np.einsum("nd,de,ne->n", offsets, np.linalg.inv(fitted[1].covar[k]), offsets)
        assert np.array_equal(rows, np.flatnonzero(distances < pygmmis.chi2_cutoff(2, 1.5)))
        assert np.allclose(distances, fitted[1].logL_k(k, data, chi2_only=True))


def noises() -> dict[str, np.ndarray]:
    factors = RandomState(2).standard_normal((40, 2, 2))
    return {"shared": np.array([[2.0, 0.7], [0.7, 1.0]]), "own": factors @ factors.swapaxes(1, 2)}


@pytest.mark.parametrize("kind", ["shared", "own"])
def test_neighbourhoods_know_of_noise_and_missing_features(kind):
    covar, gmm = noises()[kind], blobs()
    data = gmm.draw(40, RandomState(3))
    data[::4, 1] = np.nan
    neighbours = pygmmis.fit(gmm, data, covar, init_method="none", maxiter=0, cutoff=1)[1]
    own = np.broadcast_to(covar, (40, 2, 2))
    for k in range(2):
        expected = []
        for i, row in enumerate(data):
            seen = np.flatnonzero(~np.isnan(row))
            total = (gmm.covar[k] + own[i])[np.ix_(seen, seen)]
            off = row[seen] - gmm.mean[k][seen]
            if off @ np.linalg.inv(total) @ off < pygmmis.chi2_cutoff(len(seen), 1):
                expected.append(i)
        assert neighbours[k].tolist() == expected


@given(st.integers(1, 8), st.floats(0.1, 6))
def test_the_cutoff_holds_as_much_as_in_one_dimension(n_features, cutoff):
    limit = pygmmis.chi2_cutoff(n_features, cutoff)
    assert chi2.sf(limit, n_features) == pytest.approx(2 * norm.sf(cutoff), rel=1e-9)


def test_missing_features_are_marginalised():
    gmm = blobs()
    rows = np.array([[1.0, np.nan], [np.nan, np.nan]])
    first = norm.logpdf(1.0, gmm.mean[:, 0], np.sqrt(gmm.covar[:, 0, 0]))
    assert gmm.logL(rows) == pytest.approx([np.log(gmm.amp @ np.exp(first)), 0.0], abs=EXACT)


def test_starts_set_only_the_components_asked_for():
    data = blobs().draw(200, RandomState(1))
    for start in (pygmmis.initFromDataMinMax, pygmmis.initFromDataAtRandom):
        gmm = pygmmis.GMM(3, 2)
        start(gmm, data, s=0.5, k=[0, 2], rng=RandomState(1))
        assert np.isnan(gmm.mean).all(axis=1).tolist() == [False, True, False]
        assert gmm.amp.tolist() == [1 / 3, 0, 1 / 3]
        assert np.array_equal(gmm.covar[2], 0.25 * np.eye(2))


def test_balls_of_the_default_start_have_the_volume_of_the_data():
    data = RandomState(1).standard_normal((200, 3))
    gmm = pygmmis.GMM(5, 3)
    pygmmis.initFromDataMinMax(gmm, data, rng=RandomState(1))
    volume = np.prod(data.max(axis=0) - data.min(axis=0))
    assert 5 * 4 / 3 * np.pi * gmm.covar[0, 0, 0] ** 1.5 == pytest.approx(volume)
    assert ((gmm.mean >= data.min(axis=0)) & (gmm.mean <= data.max(axis=0))).all()


def test_old_and_new_sources_of_random_numbers_repeat_themselves():
    for make in (RandomState, np.random.default_rng):
        rng = make(3)
        first, second = blobs().draw(5, rng), blobs().draw(5, rng)
        assert np.array_equal(first, blobs().draw(5, make(3)))
        assert not np.array_equal(first, second)
    with pytest.raises(InvalidSetting, match="rng is 3"):
        blobs().draw(5, 3)


def test_the_default_callback_answers_the_same_everywhere():
    assert np.array_equal(pygmmis.covar_callback_default(np.zeros((4, 2)), default=np.eye(2)), np.eye(2))
