"""Small mixtures in pyGMMis' form."""

from __future__ import annotations

import numpy as np

from dgmmis import pygmmis


def below_six(coords):
    return coords[:, 0] < 6


def gmm_of(amp, mean, covar) -> pygmmis.GMM:
    gmm = pygmmis.GMM(*np.shape(mean))
    gmm.amp[:], gmm.mean[:], gmm.covar[:] = amp, mean, covar
    return gmm


def blobs() -> pygmmis.GMM:
    return gmm_of([0.6, 0.4], [[0.0, 0.0], [6.0, 3.0]], [np.eye(2), [[1.0, 0.5], [0.5, 2.0]]])


def trio() -> pygmmis.GMM:
    return gmm_of(
        [0.5, 0.3, 0.2],
        [[0.0, 0.0], [6.0, 3.0], [1.0, 8.0]],
        [np.eye(2), [[1.0, 0.5], [0.5, 2.0]], 0.5 * np.eye(2)],
    )


def line() -> pygmmis.GMM:
    return gmm_of([0.8, 0.2], [[0.0], [10.0]], np.ones((2, 1, 1)))
