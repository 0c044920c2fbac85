"""What a fit may do with the parameters: frozen ones, the type of covariances, a floor, and a prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.background import BackgroundLike
from dgmmis.errors import InvalidSetting
from dgmmis.frozen import Frozen
from dgmmis.numeric_input import LARGEST
from dgmmis.numeric_settings import as_setting
from dgmmis.packed import Array, packed_size
from dgmmis.population import Population
from dgmmis.prior import Prior

__all__ = ["Constraints", "CovarianceType"]

CovarianceType = Literal["full", "diagonal", "tied", "spherical"]

TYPES = ("full", "diagonal", "tied", "spherical")
ALIASES = {"diag": "diagonal"}


@dataclass(frozen=True)
class Constraints:
    """Which populations a fit may choose from, and which it likes better.

    Attributes
    ----------
    frozen : Frozen
    covariance_type : str
        "full"; "diagonal"; "spherical": a multiple of the identity; "tied": one full covariance for all
        components.  Frozen covariances stay as they are and out of the tying.
    floor : (D,) or None
        Least dispersions f [the features' units]: V - diag(f^2) stays positive semi-definite.
    prior : Prior or None
    """

    frozen: Frozen
    covariance_type: CovarianceType = "full"
    floor: Array | None = None
    prior: Prior | None = None

    @classmethod
    def of(
        cls,
        n_components: int,
        n_features: int,
        *,
        frozen: Mapping[str, ArrayLike] | Frozen | None = None,
        covariance_type: str = "full",
        floor: ArrayLike | None = None,
        prior: Prior | None = None,
    ) -> Constraints:
        """Check constraints of a mixture of K components and D features.

        Parameters
        ----------
        n_components, n_features : int
        frozen : dict or Frozen, optional
            As `Frozen.of` takes it.
        covariance_type : str
            "full", "diagonal" (or "diag"), "tied" or "spherical".
        floor : float or (D,), optional
            Least dispersion of every component in every direction [the features' units].
        prior : Prior, optional

        Raises
        ------
        InvalidSetting
            Naming the setting, its value and what it may be.
        """
        masks = Frozen.of(frozen, n_components)
        if len(masks.amplitudes) != n_components:
            raise InvalidSetting(
                f"frozen has masks of {len(masks.amplitudes)} components; the mixture has {n_components}."
            )
        return cls(
            masks, _type(covariance_type), _floor(floor, n_features), _prior(prior, n_components, n_features)
        )

    @classmethod
    def none(cls, n_components: int, n_features: int) -> Constraints:
        """No constraints: every parameter is free, and maximum likelihood decides."""
        return cls.of(n_components, n_features)

    def log_prior(self, population: Population) -> float:
        """Evaluate what the prior adds to the objective [nats]; 0 without one.

        Frozen parameters are not judged, and a tied covariance is judged once, not once per component.
        """
        if self.prior is None:
            return 0.0
        return self.prior.log_density(
            population, amplitudes=~self.frozen.amplitudes, covariances=self.distinct_covariances
        )

    @property
    def distinct_covariances(self) -> NDArray[np.bool_]:
        """Components (K,) with a free covariance of their own: of tied ones the first stands for all."""
        free = ~self.frozen.covariances
        if self.covariance_type == "tied":
            free[int(np.argmax(free)) + 1 :] = False
        return free

    def n_parameters(
        self, n_components: int, n_features: int, backgrounds: Sequence[BackgroundLike] = ()
    ) -> int:
        """Count the numbers that a fit may choose."""
        means = n_features * (n_components - int(self.frozen.means.sum()))
        own = {"diagonal": n_features, "spherical": 1}.get(self.covariance_type, packed_size(n_features))
        covariances = own * int(self.distinct_covariances.sum())
        amplitudes = n_components - int(self.frozen.amplitudes.sum())
        amplitudes += sum(not background.fixed for background in backgrounds)
        return means + covariances + max(0, amplitudes - 1)  # their sum is given

    def describe(self) -> dict[str, Any]:
        """Write the constraints as JSON can hold them; `of` takes them back, the prior read."""
        return {
            "frozen": self.frozen.as_indices(),
            "covariance_type": self.covariance_type,
            "floor": None if self.floor is None else self.floor.tolist(),
            "prior": None if self.prior is None else self.prior.describe(),
        }


def _type(given: str) -> CovarianceType:
    name = ALIASES.get(given, given) if isinstance(given, str) else given
    if not isinstance(name, str) or name not in TYPES:
        raise InvalidSetting(f"covariance_type is {given!r}; expected one of {', '.join(TYPES)}.")
    return cast("CovarianceType", name)


def _floor(given: ArrayLike | None, n_features: int) -> Array | None:
    if given is None:
        return None
    expected = f"a dispersion > {1 / LARGEST:g} in the features' units, or one per feature ({n_features},)"
    floor = as_setting(given, "floor", expected)
    if floor.shape not in ((), (n_features,)) or not (floor > 1 / LARGEST).all():
        raise InvalidSetting(f"floor is {given!r}; expected {expected}, or None for no floor.")
    whole = np.array(np.broadcast_to(floor, n_features))
    whole.flags.writeable = False
    return whole


def _prior(given: Prior | None, n_components: int, n_features: int) -> Prior | None:
    if given is None:
        return None
    if not isinstance(given, Prior):
        raise InvalidSetting(
            f"prior is {given!r}; expected None or Prior(covariances=InverseWishart(...), "
            "amplitudes=Dirichlet(...))."
        )
    given.require_shape(n_components, n_features)
    return given
