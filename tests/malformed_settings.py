"""Settings that nobody should give: hypothesis strategies of calls with tampered arguments."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import strategies as st

import dgmmis
from malformed import Attempt
from strategies import random_mixture

THINGS: tuple[Any, ...] = (
    None, True, False, (), [], {}, {"a": 1}, set(), "", "auto", "none", "full", b"bytes", np.nan, np.inf, -np.inf,
    1e300, -1e-300, 5e-324, 0, -1, 1, 2, 3, 1.5, 2**70, -(2**70), 1e18, 1j, Decimal("1"), Fraction(1, 3),
    np.float32(1), np.int8(2), np.bool_(True), np.array([]), np.array(2), np.array([1.0, 2.0]), np.eye(2),
    np.full((2, 2), np.nan), np.array(["a"]), np.array([None]), np.datetime64("NaT"), np.ma.masked,
    np.random.default_rng(0), object(), object, len, print, lambda x: x, range(3), Path("nowhere"), iter(()),
    [[1.0], [1.0, 2.0]], [[1, 2], [3]], "nowhere:nothing", "..", ["means"], NotImplemented, Ellipsis,
)  # fmt: skip
"""Things of all kinds; some are right for some setting."""

JUNK = (
    st.sampled_from(THINGS)
    | st.sampled_from(THINGS)
    | st.sampled_from(THINGS)
    | st.floats(width=64)
    | st.integers(-(2**65), 5)
    | st.text(max_size=6)
    | st.lists(st.floats(width=32) | st.none() | st.integers(-3, 3), max_size=4)
    | st.dictionaries(st.text(max_size=3), st.floats(width=32), max_size=2)
)

OF_FIT = (
    "n_components", "noise", "weights", "projection", "selection", "before_noise", "noise_model", "covariates",
    "background", "floor", "prior", "covariance_type", "oversampling", "initial", "frozen", "method", "pruning",
    "split_merge", "tolerance", "max_passes", "seed", "carried", "features", "units", "run", "client", "observer",
)  # fmt: skip
ALSO_NAMED = {
    "n_components": ("components",),
    "noise_model": ("selection", "selected"),
    "initial": ("is a", "no run", "not a run", "carried", "model"),
    "client": ("client",),
    "memory_limit": ("memory limit",),
    "covariates": ("covariate",),
    "features": ("feature",),
    "units": ("units",),
    "run": ("run",),
    "values": ("source", "values", "catalogue"),
}


def words(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Words by which an error may name settings."""
    return tuple(word for name in names for word in (name, *ALSO_NAMED.get(name, ())))


@cache
def scene(n: int = 14, d: int = 2, k: int = 2) -> tuple[np.ndarray, dgmmis.Mixture]:
    """Rows of a mixture, and the mixture."""
    rng = np.random.default_rng(n + d + k)
    mixture = random_mixture(rng, k, d)
    return mixture.draw(n, rng), mixture


@cache
def catalog() -> dgmmis.Catalog:
    """The same rows as a catalogue."""
    folder = TemporaryDirectory(prefix="malformed")
    atexit.register(folder.cleanup)
    return dgmmis.ingest(scene()[0], Path(folder.name) / "rows.zarr", features=["x0", "x1"])


@cache
def fitted() -> dgmmis.FitResult:
    """A fit that nothing is wrong with."""
    values, mixture = scene(40)
    return dgmmis.fit(values, n_components=2, initial=mixture, method="em", max_passes=20, floor=0.1)


def right_settings() -> dict[str, Any]:
    """Settings that nothing is wrong with."""
    _, mixture = scene()
    return {"n_components": 2, "initial": mixture, "max_passes": 2, "method": "em", "floor": 0.1}


@st.composite
def malformed_fits(draw: Any) -> Attempt:
    """Calls of `fit` with one or two settings replaced by things of any kind."""
    changed = {
        draw(st.sampled_from(OF_FIT)): draw(JUNK) for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3))))
    }
    values, settings = scene()[0], right_settings() | changed
    return Attempt(lambda: dgmmis.fit(values, **settings), words([*changed]), what=f"fit({changed!r})")


