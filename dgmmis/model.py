"""A mixture together with what its features are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import FeatureMismatch, InvalidData
from dgmmis.mixture import Mixture
from dgmmis.noise import NoiseLike
from dgmmis.packed import Array
from dgmmis.samples import default_names

__all__ = ["Model"]

FORMAT = "dgmmis model 1"


@dataclass(frozen=True)
class Model:
    """A mixture, the names of its features and their units.

    Attributes
    ----------
    mixture : Mixture
    features : tuple of str
        D names; default x0, x1, ...
    units : tuple of str
        D units; "" where unknown.

    Raises
    ------
    FeatureMismatch
        If the numbers of names or units are not D, or a name is repeated.
    """

    mixture: Mixture
    features: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n_features = self.mixture.n_features
        features = tuple(self.features) or default_names(n_features)
        units = tuple(self.units) or ("",) * n_features
        if len(features) != n_features or len(units) != n_features or len(set(features)) != n_features:
            raise FeatureMismatch(
                f"a mixture of {n_features} features has names {features} and units {units}; expected "
                f"{n_features} distinct names and {n_features} units."
            )
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "units", units)

    def require_features(self, features: Sequence[str]) -> None:
        """Raise `FeatureMismatch` unless data with these features are what the model describes."""
        if tuple(features) != self.features:
            raise FeatureMismatch(
                f"the data have features {', '.join(features)}; the model was fitted to "
                f"{', '.join(self.features)}. Ingest the data with --features {','.join(self.features)}."
            )

    def log_density(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """ln p(x_i) (N,) [nats] of each row's observed features; see `Mixture.log_density`."""
        return self.mixture.log_density(values, noise)

    def responsibilities(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """Pr(component k | x_i), (N, K); see `Mixture.responsibilities`."""
        return self.mixture.responsibilities(values, noise)

    def draw(self, n_rows: int, rng: np.random.Generator) -> Array:
        """Draw `n_rows` noise-free rows (N, D)."""
        return self.mixture.draw(n_rows, rng)

    def save(self, path: str | Path) -> None:
        """Write the model to one `.npz` file that NumPy reads without pickle.

        Its arrays are `amplitudes`, `means`, `covariances` and `header`, a JSON text with the format, the
        features and their units.
        """
        header = {"format": FORMAT, "features": self.features, "units": self.units}
        with open(path, "wb") as file:
            np.savez(
                file,
                header=np.array(json.dumps(header)),
                amplitudes=self.mixture.amplitudes,
                means=self.mixture.means,
                covariances=self.mixture.covariances,
            )

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read what `save` wrote.

        Raises
        ------
        InvalidData
            If the file is no such model.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                header = json.loads(str(stored["header"]))
                arrays = [stored[name] for name in ("amplitudes", "means", "covariances")]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InvalidData(f"{path} is not a saved model: {error}.", array=str(path)) from error
        if header.get("format") != FORMAT:
            raise InvalidData(
                f"{path} has format {header.get('format')!r}; this version reads {FORMAT!r}.", array=str(path)
            )
        return cls(Mixture(*arrays), tuple(header["features"]), tuple(header["units"]))
