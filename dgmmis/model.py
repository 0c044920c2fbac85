"""A mixture together with what its features are, what lies behind it and what was selected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from dgmmis import model_file, population_algebra
from dgmmis.background import BackgroundLike
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.feature_names import columns_of, given_variances, named_features, require_same
from dgmmis.kept_selection import selection_of_all, selection_within
from dgmmis.mixture import Mixture
from dgmmis.named_population import NamedPopulation
from dgmmis.noise import Noise
from dgmmis.places import local_path
from dgmmis.population import Population

__all__ = ["Model", "named_features"]


@dataclass(frozen=True)
class Model(NamedPopulation):
    """A mixture, the names of its features and their units, backgrounds, and the selection of the data.

    Attributes and densities are those of `NamedPopulation`; a model can also be mapped to other models,
    which leaves it as it is, and stored.

    Examples
    --------
    >>> model = Model(Mixture([1.0], [[0.0, 1.0]], [[[1.0, 0.5], [0.5, 1.0]]]), ("colour", "magnitude"))
    >>> model.condition({"magnitude": 2.0}).mixture.means
    array([[0.5]])
    """

    def marginal(self, features: Sequence[str | int]) -> Model:
        """Keep some of the features, by name or number, in the order given.

        The selection is kept if it names the features that it uses and they are all there.

        Raises
        ------
        FeatureMismatch
            If there is no such feature, or one is named twice.
        """
        columns = columns_of(features, self.features)
        names, units = self._named(columns)
        return Model(
            *_parts(population_algebra.marginal(self.population, columns), names, units),
            selection_within(self.selection, self.features, names),
        )

    def condition(
        self,
        given: Mapping[str | int, float],
        noise: Mapping[str | int, float] | ArrayLike | None = None,
    ) -> Model:
        """Fix some features: the model of the others, which keep their order.

        Rows of values, each with its own noise, are conditioned on by `dgmmis.conditioning.conditionals`.

        Parameters
        ----------
        given : mapping of feature name or number to value
        noise : mapping to variances, (d,) variances or (d, d), optional
            Of the given values, in their order; a feature that a mapping lacks has none.

        Returns
        -------
        Model
            Without the selection: given these values, it is no function of the others alone.

        Raises
        ------
        FeatureMismatch
            If no feature is given, or one that does not exist.
        InvalidSetting
            If no feature is left, or a background is not uniform in a box.
        InvalidData
            If the values lie beyond any finite density.
        """
        if not isinstance(given, Mapping):
            raise InvalidSetting(f"given is {given!r}; expected {{feature: value}} of the features to fix.")
        columns = columns_of(given, self.features)
        if isinstance(noise, Mapping):
            noise = given_variances(noise, columns, self.features)
        free = [j for j in range(len(self.features)) if j not in columns]
        population = population_algebra.condition(self.population, columns, list(given.values()), noise)
        return Model(*_parts(population, *self._named(free)))

    def convolve(self, noise: Noise | ArrayLike) -> Model:
        """Add noise, (D,) variances or (D, D), that all rows share: the model of measured rows.

        The selection is dropped: it was that of rows with their own noise.

        Raises
        ------
        InvalidSetting
            If there is a background: give the noise to `log_density` or `draw` instead.
        """
        return Model(*_parts(population_algebra.convolve(self.population, noise), self.features, self.units))

    def affine(
        self,
        matrix: ArrayLike,
        offset: ArrayLike | None = None,
        *,
        features: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
    ) -> Model:
        """Map t to M t + c; the selection is dropped, as it is one of the old features.

        Parameters
        ----------
        matrix : (D', D)
            M, of full row rank.  With a background, each row scales one feature.
        offset : (D',), optional
            c; default 0.
        features, units : tuple of str
            Of the new features; default x0, x1, ... without units.

        Raises
        ------
        InvalidSetting
            If M has no full row rank, or a background would not stay one.
        """
        return Model(*_parts(population_algebra.affine(self.population, matrix, offset), features, units))

    @classmethod
    def stack(cls, models: Sequence[Model], weights: ArrayLike) -> Model:
        """Mix models of the same features, for instance optima of several starts by their likelihood.

        Parameters
        ----------
        models : sequence of M Model
        weights : (M,)
            Not negative; divided by their sum.

        Returns
        -------
        Model
            Of all components and backgrounds; equal boxes become one.  The selection is kept if all
            models have the same.

        Raises
        ------
        FeatureMismatch, UnitMismatch
            If features or units are not the same.
        InvalidSetting
            If the weights are none.
        """
        require_same([model.features for model in models], [model.units for model in models])
        population = population_algebra.stack([model.population for model in models], weights)
        return cls(
            *_parts(population, models[0].features, models[0].units),
            selection_of_all([model.selection for model in models]),
        )

    def save(self, path: str | Path, *, provenance: Mapping[str, Any] | None = None) -> None:
        """Write the model to one `.npz` file that NumPy reads without pickle.

        Its arrays are `amplitudes`, `means`, `covariances`, what the selection needs, and `header`, a JSON
        text with the format, the features, their units, the backgrounds, the selection, and `provenance`, where
        the model comes from, if that is given as what JSON can hold.

        Raises
        ------
        InvalidSetting
            If a background is a function that cannot be imported again.  A selection that cannot is left
            out, and the model that is loaded says so in `selection_note`.
        """
        selection, arrays = model_file.describe_selection(self.selection, self.selection_note)
        header = {
            "features": self.features,
            "units": self.units,
            "backgrounds": [background.describe() for background in self.backgrounds],
            **selection,
            **({"provenance": dict(provenance)} if provenance else {}),
        }
        parameters = {
            "amplitudes": self.mixture.amplitudes,
            "means": self.mixture.means,
            "covariances": self.mixture.covariances,
        }
        model_file.write_model(Path(path), header, parameters | arrays)

    @classmethod
    def load(cls, path: str | Path, *, trust: Iterable[str] = ()) -> Model:
        """Read what `save` wrote, in this version or an earlier one.

        Parameters
        ----------
        path : path
        trust : iterable of str
            Functions "module:function" that may be imported because the file names them.  Those of a file that was
            saved from this account may be; others are not: the model then lacks its selection, says so in
            `selection_note`, and its background cannot be asked.

        Raises
        ------
        InvalidData
            If the file is no such model.
        """
        path = local_path(path)
        header, arrays, trusted = model_file.read_model(path, trust)
        features, units = model_file.read_header(header, path)
        backgrounds = model_file.read_backgrounds(header, path, trusted)
        selection = model_file.read_selection(header, arrays, trusted)
        try:
            mixture = Mixture(*(arrays[name] for name in ("amplitudes", "means", "covariances")))
            return cls(mixture, features, units, backgrounds, *selection)
        except InvalidData as error:
            raise InvalidData(
                f"the model {path} is not whole: {error} {model_file.WAY_OUT}",
                array=str(path),
                row=error.row,
                value=error.value,
            ) from error

    def _named(self, columns: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(self.features[j] for j in columns), tuple(self.units[j] for j in columns)


def _parts(
    population: Population, features: tuple[str, ...], units: tuple[str, ...]
) -> tuple[Mixture, tuple[str, ...], tuple[str, ...], tuple[BackgroundLike, ...]]:
    return population.mixture, features, units, population.backgrounds
