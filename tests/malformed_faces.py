"""Calls of the other faces that nobody should make: scikit-learn's, pyGMMis', and the command line."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

import dgmmis
from dgmmis import pygmmis
from dgmmis.cli import main
from dgmmis.errors import DgmmisError
from malformed import Attempt
from malformed_callbacks import functions
from malformed_rows import WRONG_SHAPES, WRONG_TYPES
from malformed_settings import JUNK, catalog, scene, words

OF_ESTIMATOR = (
    "n_components", "covariance_type", "tol", "floor", "prior", "background", "selection", "before_noise",
    "noise_model",
    "method", "max_iter", "random_state", "weights_init", "means_init", "covariances_init", "precisions_init",
)  # fmt: skip
OF_GMM_FIT = (
    "covar", "R", "init_method", "w", "cutoff", "sel_callback", "oversampling", "covar_callback", "background", "tol",
    "miniter", "maxiter", "frozen", "split_n_merge", "rng", "data", "gmm",
)  # fmt: skip
THEIR_NAMES = {
    "tol": ("tolerance",),
    "max_iter": ("max_passes",),
    "maxiter": ("max_passes",),
    "miniter": ("max_passes", "miniter"),
    "random_state": ("seed",),
    "sel_callback": ("selection",),
    "covar": ("noise", "covar", "shape"),
    "R": ("projection", "features"),
    "data": ("values", "features", "rows"),
    "split_n_merge": ("split_merge",),
    "gmm": ("amplitudes", "mean", "cov", "component"),
    "rng": ("rng", "random"),
    "init_method": ("init_method",),
    "X": ("array", "rows", "features", "sample", "values", "component"),
    "sample_weight": ("weight",),
    "covariances_init": ("covariance",),
    "precisions_init": ("precision", "covariance"),
    "weights_init": ("amplitudes", "means_init"),
    "means_init": ("means",),
    "w": ("w is", "wishart"),
}


@st.composite
def malformed_estimates(draw: Any) -> Attempt:
    """Fits of the estimator with tampered settings or rows."""
    from dgmmis.estimator import GaussianMixture

    changed = {
        draw(st.sampled_from(OF_ESTIMATOR)): draw(JUNK) for _ in range(draw(st.sampled_from((0, 1, 1, 2))))
    }
    values, mixture = scene()
    settings: dict[str, Any] = {
        "n_components": 2,
        "max_iter": 2,
        "method": "em",
        "floor": 0.1,
        "means_init": mixture.means,
    }
    rows: dict[str, Any] = {"X": values}
    what = draw(st.sampled_from(("X", "sample_weight", "noise", None)))
    if what is not None:
        odd = (
            WRONG_TYPES[draw(st.integers(0, len(WRONG_TYPES) - 1))] if draw(st.booleans()) else _shaped(draw)
        )
        rows[what] = odd(np.array(values if what == "X" else values[:, 0] ** 2))

    def call() -> Any:
        try:
            if what == "X":  # scikit-learn's own conversions and sums
                warnings.simplefilter("ignore", RuntimeWarning)
            return GaussianMixture(**settings | changed).fit(**rows).result_
        except (TypeError, ValueError) as error:
            raise _as_theirs(error) from error

    named = [*changed, *([what] if what else [])]
    return Attempt(call, (*_names(named), "means_init"), what=f"GaussianMixture({changed!r}), {what}")


def _as_theirs(error: Exception) -> Exception:
    """Take what scikit-learn's own validation raised as the refusal that it is by its conventions."""
    trace, last = error.__traceback__, ""
    while trace is not None:
        last, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    theirs = "sklearn" in Path(last).parts and not isinstance(error, DgmmisError)
    return Theirs(f"{error} (scikit-learn says what is expected)") if theirs else error


class Theirs(DgmmisError):
    """A refusal of scikit-learn's."""


def _shaped(draw: Any) -> Callable[[np.ndarray], Any]:
    change = WRONG_SHAPES[draw(st.integers(0, len(WRONG_SHAPES) - 1))]

    def shaped(array: np.ndarray) -> Any:
        try:
            return change(array)
        except (IndexError, ValueError):
            return np.array([])

    return shaped


