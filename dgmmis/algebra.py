"""Maps from Gaussian mixtures to Gaussian mixtures: all exact, none changes its argument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array, is_positive_semidefinite, pack

__all__ = [
    "Columns",
    "affine",
    "checked_map",
    "checked_weights",
    "convolve",
    "marginal",
    "noise_of_one",
    "semidefinite",
    "stack",
]

Columns = Sequence[int] | NDArray[np.intp]


def marginal(mixture: Mixture, columns: Columns) -> Mixture:
    """Keep some of the features, in the order asked for.

    Parameters
    ----------
    mixture : Mixture
    columns : sequence of int
        Features to keep, distinct.
    """
    kept = np.asarray(columns, dtype=np.intp)
    return Mixture(
        mixture.amplitudes, mixture.means[:, kept], mixture.covariances[:, kept[:, None], kept[None, :]]
    )


def convolve(mixture: Mixture, noise: Noise | ArrayLike) -> Mixture:
    """Add independent Gaussian noise: what rows drawn from the mixture look like once measured.

    Parameters
    ----------
    mixture : Mixture
    noise : (D,) variances or (D, D)

    Raises
    ------
    InvalidData
        If it is no noise of D features.
    """
    added = noise_of_one(noise, mixture.n_features).covariances(1, mixture.n_features)
    return Mixture(mixture.amplitudes, mixture.means, mixture.covariances + added)


def affine(mixture: Mixture, matrix: ArrayLike, offset: ArrayLike | None = None) -> Mixture:
    """Map t to M t + c.

    Parameters
    ----------
    mixture : Mixture
    matrix : (D', D)
        M, of full row rank.
    offset : (D',), optional
        c; default 0.

    Raises
    ------
    InvalidSetting
        If a shape does not fit, a number is not finite, or rows of M depend on each other.
    """
    m, c = checked_map(mixture, matrix, offset)
    spreads = np.einsum("ad,kde,be->kab", m, mixture.covariances, m)
    deviations = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    scale = np.einsum("ad,kd->ka", np.abs(m), deviations)
    means = np.einsum("ad,kd->ka", m, mixture.means) + c
    return Mixture(mixture.amplitudes, means, semidefinite(spreads, scale))


def stack(mixtures: Sequence[Mixture], weights: ArrayLike) -> Mixture:
    """Mix mixtures: the components of all, their amplitudes scaled by the weights.

    Parameters
    ----------
    mixtures : sequence of M Mixture
        Of the same features.
    weights : (M,)
        Not negative; divided by their sum.

    Raises
    ------
    InvalidSetting
        If the weights are none.
    """
    shares = checked_weights(weights, len(mixtures))
    return Mixture(
        np.concatenate([share * mixture.amplitudes for share, mixture in zip(shares, mixtures, strict=True)]),
        np.concatenate([mixture.means for mixture in mixtures]),
        np.concatenate([mixture.covariances for mixture in mixtures]),
    )


def checked_weights(weights: ArrayLike, n_models: int) -> Array:
    """Return one weight per model, as shares that sum to 1, or an `InvalidSetting` that says why not."""
    array = as_numbers(weights, "weights")
    if array.shape != (n_models,) or n_models == 0:
        raise InvalidSetting(
            f"weights has shape {array.shape} for {n_models} models; expected one weight each, of at least one."
        )
    if not np.isfinite(array).all() or (array < 0).any() or array.sum() <= 0:
        raise InvalidSetting(f"weights are {array}; expected finite numbers >= 0 that are not all 0.")
    return np.asarray(array / array.sum())


def checked_map(mixture: Mixture, matrix: ArrayLike, offset: ArrayLike | None) -> tuple[Array, Array]:
    """M (D', D) and c (D',) of an affine map, or an `InvalidSetting` that says why not."""
    m, d = as_numbers(matrix, "matrix"), mixture.n_features
    if m.ndim != 2 or m.shape[1] != d or len(m) == 0:
        raise InvalidSetting(f"matrix has shape {m.shape}; expected (D', {d}), 1 <= D' <= {d}.")
    c = np.zeros(len(m)) if offset is None else as_numbers(offset, "offset")
    if c.shape != (len(m),):
        raise InvalidSetting(
            f"offset has shape {c.shape}; the matrix has {len(m)} rows and needs ({len(m)},)."
        )
    if not (np.isfinite(m).all() and np.isfinite(c).all()):
        raise InvalidSetting("matrix and offset must be finite.")
    rank = _rank(m, mixture)
    if rank < len(m):
        raise InvalidSetting(
            f"the {len(m)} rows of matrix span {rank} dimensions only, so the new features would have no "
            "density. Leave out rows that are 0 or combinations of others."
        )
    return m, c


def _rank(m: Array, mixture: Mixture) -> int:
    """Rank of M with features counted in their typical deviations, so that it does not depend on units."""
    variances = np.einsum("k,kdd->d", mixture.amplitudes, mixture.covariances)
    in_sigmas = m * np.where(variances > 0, np.sqrt(variances), 1.0)
    lengths = np.linalg.norm(in_sigmas, axis=1, keepdims=True)
    return int(np.linalg.matrix_rank(in_sigmas / np.where(lengths > 0, lengths, 1.0)))


def noise_of_one(noise: Noise | ArrayLike | None, n_features: int) -> Noise:
    """Noise of one row, or of all alike, given as variances (D,), covariance (D, D) or `Noise.shared`."""
    if noise is None:
        return Noise.none()
    if isinstance(noise, Noise):
        return _of_all(noise, n_features)
    array = as_numbers(noise, "noise")
    if array.shape not in ((n_features,), (n_features, n_features)):
        raise InvalidData(
            f"noise has shape {array.shape}; expected variances ({n_features},) or a covariance "
            f"({n_features}, {n_features}).",
            array="noise",
        )
    return Noise.shared(np.diag(array) if array.ndim == 1 else array)


def _of_all(noise: Noise, n_features: int) -> Noise:
    if noise.kind not in ("none", "shared"):
        raise InvalidData(
            f"the noise is {noise.kind}: of rows, each its own. Give one covariance for all: Noise.shared(noise).",
            array="noise",
        )
    noise.require_rows(1, n_features)
    return noise


def semidefinite(matrices: Array, scale: Array) -> Array:
    """Symmetrise matrices (..., D, D) and clip at 0 the eigenvalues that rounding left below.

    Parameters
    ----------
    matrices : (..., D, D)
        Positive semi-definite but for rounding.
    scale : (..., D)
        Deviations of the size that was rounded; eigenvalues are taken in these units.
    """
    whole = (matrices + matrices.swapaxes(-1, -2)) / 2
    flat = whole.reshape(-1, *whole.shape[-2:])
    doubtful = np.flatnonzero(~is_positive_semidefinite(pack(flat)))
    if len(doubtful):
        unit = np.where(scale > 0, scale, 1.0).reshape(-1, scale.shape[-1])[doubtful]
        eigenvalues, directions = np.linalg.eigh(flat[doubtful] / unit[:, :, None] / unit[:, None, :])
        half = directions * np.sqrt(np.maximum(eigenvalues, 0))[:, None, :] * unit[:, :, None]
        flat[doubtful] = np.einsum("nij,nkj->nik", half, half)
    return flat.reshape(whole.shape)
