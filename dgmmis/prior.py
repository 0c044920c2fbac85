"""What is believed of a population before any row is seen: densities that enter the objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from dgmmis.errors import InvalidSetting
from dgmmis.numeric_settings import as_nested_tuples, as_setting
from dgmmis.packed import Array, is_positive_semidefinite, pack
from dgmmis.population import Population

__all__ = ["Dirichlet", "InverseWishart", "Prior"]


@dataclass(frozen=True)
class InverseWishart:
    """ln p(V) = -(nu + D + 1)/2 ln|V| - tr(Psi V^-1)/2 + const, of each covariance by itself.

    It acts as nu + D + 1 further rows of scatter Psi would: V' = (A V_ml + Psi) / (A + nu + D + 1).
    Degrees of freedom for which it has no finite integral are allowed.

    Parameters
    ----------
    scale : float, (D,) or (D, D)
        Psi in the features' units squared: a multiple of the identity, a diagonal, or the matrix.
    degrees_of_freedom : float, optional
        nu >= -(D + 1).
    pseudo_rows : float, optional
        nu + D + 1 >= 0 instead, where D is not known yet.  Give one of the two.

    Raises
    ------
    InvalidSetting
        If Psi is not positive semi-definite, or not exactly one of the two was given.
    """

    scale: ArrayLike
    degrees_of_freedom: float | None = None
    pseudo_rows: float | None = None

    def __post_init__(self) -> None:
        scale = as_setting(self.scale, "scale of the inverse Wishart prior", _SCALE)
        if not _is_scale(scale):
            raise InvalidSetting(f"scale of the inverse Wishart prior is {self.scale!r}; expected {_SCALE}.")
        object.__setattr__(self, "scale", as_nested_tuples(scale))
        given = [name for name in _STRENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidSetting(
                f"the inverse Wishart prior got {' and '.join(given) or 'no strength'}; give exactly one of "
                "degrees_of_freedom (nu) and pseudo_rows (nu + D + 1)."
            )
        value = getattr(self, given[0])
        strength = as_setting(value, given[0], "one number")
        if strength.ndim:
            raise InvalidSetting(f"{given[0]} is {value!r}; expected one number.")
        if given[0] == "pseudo_rows" and strength < 0:
            raise InvalidSetting(f"pseudo_rows is {value!r}; expected one number >= 0.")
        object.__setattr__(self, given[0], float(strength))

    @classmethod
    def bovy(cls, w: float) -> InverseWishart:
        """Make the prior of Bovy, Hogg & Roweis 2011 (arXiv:0905.2979), eq. 38: V' = (A V_ml + w I) / (A + 1).

        Parameters
        ----------
        w : float
            In the features' units squared.
        """
        return cls(w, pseudo_rows=1.0)

    def matrix(self, n_features: int) -> Array:
        """Psi (D, D)."""
        scale = np.asarray(self.scale, dtype=np.float64)
        if scale.ndim == 2:
            return scale
        return np.diag(np.broadcast_to(scale, n_features))

    def rows(self, n_features: int) -> float:
        """nu + D + 1: the rows that the prior is worth."""
        if self.pseudo_rows is not None:
            return self.pseudo_rows
        return float(self.degrees_of_freedom or 0.0) + n_features + 1

    def require_features(self, n_features: int) -> None:
        """Refuse a prior that D features cannot have, by `InvalidSetting`."""
        shape = np.shape(self.scale)
        if shape and set(shape) != {n_features}:
            raise InvalidSetting(
                f"scale of the inverse Wishart prior has shape {shape}; expected one number, "
                f"({n_features},) or ({n_features}, {n_features}) for {n_features} features."
            )
        if self.rows(n_features) < 0:
            raise InvalidSetting(
                f"degrees_of_freedom is {self.degrees_of_freedom:g}; expected at least "
                f"{-(n_features + 1)}, minus the number of features and one."
            )

    def log_density(self, covariances: Array) -> float:
        """Sum of ln p(V) [nats] of (n, D, D) covariances, but for a constant; -inf if one is singular."""
        n_features = covariances.shape[-1]
        signs, log_determinants = np.linalg.slogdet(covariances)
        if (signs <= 0).any():
            return -np.inf
        scaled = np.linalg.solve(covariances, np.broadcast_to(self.matrix(n_features), covariances.shape))
        traces = np.trace(scaled, axis1=-2, axis2=-1)
        return float(-(self.rows(n_features) * log_determinants + traces).sum() / 2)


@dataclass(frozen=True)
class Dirichlet:
    """ln p(a) = sum_k (alpha_k - 1) ln a_k + const, of the components' amplitudes in the whole.

    It acts as alpha_k - 1 further rows of component k would.

    Parameters
    ----------
    concentration : float or (K,)
        alpha >= 1; below 1 the density would have no maximum inside.

    Raises
    ------
    InvalidSetting
        If a number is below 1.
    """

    concentration: ArrayLike

    def __post_init__(self) -> None:
        expected = "one number >= 1, or one per component"
        concentration = as_setting(self.concentration, "concentration of the Dirichlet prior", expected)
        if concentration.ndim > 1 or not (concentration >= 1).all():
            raise InvalidSetting(
                f"concentration of the Dirichlet prior is {self.concentration!r}; expected {expected}."
            )
        object.__setattr__(self, "concentration", as_nested_tuples(concentration))

    def rows(self, n_components: int) -> Array:
        """alpha_k - 1 (K,): the rows that the prior adds to each component."""
        concentration = np.asarray(self.concentration, dtype=np.float64)
        return np.asarray(np.broadcast_to(concentration, n_components) - 1)

    def require_components(self, n_components: int) -> None:
        """Refuse a prior that K components cannot have, by `InvalidSetting`."""
        shape = np.shape(self.concentration)
        if shape and shape != (n_components,):
            raise InvalidSetting(
                f"concentration of the Dirichlet prior has shape {shape}; expected one number or ({n_components},)."
            )


@dataclass(frozen=True)
class Prior:
    """Densities of a population's parameters; None is a flat one."""

    covariances: InverseWishart | None = None
    amplitudes: Dirichlet | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind | None):
                raise InvalidSetting(
                    f"prior of the {name} is {getattr(self, name)!r}; expected {kind.__name__}(...) or None."
                )

    def require_shape(self, n_components: int, n_features: int) -> None:
        """Refuse a prior that K components of D features cannot have, by `InvalidSetting`."""
        if self.covariances is not None:
            self.covariances.require_features(n_features)
        if self.amplitudes is not None:
            self.amplitudes.require_components(n_components)

    def log_density(
        self,
        population: Population,
        *,
        amplitudes: NDArray[np.bool_] | None = None,
        covariances: NDArray[np.bool_] | None = None,
    ) -> float:
        """ln p of a population [nats], without the constants that make densities integrate to 1.

        Parameters
        ----------
        population : Population
        amplitudes, covariances : (K,), optional
            Which components' parameters it judges; default all.
        """
        everything = np.ones(population.n_components, dtype=bool)
        total = 0.0
        if self.covariances is not None:
            judged = everything if covariances is None else covariances
            total += self.covariances.log_density(population.mixture.covariances[judged])
        if self.amplitudes is not None:
            judged = everything if amplitudes is None else amplitudes
            rows = self.amplitudes.rows(population.n_components)
            total += float(xlogy(rows, population.amplitudes)[judged].sum())
        return total

    def describe(self) -> dict[str, Any]:
        """Write the prior as JSON can hold it."""
        return {
            name: {key: value for key, value in vars(part).items() if value is not None}
            for name, part in vars(self).items()
            if part is not None
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Mapping[str, Any]]) -> Prior:
        """Read what `describe` wrote.

        Raises
        ------
        InvalidSetting
            If a part or one of its settings is unknown or impossible.
        """
        try:
            return cls(**{name: _KINDS[name](**part) for name, part in description.items()})
        except (KeyError, TypeError) as error:
            raise InvalidSetting(
                f"{dict(description)!r} describes no prior ({error}); expected 'covariances' with scale and "
                "pseudo_rows or degrees_of_freedom, 'amplitudes' with concentration."
            ) from error


_KINDS: dict[str, Any] = {"covariances": InverseWishart, "amplitudes": Dirichlet}
_STRENGTHS = ("degrees_of_freedom", "pseudo_rows")
_SCALE = "one number >= 0, (D,) variances, or a symmetric positive semi-definite (D, D) matrix"


def _is_scale(scale: Array) -> bool:
    """Tell whether numbers are a multiple of the identity, a diagonal, or a matrix that Psi may be."""
    if scale.ndim < 2:
        return scale.size > 0 and bool((scale >= 0).all())
    square = scale.ndim == 2 and scale.shape[0] == scale.shape[1] > 0
    return (
        square
        and bool(np.array_equal(scale, scale.T))
        and bool(is_positive_semidefinite(pack(scale[None]))[0])
    )
