"""The judge of malformed inputs would notice: each end that must not be is planted here, and found."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import dgmmis
from dgmmis.errors import DgmmisError, InvalidData
from malformed import Attempt, Unacceptable, judged, require_sound
from malformed_settings import catalog, fitted


def spin() -> None:
    while True:
        pass


def ends_in(error: BaseException) -> Attempt:
    def call() -> None:
        raise error

    return Attempt(call, ("values",), (3,))


RAW = (
    np.linalg.LinAlgError("Singular matrix"), ValueError("shapes (2,) (3,)"), KeyError("x"), AttributeError("shape"),
    TypeError("unsupported"), IndexError(0), ZeroDivisionError(), AssertionError(), RecursionError(), OverflowError(),
)  # fmt: skip


@pytest.mark.parametrize("error", RAW, ids=lambda error: type(error).__name__)
def test_a_raw_error_is_not_accepted(error: Exception):
    with pytest.raises(Unacceptable, match=type(error).__name__):
        judged(ends_in(error))


UNHELPFUL = {
    "names none": DgmmisError("something is wrong; give another."),
    "no way out": DgmmisError("values cannot be understood."),
    "blames row 5": InvalidData("values, row 5: expected a number.", array="values", row=5),
    "does not name row 3": InvalidData("values: expected a number.", array="values", row=3),
}


@pytest.mark.parametrize("what", UNHELPFUL)
def test_an_error_that_does_not_help_is_not_accepted(what: str):
    with pytest.raises(Unacceptable, match=what):
        judged(ends_in(UNHELPFUL[what]))


def test_an_error_that_helps_is():
    error = InvalidData("values, row 3: inf; give a number.", array="values", row=3)
    assert judged(ends_in(error)) == "refused"


def test_what_must_fail_and_does_not_is_not_accepted():
    with pytest.raises(Unacceptable, match="accepted"):
        judged(Attempt(lambda: None, must_fail=True))


def test_a_warning_on_the_way_to_a_result_is_not_accepted():
    with pytest.raises(Unacceptable, match="RuntimeWarning"):
        judged(Attempt(lambda: warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)))


def test_a_call_without_end_is_not_accepted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("malformed.CAP_SECONDS", 0.2)
    with pytest.raises(Unacceptable, match="of CPU"):
        judged(Attempt(spin))


def tampered(**changes: np.ndarray) -> dgmmis.FitResult:
    """A fit whose mixture was changed behind the back of its checks."""
    result = fitted()
    mixture = object.__new__(dgmmis.Mixture)
    for name in ("amplitudes", "means", "covariances"):
        object.__setattr__(mixture, name, changes.get(name, getattr(result.mixture, name)))
    model = object.__new__(dgmmis.Model)
    model.__dict__.update({**result.model.__dict__, "mixture": mixture})
    return replace(result, model=model)


UNSOUND = {
    "not finite": {"means": np.full((2, 2), np.nan)},
    "amplitudes sum": {"amplitudes": np.array([0.5, 0.6])},
    "negative amplitude": {"amplitudes": np.array([1.5, -0.5])},
    "a covariance that is none": {"covariances": np.array([[[1.0, 2.0], [2.0, 1.0]], np.eye(2)])},
    "negative variance": {"covariances": np.array([-np.eye(2), np.eye(2)])},
    "asymmetric": {"covariances": np.array([[[1.0, 0.5], [0.0, 1.0]], np.eye(2)])},
}


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_mixture_is_not_accepted(what: str):
    with pytest.raises(Unacceptable, match=what):
        require_sound(tampered(**UNSOUND[what]))


def test_a_fit_of_infinite_likelihood_is_not_accepted():
    with pytest.raises(Unacceptable, match="ln L"):
        require_sound(replace(fitted(), log_likelihood=-np.inf))


def test_a_catalogue_that_lost_a_row_is_not_accepted():
    rows = catalog()
    assert require_sound(rows) == "accounted for"
    rows.schema.provenance["counts"]["read"] += 1
    try:
        with pytest.raises(Unacceptable, match="accounted for"):
            require_sound(rows)
    finally:
        rows.schema.provenance["counts"]["read"] -= 1


def test_sound_things_are():
    assert (
        require_sound(fitted()) == require_sound(fitted().model) == require_sound(fitted().mixture) == "sound"
    )