@st.composite
def malformed_gmms(draw: Any) -> Attempt:
    """Calls of pyGMMis' `fit` with tampered arguments."""
    values, mixture = scene()
    arguments: dict[str, Any] = {
        "data": values, "init_method": "none", "w": 0.1, "maxiter": 2, "rng": np.random.default_rng(0),
    }  # fmt: skip
    gmm = pygmmis.GMM(2, 2)
    gmm.amp[:], gmm.mean[:], gmm.covar[:] = mixture.amplitudes, mixture.means, mixture.covariances
    names = [draw(st.sampled_from(OF_GMM_FIT)) for _ in range(draw(st.sampled_from((1, 1, 2))))]
    for name in names:
        if name == "gmm":
            array = getattr(gmm, draw(st.sampled_from(("amp", "mean", "covar"))))
            array.flat[draw(st.integers(0, array.size - 1))] = draw(
                st.sampled_from((np.nan, np.inf, -1.0, 1e300))
            )
        elif name.endswith("callback"):
            arguments[name] = draw(functions | JUNK)
        else:
            arguments[name] = draw(JUNK)

    def call() -> Any:
        log_likelihood, _ = pygmmis.fit(gmm, **arguments)
        assert np.isfinite(log_likelihood), f"ln L is {log_likelihood}"
        return dgmmis.Mixture(gmm.amp / gmm.amp.sum(), gmm.mean, gmm.covar)

    return Attempt(
        call, _names(names), what=f"pygmmis.fit({ {name: arguments.get(name) for name in names}!r})"
    )


@st.composite
def malformed_commands(draw: Any, folders: Callable[[], Path]) -> Attempt:
    """Command lines with impossible options; an exit code above 0 comes with a text, and never with a traceback."""
    verb = draw(st.sampled_from(sorted(OPTIONS)))
    right, options = OPTIONS[verb]
    changed = draw(st.lists(st.sampled_from(options), min_size=1, max_size=2))
    folder = folders()
    arguments = [part.format(catalog=catalog().path, folder=folder) for part in right]
    for option in changed:
        value = draw(
            st.sampled_from(TEXTS) | st.text(alphabet=st.characters(exclude_characters="\0"), max_size=5)
        )
        arguments += [option, value]

    return Attempt(lambda: _run([verb, *arguments]), what=f"dgmmis {verb} {arguments}")


TEXTS = (
    "", "0", "-1", "1", "2", "1.5", "nan", "inf", "-inf", "1e999", "none", "auto", "x0", "x0=0:1", "x0=1:0",
    "x0=nan:1",
    "x1=:", "x0=a:b", "nowhere=0:1", "full", "diagonal,full", "1,2", "1,1", "1,,2", "99999999999999999999",
    "os:system",
    "nowhere:nothing", "bovy=-1", "bovy=nan", "data", "tcp://", "../..", "=", "x0=0.1", "1 GiB", "-5 GiB",
    "em", "newton",
)  # fmt: skip
SHARED = (
    "--floor",
    "--covariance-type",
    "--prior",
    "--pruning",
    "--seed",
    "--background",
    "--footprint",
    "--keep",
    "--selection",
)
OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fit": (
        ("{catalog}", "-K", "2", "--run", "{folder}/run", "--workers", "0", "--max-passes", "1", "--floor",
        "0.1", "--method", "em"),
        (*SHARED, "-K", "--tolerance", "--max-passes", "--method", "--carried", "--initial", "--split-merge",
         "--threads", "--memory-limit", "--nonsense"),
    ),
    "compare": (
        ("{catalog}", "-K", "1,2", "--folds", "0", "--restarts", "1", "--max-passes", "1", "--workers", "0",
        "-o", "{folder}/cmp",
         "--floor", "0.1"),
        ("-K", "--covariance-types", "--folds", "--restarts", "--tolerance", "--max-passes", "--floor",
        "--prior", "--keep"),
    ),
    "plan": (("{catalog}", "-K", "2", "--workers", "0"), ("-K", "--workers", "--threads", "--memory-limit",
    "--background")),
    "resume": (("{folder}", "--workers", "0"), ("--tolerance", "--max-passes", "--catalog")),
    "status": (("{folder}",), ("--nonsense",)),
    "describe": (("{folder}",), ("--nonsense",)),
    "uncertainty": (("{folder}", "--workers", "0"), ("--method", "--replicates", "--sample-rows")),
    "apply": (("{folder}", "{catalog}", "-o", "{folder}/o.zarr", "--workers", "0"), ("--order", "--memory-limit")),
}  # fmt: skip


class Said(DgmmisError):
    """What the command line answered, with an exit code that it documents."""


def _run(arguments: list[str]) -> object:
    with _silent(["dgmmis", *arguments]) as (out, err):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = 0 if ended.code is None else ended.code
    text = out.getvalue() + err.getvalue()
    assert "Traceback" not in text, text
    if code == 0:
        return None
    assert code in (1, 2, 3, 4, 5, 6, 7, 8, 9, 75), f"exit code {code}"
    raise Said(text if "Usage" not in text else f"{text} (usage: give what is expected)")


@contextlib.contextmanager
def _silent(argv: list[str]) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    before, sys.argv = sys.argv, argv
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            yield out, err
    finally:
        sys.argv = before


def _names(changed: list[str]) -> tuple[str, ...]:
    return (
        *words(changed),
        *(word for name in changed for word in THEIR_NAMES.get(name, ())),
        "component",
        "values",
    )
