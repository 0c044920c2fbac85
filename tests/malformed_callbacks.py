"""Functions that nobody should write: selections, densities, parent noise and observers that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import dgmmis
from dgmmis import selection as parts
from dgmmis.observer import SilentObserver
from malformed import Attempt
from malformed_settings import JUNK, scene


class Wicked(Exception):
    """What a user's function raises."""


def _endless(x: Any, *more: Any) -> Any:
    return _endless(x, *more)


def _raiser(error: BaseException) -> Callable[..., Any]:
    def raising(*_: Any) -> Any:
        raise error

    return raising


def _random(x: Any, *_: Any, rng: np.random.Generator = np.random.default_rng(1)) -> np.ndarray:  # noqa: B008
    return rng.uniform(0.2, 0.8, len(x))


class Counting:
    """Answers another number at each call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any, *_: Any) -> np.ndarray:
        self.calls += 1
        return np.full(len(x), 1 / (1 + self.calls))


def _scribbling(x: Any, *_: Any) -> np.ndarray:
    x[:] = np.nan
    return np.full(len(x), 0.5)


def _generator(x: Any, *_: Any) -> Any:
    yield from np.full(len(x), 0.5)


async def _coroutine(x: Any, *_: Any) -> Any:
    return np.full(len(x), 0.5)


def _changed(change: Callable[[np.ndarray], Any]) -> Callable[..., Any]:
    return lambda x, *_: change(np.full(len(x), 0.5))


def _somewhere(value: float) -> Callable[..., Any]:
    """Answer `value` for the rows on one side only."""
    return lambda x, *_: np.where(x[:, 0] > np.nanmedian(scene()[0][:, 0]), value, 0.5)


ERRORS = (
    Wicked("no"), ValueError("bad"), KeyError("k"), ZeroDivisionError(), MemoryError(), OverflowError(),
    StopIteration(),
    AttributeError("a"), RecursionError(), OSError("disk"), UnicodeDecodeError("utf8", b"x", 0, 1, "y"), TypeError(),
    FloatingPointError(), AssertionError(), NotImplementedError(), np.linalg.LinAlgError("singular"), TimeoutError(),
    GeneratorExit("as an exception of a user"), RuntimeWarning("w"),
)  # fmt: skip
ANSWERS: tuple[Callable[[np.ndarray], Any], ...] = (
    lambda a: None, lambda a: 0.5, lambda a: a[:, None], lambda a: a[:-1], lambda a: np.append(a, 0.5), lambda a: [],
    lambda a: a * np.nan, lambda a: a - 1, lambda a: a + 1, lambda a: a * 0, lambda a: a * np.inf, lambda a: a > 0,
    lambda a: a.astype(str), lambda a: a.astype(object), lambda a: a.astype(complex), lambda a: "text", lambda a: {},
    lambda a: object(), lambda a: iter(a), lambda a: a.tolist(), lambda a: np.ma.masked_array(a, mask=True),
    lambda a: np.array(None), lambda a: a.astype("datetime64[s]"), lambda a: a.astype(np.float16),
    lambda a: a * 0 + 1,
    lambda a: a.view([("p", float)]), lambda a: [None] * len(a), lambda a: a * 1e-300, lambda a: a * 5e-324,
    lambda a: a + 1e-12 + 0.5, lambda a: np.full((len(a), 2, 2), 1.0), lambda a: NotImplemented, lambda a: lambda: a,
    lambda a: [[1], [1, 2]], lambda a: np.longdouble("1e4000") * a.astype(np.longdouble),
    lambda a: a[::-1] * 0 + 1e-320,
)  # fmt: skip
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(_raiser(error) for error in ERRORS if isinstance(error, Exception)),
    *(_changed(answer) for answer in ANSWERS),
    *(_somewhere(value) for value in (np.nan, -1.0, 2.0, 0.0, np.inf, 1e-300, 1.0)),
    _endless, _random, _scribbling, _generator, _coroutine, len, print, np.linalg.inv, np.array, lambda: 1,
    lambda x: 1 / 0, lambda x, y, z: 1, lambda **named: 1, np.isnan, np.mean, int, Wicked,
)  # fmt: skip

functions = st.sampled_from(FUNCTIONS) | st.builds(Counting)
numbers = JUNK | st.sampled_from(
    (0.0, 1.0, [0.0, 0.0], [9.0, 9.0], [-9.0, -9.0], [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
)

PARTS: dict[str, Callable[..., Any]] = {
    "Box": parts.Box,
    "Box.of": lambda *given: parts.Box.of(x0=given),
    "Ball": parts.Ball,
    "HalfSpace": parts.HalfSpace,
    "Polygon": parts.Polygon,
    "CompletenessMap": parts.CompletenessMap,
    "HealpixMap": parts.HealpixMap,
    "Callback": parts.Callback,
    "union": lambda one, *_: parts.Box([-9, -9], [9, 9]) | one,
    "both": lambda one, *_: parts.Box([-9, -9], [9, 9]) & one,
}


@st.composite
def malformed_selections(draw: Any) -> Attempt:
    """Fits under selections that are none."""
    made = draw(st.sampled_from(("function", "function", "part")))
    settings = {"oversampling": draw(st.sampled_from((2.0, 0.5, 1.0, 5.0, None, 1e9, 1e300, 5e-324)))}
    settings["before_noise"] = draw(st.sampled_from((False, False, False, True)))
    if made == "function":
        given = draw(functions)
        return Attempt(
            lambda: _fit(selection=given, **settings), NAMES, what=f"selection={_name(given)}, {settings}"
        )
    kind = draw(st.sampled_from(sorted(PARTS)))
    arguments = draw(st.lists(numbers, min_size=1, max_size=3))
    return Attempt(
        lambda: _fit(selection=PARTS[kind](*arguments), **settings),
        (*NAMES, kind.split(".")[0]),
        what=f"selection={kind}({arguments!r}), {settings}",
    )


@st.composite
def malformed_densities(draw: Any) -> Attempt:
    """Fits before a background whose density, or sampler, is none."""
    given, sampler = draw(functions), draw(st.none() | functions)
    box = draw(st.sampled_from((None, ([-99.0, -99.0], [99.0, 99.0]), ([0.0, 0.0], [1e-9, 1e-9]))))
    amplitude = draw(st.sampled_from((0.1, 0.0, 0.999999, 1e-300)))
    selected = draw(st.sampled_from((None, None, None, parts.Box([-50, -50], [50, 50]))))

    def call() -> dgmmis.FitResult:
        background = dgmmis.DensityBackground(given, amplitude, footprint=box, sampler=sampler)
        return _fit(background=background, selection=selected)

    return Attempt(
        call, ("density", "sampler", "background", "component"), what=f"density={_name(given)}, {box}"
    )


@st.composite
def malformed_hooks(draw: Any) -> Attempt:
    """Fits whose parent noise, observer or derived quantity is a function that misbehaves."""
    given = draw(functions)
    hook = draw(st.sampled_from(("noise_model", "covar_callback")))
    if hook == "noise_model":
        box = parts.Box([-50, -50], [50, 50])
        values = scene()[0]
        noise = np.full(values.shape, draw(st.floats(0.01, 2)))
        return Attempt(
            lambda: _fit(selection=box, noise_model=given, noise=noise),
            (*NAMES, "noise_model", "noise"),
            what=f"noise_model={_name(given)}",
        )
    w = draw(st.floats(0.01, 0.5))
    return Attempt(
        lambda: _draw(given, w), ("covar_callback", "covar", "noise"), what=f"covar_callback={_name(given)}"
    )


NAMES = ("selection", "component", "values", "oversampling", "imputed", "before_noise", "row", "noise_model")


def _fit(**settings: Any) -> dgmmis.FitResult:
    values, mixture = scene()
    right = {"n_components": 2, "initial": mixture, "max_passes": 2, "method": "em", "floor": 0.1}
    return dgmmis.fit(values, observer=SilentObserver(), **right | settings)


def _draw(function: Callable[..., Any], w: float = 0.1) -> Any:
    from dgmmis import pygmmis

    gmm = pygmmis.GMM(2, 2)
    mixture = scene()[1]
    gmm.amp[:], gmm.mean[:], gmm.covar[:] = mixture.amplitudes, mixture.means, mixture.covariances
    return pygmmis.fit(
        gmm, scene()[0], covar=0.1 * np.eye(2), init_method="none", w=w, maxiter=2,
        covar_callback=function, sel_callback=lambda x: np.full(len(x), 0.9), rng=np.random.default_rng(0),
    )[0]  # fmt: skip


def _name(function: Any) -> str:
    where = next((i for i, known in enumerate(FUNCTIONS) if known is function), None)
    return f"function {where}: {getattr(function, '__qualname__', function)}"
