"""What a caller of `fit` gives, checked and understood before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from pathlib import Path

from numpy.typing import ArrayLike

from dgmmis.automatic_prior import automatic_prior
from dgmmis.chunk import ArrayChunks
from dgmmis.covariates import as_covariates
from dgmmis.errors import InvalidSetting
from dgmmis.expectation import NEGLIGIBLE
from dgmmis.fit_settings import check_settings
from dgmmis.iterate import Limits
from dgmmis.location import Location, S3Url
from dgmmis.mixture import Mixture
from dgmmis.noise import NoiseLike
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.prior import Prior
from dgmmis.samples import default_names
from dgmmis.starting_model import Initial, starting_population
from dgmmis.store import Catalog, open_catalog
from dgmmis.task import Task
from dgmmis.task_settings import NoiseModel, build_selecting, build_task, initial_population

__all__ = ["Prepared", "prepare_fit", "require_known"]


@dataclass(frozen=True)
class Prepared:
    """A fit that can begin.

    Attributes
    ----------
    chunks : ArrayChunks or Catalog
    task : Task
    initial : Population or None
        None: to be found.
    limits : Limits
    """

    chunks: ArrayChunks | Catalog
    task: Task
    initial: Population | None
    limits: Limits

    @property
    def catalog(self) -> Catalog:
        """The catalogue whose fit a run can keep; raises `InvalidSetting` for an array."""
        if not isinstance(self.chunks, Catalog):
            raise InvalidSetting(
                "a run keeps the fit of a catalogue: ingest the array first (dgmmis.ingest)."
            )
        return self.chunks


def prepare_fit(
    values: ArrayLike | ArrayChunks | Catalog | str | Location,
    *,
    n_components: int,
    limits: Limits,
    noise: NoiseLike = None,
    weights: ArrayLike | None = None,
    projection: ArrayLike | None = None,
    selection: object = None,
    before_noise: bool = False,
    noise_model: NoiseModel = None,
    covariates: Mapping[str, ArrayLike] | None = None,
    background: object = None,
    floor: ArrayLike | None = None,
    prior: Prior | str | None = "auto",
    covariance_type: str = "full",
    oversampling: float | None = None,
    initial: Initial | None = None,
    frozen: Mapping[str, ArrayLike] | None = None,
    method: str = "auto",
    pruning: float = NEGLIGIBLE,
    split_merge: int = 0,
    seed: int = 0,
    carried: int = 1,
    features: tuple[str, ...] = (),
    units: tuple[str, ...] = (),
) -> Prepared:
    """Check the arguments of `fit`, which documents them; rows that were prepared for another fit are taken as such.

    Raises
    ------
    InvalidData, InvalidSetting, SelectionError
    """
    others = as_covariates(covariates)
    chunks = _as_chunks(values, noise, weights, projection, features, units, others)
    n_features = chunks.latent_features
    begun = _begun(initial, chunks)
    check_settings(
        n_components, n_features, initial=begun, frozen=frozen, method=method, limits=limits, seed=seed
    )
    selecting = build_selecting(
        selection,
        chunks.features,
        covariate_names=tuple(covariates or ()),
        before_noise=before_noise,
        noise_model=noise_model,
        projection=chunks.projection,
        oversampling=oversampling,
        seed=seed,
    )
    task = build_task(
        n_components,
        n_features,
        frozen=frozen,
        covariance_type=covariance_type,
        floor=floor,
        prior=prior,
        background=background,
        selecting=selecting,
        seed=seed,
        pruning=pruning,
        split_merge=split_merge,
        method=method,
        carried=carried,
    )
    if initial is not None and task.carried > 1:
        raise InvalidSetting(
            "carried says how many optima of a random sample are compared on all rows; with initial none is looked "
            "for. Leave one of the two out."
        )
    if task.backgrounds and chunks.projection is not None:
        raise InvalidSetting(
            "a background has a density of the rows as they are observed, and projected rows have none: leave out "
            "the background or the projection."
        )
    if prior == "auto":
        task = automatic_prior(task, chunks)
    return Prepared(chunks, task, initial_population(begun, task), limits)


def require_known(settings: Mapping[str, object], verb: str) -> None:
    """Refuse settings that `fit` does not have, by `InvalidSetting`: a verb hands the rest of its arguments on."""
    known = signature(prepare_fit).parameters
    for name in settings:
        if name not in known or name in ("values", "limits"):
            near = get_close_matches(name, known, 1)
            raise InvalidSetting(
                f"{verb} has no setting {name!r}{f'; did you mean {near[0]!r}?' if near else '.'} "
                "Give those of dgmmis.fit, which documents them."
            )


def _begun(initial: Initial | None, chunks: ArrayChunks | Catalog) -> Mixture | Population | None:
    """Find the start in a model, a result or a run of the same features; those of projected rows have no names."""
    if chunks.projection is None:
        return starting_population(initial, chunks.features, chunks.units)
    n_features = chunks.latent_features
    return starting_population(initial, default_names(n_features), ("",) * n_features)


def _as_chunks(
    values: ArrayLike | ArrayChunks | Catalog | str | Location,
    noise: NoiseLike,
    weights: ArrayLike | None,
    projection: ArrayLike | None,
    features: tuple[str, ...],
    units: tuple[str, ...],
    covariates: Array | None,
) -> ArrayChunks | Catalog:
    if isinstance(values, ArrayChunks):
        return values
    if isinstance(values, str | Path | S3Url):
        values = open_catalog(values)
    if not isinstance(values, Catalog):
        return ArrayChunks.from_arrays(
            values,
            noise,
            weights,
            projection=projection,
            covariates=covariates,
            features=features,
            units=units,
        )
    if covariates is not None:
        raise InvalidSetting(
            "a catalogue keeps no covariates: ingest them as features that the selection names, or fit an array."
        )
    if noise is not None or weights is not None or projection is not None or features or units:
        raise InvalidSetting(
            "a catalogue carries its own noise, weights, features and units, and no projection: leave these "
            "arguments out, or ingest the source again with the ones you want."
        )
    return values