@st.composite
def malformed_constraints(draw: Any) -> Attempt:
    """Calls of `fit` with frozen masks, priors, floors and backgrounds that are nearly right."""
    name = draw(st.sampled_from(sorted(MAKERS)))
    arguments = draw(st.lists(JUNK | st.sampled_from(PARTS), min_size=1, max_size=3))
    values = scene()[0]

    def call() -> dgmmis.FitResult:
        return dgmmis.fit(values, **right_settings() | MAKERS[name](*arguments))

    return Attempt(call, (*NAMED_BY[name], *_NAMES_OF_ALL), what=f"{name}({arguments!r})")


PARTS: tuple[Any, ...] = (
    0.5, 1.0, 2.0, [1.0, 1.0], [1.0, -1.0], [[1.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [0], [1], [0, 1], [2],
    [-1], [True, False], [True], [0.0], [[-9.0, -9.0], [9.0, 9.0]], [[9.0, 9.0], [-9.0, -9.0]], [[-9.0], [9.0]],
    [[-1e200, -1e200], [1e200, 1e200]], [[0.0, 0.0], [1e-300, 1e-300]], "means", "amplitudes",
)  # fmt: skip


def _two(*given: Any) -> tuple[Any, Any]:
    return (*given, None)[:2]


def _frozen(*given: Any) -> dict[str, Any]:
    kinds = ("means", "covariances", "amplitudes")
    return {"frozen": dict(zip(kinds, given, strict=False))}


def _odd_frozen(*given: Any) -> dict[str, Any]:
    key, value = _two(*given)
    return {"frozen": {key if isinstance(key, str | int | None) else "means": value}}


def _pair(*given: Any) -> dict[str, Any]:
    try:
        correlations = {_two(*given): 0.5}
    except TypeError:  # what cannot be a key was never one
        correlations = {(0, 0): 0.5}
    return {"noise": dgmmis.Noise.from_columns([1.0, 1.0], correlations)}


MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
    "frozen": _frozen,
    "odd frozen": _odd_frozen,
    "wishart": lambda scale, rows=None, nu=None: {
        "prior": dgmmis.Prior(dgmmis.InverseWishart(scale, nu, rows))
    },
    "dirichlet": lambda one, *_: {"prior": dgmmis.Prior(amplitudes=dgmmis.Dirichlet(one))},
    "prior": lambda one, other=None, *_: {"prior": dgmmis.Prior(one, other)},
    "bovy": lambda w, *_: {"prior": dgmmis.Prior(dgmmis.InverseWishart.bovy(w))},
    "box": lambda box, amplitude=0.1, high=1.0: {"background": dgmmis.Background(box, amplitude, 0.0, high)},
    "corners": lambda low, high=None, share=0.1: {"background": dgmmis.Background((low, high), share)},
    "backgrounds": lambda *many: {"background": [*many, dgmmis.Background(([-99, -99], [99, 99]), 0.1)]},
    "density": lambda f, share=0.1, box=None: {
        "background": dgmmis.DensityBackground(f, share, footprint=box)
    },
    "floor": lambda one, *more: {"floor": [one, *more] if more else one},
    "initial": lambda *given: {"initial": dgmmis.Mixture(*(*given, *scene()[1].__dict__.values())[:3])},
    "population": lambda one, *more: {"initial": dgmmis.Population(scene()[1], (one, *more))},
    "noise": lambda one, *more: {"noise": dgmmis.Noise.from_columns([one, *more])},
    "correlated": lambda *given: {"noise": dgmmis.Noise.from_columns([1.0, 1.0], {(0, 1): given[0]})},
    "pairs": _pair,
    "shared": lambda one, *_: {"noise": dgmmis.Noise.shared(one)},
    "packed": lambda one, *_: {"noise": dgmmis.Noise.packed(one)},
    "variances": lambda one, *_: {"noise": dgmmis.Noise.diagonal(one)},
    "raw noise": lambda one, *_: {"noise": dgmmis.Noise("diagonal", one)},
}
_NAMES_OF_ALL = ("prior", "background", "component", "values", "row")
NAMED_BY: dict[str, tuple[str, ...]] = {
    "frozen": ("frozen",),
    "odd frozen": ("frozen",),
    "wishart": ("wishart", "pseudo_rows", "degrees_of_freedom"),
    "dirichlet": ("dirichlet",),
    "prior": ("prior",),
    "bovy": ("wishart",),
    "box": ("footprint", "amplitude"),
    "corners": ("footprint", "amplitude"),
    "backgrounds": ("background",),
    "density": ("density", "amplitude", "footprint", "features"),
    "floor": ("floor",),
    "initial": ("initial", "amplitudes", "means", "covariance", "frozen"),
    "population": ("initial", "background"),
    "noise": ("noise", "errors"),
    "correlated": ("noise", "correlation"),
    "pairs": ("noise", "correlation"),
    "shared": ("noise",),
    "packed": ("noise",),
    "variances": ("noise",),
    "raw noise": ("noise",),
}

OF_COMPARE = (
    "n_components", "covariance_types", "folds", "restarts", "tolerance", "max_passes", "seed", "output", "initial",
    "frozen", "run", "split_merge", "method", "pruning", "prior", "floor", "nonsense", "carried", "noise", "weights",
)  # fmt: skip
OF_UNCERTAINTY = (
    "method",
    "sample_rows",
    "replicates",
    "resampling_seed",
    "client",
    "catalog",
    "nonsense",
    "noise",
)
OF_RESTARTS = (
    "n_components",
    "n_starts",
    "tolerance",
    "max_passes",
    "seed",
    "initial",
    "nonsense",
    "carried",
    "prior",
)
OF_PLAN = (
    "n_components", "memory_limit", "workers", "threads", "nonsense", "background", "selection", "calibrated", "client",
    "initial", "seed", "floor", "noise",
)  # fmt: skip


@st.composite
def malformed_verbs(draw: Any) -> Attempt:
    """Calls of the other verbs, one or two settings replaced by things of any kind."""
    verb, allowed = draw(st.sampled_from(sorted(VERBS.items(), key=lambda item: item[0])))
    call, names = allowed
    changed = {draw(st.sampled_from(names)): draw(JUNK) for _ in range(draw(st.sampled_from((1, 1, 2))))}
    return Attempt(lambda: call(**changed), words([*changed]), what=f"{verb}({changed!r})")


def _compare(**changed: Any) -> dgmmis.Comparison:
    right = {"n_components": (1, 2), "folds": 2, "restarts": 1, "max_passes": 2, "floor": 0.2, "method": "em"}
    return dgmmis.compare(scene(30)[0], **right | changed)


def _uncertainty(**changed: Any) -> dgmmis.Uncertainty:
    return dgmmis.uncertainty(fitted(), **changed)


def _restarts(**changed: Any) -> Any:
    right = {"n_components": 1, "n_starts": 1, "max_passes": 2, "floor": 0.2}
    return dgmmis.fit_restarts(scene()[0], **right | changed)


def _plan(**changed: Any) -> Any:
    return dgmmis.plan(catalog(), **{"n_components": 2, "calibrated": False} | changed)


def _model(**changed: Any) -> Any:
    model = fitted().model
    name, given = next(iter(changed.items()))
    if name == "noise":
        return model.convolve(given)
    if name == "log_density":
        return model.log_density(given)
    if name == "draw":
        return model.draw(given if not isinstance(given, int) or given < 99 else 99, np.random.default_rng(0))
    if name == "stack":
        return dgmmis.Model.stack([model, model], given)
    return getattr(model, name)(given)


OF_MODEL = ("marginal", "condition", "noise", "affine", "stack", "log_density", "draw")
ALSO_NAMED |= {
    "marginal": ("feature",),
    "condition": ("feature", "value", "noise"),
    "affine": ("matrix", "map", "M ", "feature"),
    "stack": ("weights",),
    "log_density": ("values", "row"),
    "draw": ("rows",),
    "folds": ("folds",),
    "covariance_types": ("covariance_type",),
    "output": ("folder", "output"),
    "catalog": ("catalog",),
    "nonsense": ("nonsense", "settings"),
    "run": ("run", "keeps the fit of a catalogue"),
}
VERBS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "compare": (_compare, OF_COMPARE),
    "uncertainty": (_uncertainty, OF_UNCERTAINTY),
    "fit_restarts": (_restarts, OF_RESTARTS),
    "plan": (_plan, OF_PLAN),
    "model": (_model, OF_MODEL),
}
