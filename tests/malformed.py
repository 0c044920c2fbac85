"""What may come of an input that nobody should give: the judge of all malformed ones.

An `Attempt` is a call and the words by which a refusal must name what is wrong with it.  `judged` makes the call,
and lets three ends pass: a typed error that names the fault and the way out; a result that is sound; a catalogue
that accounts for every row.  All else raises `Unacceptable`, which says what came instead.
"""

from __future__ import annotations

import re
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import dgmmis
from dgmmis.errors import CollapsedComponent, DgmmisError, InvalidData
from dgmmis.restarts import Restarts

CAP_SECONDS = 10
"""Of CPU: a busy machine slows no verdict.  A call that sleeps for ever meets pytest's own time limit."""

BROKEN_ARITHMETIC = "log-density"
"""In the text of an error that found its number only in the middle of a pass."""

WAYS = (
    r"expected|give|leave|must|use|mark|mend|set|lower|needs?|names?|install|choose|reshape|say|ask|allowed|fit|state"
    r"|remove|save|divide|write|keep|start|reads?|rename|ingest|resume|pass|replace|define|declare|similar|example"
    r"|at least|has \d+ columns?"
)
WAY_OUT = re.compile(rf"\b({WAYS})\b", re.IGNORECASE)
PYTHONS_OWN = re.compile(
    r"unexpected keyword argument|missing \d+ required|takes (from )?\d+ (to \d+ )?positional|multiple values"
    r"|unsupported operand"
)


class Unacceptable(AssertionError):
    """What must not come of any input."""


class TooLong(BaseException):
    """The call took more than `CAP_SECONDS` of CPU."""


@dataclass(frozen=True)
class Attempt:
    """A call that something is wrong with, perhaps.

    Attributes
    ----------
    call : callable
        Makes it.
    names : tuple of str
        A refusal names one of these: arguments, columns or options that were tampered with.
    rows : tuple of int
        If not empty, and the refusal is about a row of values, noise or weights, it is one of these.
    must_fail : bool
        No result is acceptable.
    what : str
        For a reader of the report.
    """

    call: Callable[[], object]
    names: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    must_fail: bool = False
    what: str = ""


@dataclass
class Tally:
    """How many inputs ended how."""

    ends: Counter[str] = field(default_factory=Counter)

    def add(self, attempt: Attempt) -> None:
        """Judge one more."""
        self.ends[judged(attempt)] += 1

    @property
    def total(self) -> int:
        """Inputs judged."""
        return self.ends.total()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        return f"{self.total} malformed inputs: {kinds}; 0 unacceptable"


def judged(attempt: Attempt) -> str:
    """Make the call and say how it ended; raise `Unacceptable` for any end that must not be.

    Returns
    -------
    "refused", "sound", or "accounted for"
    """
    try:
        with _capped(), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            result = attempt.call()
    except DgmmisError as error:
        require_helpful(error, attempt)
        if not isinstance(error, CollapsedComponent) and BROKEN_ARITHMETIC not in str(error):
            require_silent(warned)
        return "refused"
    except TooLong as error:
        raise Unacceptable(f"more than {CAP_SECONDS} s of CPU: {attempt.what}") from error
    except Exception as error:
        if _is_pythons_own(error):
            return "refused"
        raise Unacceptable(f"{type(error).__name__}: {error} ({attempt.what})") from error
    if attempt.must_fail:
        raise Unacceptable(f"accepted: {attempt.what}")
    require_silent(warned)
    return require_sound(result)


def require_silent(warned: list[warnings.WarningMessage]) -> None:
    """No arithmetic goes wrong on the way, unless a component was about to break, and the error says so."""
    for one in warned:
        theirs = "sklearn" in Path(one.filename).parts  # it converts rows by itself before we see them
        theirs = theirs or "never awaited" in str(one.message)  # that of whoever wrote the coroutine
        if not (theirs or issubclass(one.category, ConvergenceWarning)):
            raise Unacceptable(f"{one.category.__name__}: {one.message} at {one.filename}:{one.lineno}")


def require_helpful(error: DgmmisError, attempt: Attempt) -> None:
    """A typed error names what is wrong, where, and what to do."""
    text = str(error)
    if attempt.names and not any(name.lower() in text.lower() for name in attempt.names):
        raise Unacceptable(f"names none of {attempt.names}: {type(error).__name__}: {text}") from error
    if not WAY_OUT.search(text):
        raise Unacceptable(f"offers no way out: {type(error).__name__}: {text}") from error
    of_rows = isinstance(error, InvalidData) and error.array in ("values", "noise", "weights")
    of_rows = (
        of_rows and BROKEN_ARITHMETIC not in text
    )  # a row that is good may meet a component that is broken
    if of_rows and error.row is not None and attempt.rows:
        if error.row not in attempt.rows:
            raise Unacceptable(f"blames row {error.row}, not one of {attempt.rows}: {text}") from error
        if str(error.row) not in text:
            raise Unacceptable(f"its text does not name row {error.row}: {text}") from error


