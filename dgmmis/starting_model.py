"""What a caller names as the start of a fit: a mixture, a model, its file, a fit's result, or a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dgmmis.errors import FeatureMismatch, InvalidData, UnitMismatch, UnsafePlace
from dgmmis.fit_result import FitResult
from dgmmis.location import Location, S3Url, location_of
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.model_formats import import_model
from dgmmis.population import Population
from dgmmis.runs import RunFolder, open_run
from dgmmis.samples import default_names

__all__ = ["Initial", "starting_population"]

Initial = Mixture | Population | Model | FitResult | RunFolder | str | Path | S3Url


def starting_population(
    initial: Initial | None, features: tuple[str, ...], units: tuple[str, ...], *, trust: Iterable[str] = ()
) -> Mixture | Population | None:
    """Find the population that a fit is to start from.

    Parameters
    ----------
    initial : Mixture, Population, Model, FitResult, RunFolder or path, optional
        A path is that of a model's file, also of another program, or of a run folder, whose last pass counts.
    features, units : tuple of str
        Of the data.
    trust : iterable of str
        Functions "module:function" that a stored model or run names and that may be imported.

    Returns
    -------
    Mixture, Population or None
        With the backgrounds of a model that has any.  What is none of these is returned as it is.

    Raises
    ------
    FeatureMismatch, UnitMismatch
        If a model is one of other features or units.
    InvalidData, NotARun, CorruptCheckpoint
        If a path holds neither a model nor a run with a finished pass.
    """
    if isinstance(initial, str | Path | S3Url):
        initial = _read(_located(initial), trust)
    if isinstance(initial, RunFolder):
        initial = initial.model()
    if isinstance(initial, FitResult):
        initial = initial.model
    if not isinstance(initial, Model):
        return initial
    _require_same(initial, features, units)
    return initial.population if initial.backgrounds else initial.mixture


def _located(initial: str | Location) -> Location:
    try:
        return location_of(initial)
    except UnsafePlace as error:
        raise UnsafePlace(f"initial: {error}") from error


def _read(path: Location, trust: Iterable[str]) -> Model | RunFolder:
    if isinstance(path, S3Url) or path.is_dir():
        return open_run(path, trust=trust)
    if not path.exists():
        raise InvalidData(
            f"initial {path} does not exist: name a run folder or a saved model.", array="initial"
        )
    return import_model(path, trust=trust)


def _require_same(model: Model, features: tuple[str, ...], units: tuple[str, ...]) -> None:
    """Refuse a model of other features or units; data or a model without names of their own fit any."""
    unnamed = default_names(len(features))
    if len(model.features) == len(features) and unnamed in (features, model.features):
        return
    if model.features != features:
        raise FeatureMismatch(
            f"initial is a model of {', '.join(model.features)}; the data have features {', '.join(features)}. Start "
            "from a model of the same features in the same order, for instance model.marginal([...]).",
            array="initial",
        )
    for name, of_model, of_data in zip(features, model.units, units, strict=True):
        if of_model and of_data and of_model != of_data:
            raise UnitMismatch(
                f"initial has feature '{name}' in {of_model}; the data have it in {of_data}. Convert the model with "
                "model.affine, or the data.",
                array="initial",
                column=name,
                value=of_model,
            )
