"""Inputs by which hypothesis once got a raw error, a warning or a wait: each is refused by name now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dgmmis
from dgmmis import Background, DensityBackground, Dirichlet, Mixture, Noise, Prior, pygmmis
from dgmmis.errors import DgmmisError
from dgmmis.selection import Box
from malformed import Attempt, judged
from malformed_callbacks import _draw, _endless, _fit, _raiser
from malformed_files import ASKED, right_table, write
from malformed_settings import catalog, fitted, right_settings, scene

VALUES, MIXTURE = scene()


def fit(**changed: Any) -> dgmmis.FitResult:
    values = changed.pop("values", VALUES)
    return dgmmis.fit(values, **right_settings() | changed)


def gmm_fit(**changed: Any) -> Any:
    gmm = pygmmis.GMM(2, 2)
    gmm.amp[:], gmm.mean[:], gmm.covar[:] = MIXTURE.amplitudes, MIXTURE.means, MIXTURE.covariances
    gmm.amp[0] = changed.pop("amp", gmm.amp[0])
    return pygmmis.fit(gmm, VALUES, **{"init_method": "none", "w": 0.1, "maxiter": 2} | changed)


def with_value(value: float) -> np.ndarray:
    values = VALUES.copy()
    values[3, 1] = value
    return values


WEIGHTS = np.ones(len(VALUES))
FOUND: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "a value whose square is no number": (lambda: fit(values=with_value(1e160)), ("row 3, column 'x1'",)),
    "a long double beyond all doubles": (
        lambda: fit(values=VALUES * np.longdouble("1e4000")),
        ("infinite value",),
    ),
    "a huge weight": (lambda: fit(weights=WEIGHTS * 1e300), ("weights, row 0",)),
    "a huge variance": (lambda: fit(noise=np.full(VALUES.shape, 1e300)), ("noise, row 0, column 'x0'",)),
    "huge shared noise": (lambda: fit(noise=np.eye(2) * 1e300), ("shared noise",)),
    "asymmetric shared noise": (lambda: fit(noise=np.array([[1.0, 0.5], [0.0, 1.0]])), ("the shared noise",)),
    "a projection of nearly nothing": (
        lambda: fit(values=VALUES[:, :1], projection=np.array([[1.0, 1e-120]]), initial=None),
        ("projection",),
    ),
    "a huge projection": (lambda: fit(projection=np.array([[1.0, 1e80], [0.0, 1.0]])), ("projection",)),
    "names that are a number": (lambda: fit(features=3), ("features is 3",)),
    "names that are one text": (lambda: fit(features="ab"), ("features is 'ab'",)),
    "units that are nothing": (lambda: fit(units=[None, None]), ("units is",)),
    "a client that is none": (lambda: fit(client={"a": 1}), ("client",)),
    "an observer that is none": (lambda: fit(observer=print), ("observer",)),
    "a method that is an array": (lambda: fit(method=np.array(["em", "auto"])), ("method",)),
    "frozen as an array": (lambda: fit(frozen=np.eye(2), initial=None), ("frozen",)),
    "a complex tolerance": (lambda: fit(tolerance=np.complex128(1)), ("tolerance",)),
    "more components than memory": (lambda: fit(n_components=2**70, initial=None), ("n_components",)),
    "a floor whose square is 0": (lambda: fit(floor=1e-200), ("floor",)),
    "a huge concentration": (lambda: fit(prior=Prior(amplitudes=Dirichlet(1e308))), ("Dirichlet",)),
    "a footprint that is no pair": (lambda: Background(np.ma.masked), ("footprint",)),
    "a footprint without a volume": (lambda: Background(([-1e200], [1e200])), ("footprint",)),
    "a mixture beyond all squares": (lambda: Mixture([1.0], [[1e160]], [[[1.0]]]), ("means of component 0",)),
    "noise made by hand": (lambda: Noise("diagonal", "text"), ("noise of kind 'diagonal'",)),  # type: ignore[arg-type]
    "noise of no columns": (lambda: Noise.from_columns([]), ("errors",)),
    "errors of two lengths": (
        lambda: Noise.from_columns([[1.0, 2.0], [1.0, 2.0, 3.0]]),
        ("errors have shapes",),
    ),
    "a pair of one feature": (lambda: Noise.from_columns([1.0, 1.0], {(0, 0): 0.5}), ("(0, 0)",)),
    "a correlation of a third feature": (lambda: Noise.from_columns([1.0], {(0, 7): 0.5}), ("(0, 7)",)),
    "an unknown setting of compare": (lambda: dgmmis.compare(VALUES, florr=1), ("florr", "floor")),
    "an unknown setting of restarts": (lambda: dgmmis.fit_restarts(VALUES, n_components=1, x=1), ("x",)),
    "an unknown setting of plan": (lambda: dgmmis.plan(catalog(), n_components=1, x=1), ("x",)),
    "more folds than rows": (lambda: dgmmis.compare(VALUES, folds=2**70), ("folds",)),
    "endless starts": (lambda: dgmmis.fit_restarts(VALUES, n_components=1, n_starts=2**70), ("n_starts",)),
    "endless restarts": (lambda: dgmmis.compare(VALUES, restarts=2**70), ("restarts",)),
    "endless replicates": (lambda: fitted().uncertainty(replicates=2**70), ("replicates",)),
    "workers as an array": (lambda: dgmmis.plan(catalog(), n_components=1, workers=np.eye(2)), ("workers",)),
    "memory that is a tuple": (
        lambda: dgmmis.plan(catalog(), n_components=1, memory_limit=()),
        ("memory limit",),
    ),
    "memory without end": (
        lambda: dgmmis.plan(catalog(), n_components=1, memory_limit=np.inf),
        ("memory limit",),
    ),
    "the marginal of nothing": (lambda: fitted().model.marginal(None), ("features None",)),
    "conditions that are no dict": (lambda: fitted().model.condition([0]), ("given is [0]",)),
    "a selection of tiny chances": (lambda: _fit(selection=lambda x: np.full(len(x), 1e-300)), ("row 0",)),
    "noise_model raises": (
        lambda: _fit(
            selection=Box([-99, -99], [99, 99]),
            noise_model=_raiser(KeyError("k")),
            noise=np.full((14, 2), 0.1),
        ),
        ("noise_model raised KeyError",),
    ),
    "covar_callback raises": (lambda: _draw(_raiser(KeyError("k"))), ("covar_callback raised KeyError",)),
    "covar_callback calls itself": (lambda: _draw(_endless), ("covar_callback raised RecursionError",)),
    "covar_callback answers text": (lambda: _draw(lambda x: "text"), ("covar_callback",)),
    "a density that raises": (lambda: _fit(background=DensityBackground(len)), ("density raised TypeError",)),
    "pyGMMis: w": (lambda: gmm_fit(w=None), ("w is None",)),
    "pyGMMis: tol": (lambda: gmm_fit(tol=...), ("tol is",)),
    "pyGMMis: cutoff": (lambda: gmm_fit(cutoff=[2, 3]), ("cutoff is",)),
    "pyGMMis: miniter": (lambda: gmm_fit(miniter=None), ("miniter is",)),
    "pyGMMis: split_n_merge": (lambda: gmm_fit(split_n_merge="x"), ("split_n_merge is",)),
    "pyGMMis: background": (lambda: gmm_fit(background=0.1), ("background is",)),
    "a run at an unknown scheme": (lambda: fit(run="nowhere:nothing"), ("run: 'nowhere:nothing'",)),
    "pyGMMis: masked": (lambda: gmm_fit(frozen=np.ma.masked), ("frozen is",)),
    "pyGMMis: frozen": (lambda: gmm_fit(frozen=0.1), ("frozen is",)),
    "pyGMMis: amplitudes": (lambda: gmm_fit(amp=np.inf), ("amplitudes of component 0",)),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_is_refused_by_name(what: str):
    call, words = FOUND[what]
    assert judged(Attempt(call, words, must_fail=True)) == "refused"
    with pytest.raises(DgmmisError) as caught:
        call()
    assert all(word in str(caught.value) for word in words)


OPTIONS: dict[str, Any] = {
    "features": 1.5,
    "derive": [[1.0]],
    "units": -3048,
    "jitter": "text",
    "where": True,
    "corr": 5.8,
    "chunk_rows": [-2],
    "max_quarantined": np.nan,
    "overwrite": np.array([]),
    "progress": 3,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_ingest_of_the_wrong_type_is_refused_by_name(name: str, tmp_path: Path):
    options = {**ASKED, name: OPTIONS[name]}
    attempt = Attempt(
        lambda: dgmmis.ingest(right_table(), tmp_path / "x.zarr", **options), (name,), must_fail=True
    )
    assert judged(attempt) == "refused"


def test_an_array_file_whose_members_are_damaged_is_refused_by_name(tmp_path: Path):
    path = write(right_table(), tmp_path, "npz")
    path.write_bytes(path.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05"))
    attempt = Attempt(
        lambda: dgmmis.ingest(path, tmp_path / "x.zarr", **ASKED), ("table.npz",), must_fail=True
    )
    assert judged(attempt) == "refused"


def test_values_that_no_square_could_hold_are_set_aside_and_counted(tmp_path: Path):
    table = right_table()
    table["a"][4], table["b_error"][7] = 1e160, 1e120
    rows = dgmmis.ingest(table, tmp_path / "x.zarr", **ASKED)
    assert judged(Attempt(lambda: rows)) == "accounted for"
    assert [record["row"] for record in rows.quarantined()] == [4, 7]
    assert all("beyond" in record["reason"] for record in rows.quarantined())