def require_sound(result: object) -> str:
    """A result is finite, its covariances are covariances, its amplitudes sum to 1."""
    for kind, check in CHECKS:
        if isinstance(result, kind):
            try:
                check(result)
            except AssertionError as error:
                raise Unacceptable(f"an unsound {kind.__name__}: {error}") from error
            return "accounted for" if kind is dgmmis.Catalog else "sound"
    return "sound"


def _sound_fit(result: dgmmis.FitResult) -> None:
    assert np.isfinite(result.log_likelihood), f"ln L is {result.log_likelihood}"
    assert np.isfinite(result.objective), f"the objective is {result.objective}"
    assert all(np.isfinite(scan.log_likelihood) for scan in result.history), "an infinite scan"
    _sound_population(result.population)


def _sound_population(population: dgmmis.Population) -> None:
    _sound_mixture(population.mixture)
    total = population.amplitudes.sum() + population.background_amplitudes.sum()
    assert abs(total - 1) < 1e-9, f"amplitudes sum to {total}"


def _sound_mixture(mixture: dgmmis.Mixture) -> None:
    for name in ("amplitudes", "means", "covariances"):
        assert np.isfinite(getattr(mixture, name)).all(), f"{name} are not finite"
    assert (mixture.amplitudes >= 0).all(), "a negative amplitude"
    assert abs(mixture.amplitudes.sum() - 1) < 1e-9, f"amplitudes sum to {mixture.amplitudes.sum()}"
    covariances = mixture.covariances
    assert np.array_equal(covariances, covariances.swapaxes(1, 2)), "an asymmetric covariance"
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    assert (variances >= 0).all(), "a negative variance"
    scale = np.sqrt(np.where(variances > 0, variances, 1))
    smallest = np.linalg.eigvalsh(covariances / scale[:, :, None] / scale[:, None, :]).min()
    assert smallest >= -1e-10, f"a covariance that is none: eigenvalue {smallest} of a correlation matrix"


def _sound_uncertainty(result: dgmmis.Uncertainty) -> None:
    for name, errors in vars(result.errors).items():
        assert not np.isnan(errors).any(), f"errors of {name} are NaN"
        assert (errors >= 0).all(), f"errors of {name} are negative"


def _sound_comparison(result: dgmmis.Comparison) -> None:
    assert result.models, "no models"
    for one in result.models:
        assert np.isfinite(one.bic), f"the BIC of {one.label} is {one.bic}"
        _sound_mixture(one.model.mixture)


def _sound_catalog(catalog: dgmmis.Catalog) -> None:
    provenance = catalog.describe()["provenance"]
    origins = [part["counts"] for part in (provenance, *provenance.get("appended", ()))]
    read, excluded = (sum(counts[name] for counts in origins) for name in ("read", "excluded_by_where"))
    stored = catalog.n_rows + catalog.n_quarantined + excluded
    assert read == stored, f"{read} rows were read, {stored} are accounted for"
    for chunk in range(catalog.n_chunks):
        for group in catalog.read_samples(chunk).groups:
            for name in ("values", "noise", "weights"):
                array = getattr(group, name)
                assert array is None or np.isfinite(array).all(), f"{name} are not finite"


def _sound_numbers(array: np.ndarray[Any, Any]) -> None:
    assert array.dtype.kind != "f" or not np.isnan(array).any(), "NaN"


CHECKS: tuple[tuple[type, Callable[[Any], None]], ...] = (
    (dgmmis.FitResult, _sound_fit),
    (dgmmis.Population, _sound_population),
    (dgmmis.Mixture, _sound_mixture),
    (dgmmis.Model, lambda model: _sound_population(model.population)),
    (dgmmis.Uncertainty, _sound_uncertainty),
    (dgmmis.Comparison, _sound_comparison),
    (dgmmis.Catalog, _sound_catalog),
    (Restarts, lambda restarts: _sound_fit(restarts.best)),
    (np.ndarray, _sound_numbers),
)


def _is_pythons_own(error: Exception) -> bool:
    """Whether the call itself was refused, by Python, for arguments that the function does not have."""
    frames = 0
    trace = error.__traceback__
    while trace is not None:
        frames += "/dgmmis/" in trace.tb_frame.f_code.co_filename.replace("\\", "/") and (
            "/tests/" not in trace.tb_frame.f_code.co_filename
        )
        trace = trace.tb_next
    return isinstance(error, TypeError) and frames == 0 and bool(PYTHONS_OWN.search(str(error)))


@contextmanager
def _capped() -> Iterator[None]:
    """Raise `TooLong` in what takes too much CPU."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(
        signal.ITIMER_PROF, CAP_SECONDS, 1
    )  # again and again: a callback of the collector swallows it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
