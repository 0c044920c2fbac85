"""A task as run.json holds it, so that any process can go on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.constraints import Constraints
from dgmmis.density_background import background_from_description
from dgmmis.errors import SelectionError
from dgmmis.importable import importable_name, imported
from dgmmis.packed import Array
from dgmmis.prior import Prior
from dgmmis.selecting import Selecting
from dgmmis.selection import Selection
from dgmmis.selection import from_description as selection_from_description
from dgmmis.task import Task
from dgmmis.trust import NOBODY, Trust

__all__ = [
    "describe_task",
    "names_functions",
    "stored_backgrounds",
    "stored_selection",
    "stored_task",
    "task_arrays",
]


def describe_task(task: Task) -> dict[str, Any]:
    """Write a task in JSON.

    Raises
    ------
    SelectionError, InvalidSetting
        If it holds a function that another process could not import.
    """
    return {
        "n_components": task.n_components,
        "seed": task.seed,
        "pruning": task.pruning,
        "method": task.method,
        **({"carried": task.carried} if task.carried > 1 else {}),
        **task.constraints.describe(),
        "backgrounds": [background.describe() for background in task.backgrounds],
        "selection": None if task.selecting is None else _describe_selecting(task.selecting),
        **({"split_merge": task.split_merge} if task.split_merge else {}),
    }


def task_arrays(task: Task) -> dict[str, Array]:
    """Arrays that the description names by their hashes."""
    return {} if task.selecting is None else task.selecting.selection.selection.to_arrays()


def _describe_selecting(selecting: Selecting) -> dict[str, Any]:
    selection, noise = selecting.selection.selection, selecting.noise_model
    selection.require_importable()
    if callable(noise):
        noise_said: Any = importable_name(noise, "noise_model")
    else:
        noise_said = None if noise is None else np.asarray(noise).tolist()
    return {
        "what": selection.describe(),
        "digest": selection.digest(),
        "before_noise": selecting.before_noise,
        "noise_model": noise_said,
        "oversampling": selecting.oversampling,
    }


def names_functions(config: Mapping[str, Any]) -> bool:
    """Tell whether a configuration names functions of users."""
    selecting = config.get("selection")
    if any(said.get("kind") == "density" for said in config.get("backgrounds", ())):
        return True
    if selecting is None:
        return False
    return isinstance(selecting["noise_model"], str) or '"kind": "Callback"' in json.dumps(selecting["what"])


def stored_backgrounds(config: Mapping[str, Any], trust: Trust = NOBODY) -> tuple[BackgroundLike, ...]:
    """Read the backgrounds of a run's configuration; a function that is not trusted cannot be asked."""
    return tuple(background_from_description(said, trust) for said in config.get("backgrounds", ()))


def stored_selection(
    config: Mapping[str, Any], arrays: Mapping[str, Array], trust: Trust = NOBODY
) -> Selection | None:
    """Read the selection of a run's configuration.

    Raises
    ------
    SelectionError
        If it is no longer what it was.
    UntrustedFunction
        If it has a function that is not trusted.
    """
    said = config.get("selection")
    if said is None:
        return None
    selection = selection_from_description(said["what"], arrays, trust=trust)
    if selection.digest() != said["digest"]:
        raise SelectionError(
            f"the run's selection had digest {said['digest'][:16]}, what is found here has {selection.digest()[:16]}: "
            "the function or map was changed. Restore it, or start a new run.",
            array="selection",
        )
    return selection


def stored_task(
    config: Mapping[str, Any],
    arrays: Mapping[str, Array],
    features: tuple[str, ...],
    trust: Trust = NOBODY,
) -> Task:
    """Read a task from a run's configuration, for data with these features.

    Raises
    ------
    UntrustedFunction
        If it names a function that is not trusted.
    """
    _require_trusted(config, trust)
    prior = config.get("prior")
    constraints = Constraints.of(
        config["n_components"],
        len(features),
        frozen=config["frozen"],
        covariance_type=config.get("covariance_type", "full"),
        floor=config.get("floor"),
        prior=None if prior is None else Prior.from_description(prior),
    )
    selection = stored_selection(config, arrays, trust)
    selecting = None
    if selection is not None:
        selecting = _stored_selecting(config["selection"], selection, features, config["seed"], trust)
    return Task(
        config["n_components"],
        constraints,
        stored_backgrounds(config, trust),
        selecting,
        config["seed"],
        config.get("pruning", 0.0),
        config.get("split_merge", 0),
        config["method"],
        config.get("carried", 1),
    )


def _require_trusted(config: Mapping[str, Any], trust: Trust) -> None:
    for said in config.get("backgrounds", ()):
        for role in ("density", "sampler") if said.get("kind") == "density" else ():
            if said.get(role) is not None:
                trust.require(said[role], f"the background's {role}")


def _stored_selecting(
    said: Mapping[str, Any], selection: Selection, features: tuple[str, ...], seed: int, trust: Trust
) -> Selecting:
    noise = said["noise_model"]
    if isinstance(noise, str):
        model: Any = imported(trust.require(noise, "noise_model"), "noise_model")
    else:
        model = None if noise is None else np.array(noise)
    return Selecting(selection.bind(features), said["before_noise"], model, None, seed, said["oversampling"])
