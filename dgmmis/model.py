"""A mixture together with what its features are."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import FeatureMismatch, InvalidData
from dgmmis.mixture import Mixture
from dgmmis.noise import NoiseLike
from dgmmis.packed import Array
from dgmmis.samples import default_names

__all__ = ["Model", "named_features"]

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
        features, units = named_features(self.features, self.units, self.mixture.n_features)
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
        path = Path(path)
        writing = path.with_name(f".{path.name}.writing")
        with open(writing, "wb") as file:
            np.savez(
                file,
                header=np.array(json.dumps(header)),
                amplitudes=self.mixture.amplitudes,
                means=self.mixture.means,
                covariances=self.mixture.covariances,
            )
        writing.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read what `save` wrote.

        Raises
        ------
        InvalidData
            If the file is no such model.
        """
        header, arrays = _read(Path(path))
        if header.get("format") != FORMAT:
            raise InvalidData(
                f"{path} has format {header.get('format')!r}; this version reads {FORMAT!r}.", array=str(path)
            )
        features, units = header.get("features"), header.get("units")
        if not _are_texts(features) or not _are_texts(units):
            raise InvalidData(f"{path} does not name its features and units.", array=str(path))
        return cls(Mixture(*arrays), tuple(features), tuple(units))


def _are_texts(names: object) -> TypeGuard[list[str]]:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


# What zipfile, zlib, numpy and json raise for files that were cut off, altered or never were models.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def _read(path: Path) -> tuple[dict[str, Any], list[Array]]:
    """Header and parameter arrays of a saved model."""
    try:
        stored = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        header = json.loads(str(stored["header"]))
        arrays = [stored[name] for name in ("amplitudes", "means", "covariances")]
    except UNREADABLE as error:
        raise InvalidData(f"{path} is not a saved model: {error}.", array=str(path)) from error
    if not isinstance(header, dict):
        raise InvalidData(f"{path} is not a saved model: its header is no object.", array=str(path))
    return header, arrays


def named_features(
    features: Sequence[str], units: Sequence[str], n_features: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of `n_features` features, filled in where none were given.

    Raises
    ------
    FeatureMismatch
        If their numbers do not fit, or a name is repeated.
    """
    names = tuple(features) or default_names(n_features)
    their_units = tuple(units) or ("",) * n_features
    if len(names) != n_features or len(their_units) != n_features or len(set(names)) != n_features:
        raise FeatureMismatch(
            f"{n_features} features have names {names} and units {their_units}; expected {n_features} distinct "
            f"names and {n_features} units."
        )
    return names, their_units
