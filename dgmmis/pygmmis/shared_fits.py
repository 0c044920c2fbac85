"""Fits to all parts of the data but one, for each part, sharing every pass over the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.beginnings import evaluator
from dgmmis.chunk import ArrayChunks
from dgmmis.contest import seen_by
from dgmmis.folds import Part, Turns
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import Trial, advance
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.preparation import Prepared, prepare_fit
from dgmmis.pygmmis.fitting import FREE_UPDATES, ROWS_OF_TOL
from dgmmis.pygmmis.gmm import GMM, as_noise, copied
from dgmmis.pygmmis.request import Request, understand
from dgmmis.samples import as_values
from dgmmis.task import Passes, Seen, Task, information_sample, look, set_up

__all__ = ["fit_without_each_part", "rows_of"]

OF_REQUEST = (
    "covar",
    "R",
    "init_method",
    "w",
    "sel_callback",
    "oversampling",
    "covar_callback",
    "background",
    "frozen",
)
DEFAULTS: dict[str, Any] = {"init_method": "random", "w": 0.0}
OF_LOOP: dict[str, Any] = {"tol": 1e-3, "miniter": 1, "maxiter": 1000}
"""Arguments of `fit` that say when it ends, and their defaults."""


@dataclass(frozen=True)
class _Parts:
    """What the fits share, and the task of each."""

    passes: Passes
    problems: tuple[tuple[Task, Seen | None], ...]
    parts: tuple[Part, ...]
    sample: Any

    def trials(self, starts: Sequence[Population]) -> list[Trial]:
        """Make a trial of each start."""
        return [
            Trial(str(number), start, set_up(self.passes, self.sample, task, start, seen), part)
            for number, (start, (task, seen), part) in enumerate(
                zip(starts, self.problems, self.parts, strict=True)
            )
        ]

    def fit(self, starts: Sequence[Population], limits: Limits) -> list[Population]:
        """Fit all; raises what ended the first that failed."""
        evaluate = evaluator(self.passes, self.problems[0][0])
        outcomes = deque(advance(self.trials(starts), evaluate, limits), maxlen=1).pop()
        for outcome in outcomes.values():
            if outcome.error is not None:
                raise outcome.error
        return [outcome.scan.population for outcome in outcomes.values() if outcome.scan is not None]


def fit_without_each_part(
    gmm: GMM, data: ArrayLike, n_parts: int, key: int, settings: Mapping[str, Any]
) -> list[Population]:
    """Fit as `fit` does to the rows without part 0, without part 1, ...

    Every fit starts as `fit` would start it on its rows, from the same components and the same random numbers.

    Parameters
    ----------
    gmm : GMM
        Stays as it is, as does the background.
    data : (N, D)
    n_parts : int
        Row i is in part i modulo this.
    key : int
        Seed of the random numbers.
    settings : dict
        Arguments of `fit`, without `rng` and `split_n_merge`.
    """
    values = as_values(data)
    part = np.arange(len(values)) % n_parts
    requests = [_request(gmm, values, part != number, key, settings) for number in range(n_parts)]
    loop = {name: settings.get(name, default) for name, default in OF_LOOP.items()}
    tolerance = loop["tol"] * min(min(len(request.rows) for request in requests), ROWS_OF_TOL)
    fits, starts = _prepared(values, settings, requests), [request.start for request in requests]
    least = min(loop["miniter"], loop["maxiter"])
    if least > FREE_UPDATES:
        starts = fits.fit(starts, Limits(0.0, least))
    else:
        least = 0
    return fits.fit(starts, Limits(tolerance, loop["maxiter"] - least))


def _request(gmm: GMM, values: Array, kept: Array, key: int, settings: Mapping[str, Any]) -> Request:
    own = rows_of({**settings, "background": copy(settings.get("background"))}, kept)
    asked: dict[str, Any] = {name: own.get(name, DEFAULTS.get(name)) for name in OF_REQUEST}
    return understand(copied(gmm), values[kept], rng=np.random.default_rng(key), **asked)


def _prepared(values: Array, settings: Mapping[str, Any], requests: Sequence[Request]) -> _Parts:
    """Prepare all rows once, and the task of each fit."""
    limits = Limits(0.0, 0)
    first = requests[0].settings
    whole = prepare_fit(values, limits=limits, **_fit_arguments(first, settings, requests[0]))
    numbered = tuple(
        replace(samples, hashes=np.arange(start, start + samples.n_rows, dtype=np.uint64))
        for samples, start in zip(_chunks(whole).samples, _starts(whole), strict=True)
    )
    chunks = replace(_chunks(whole), samples=numbered)
    passes = LocalPasses(chunks, cut=whole.task.cut, negligible=whole.task.pruning)
    parts = tuple(Part(Turns(len(requests)), number) for number in range(len(requests)))
    sample = information_sample(chunks, whole.task)
    seen = seen_by(passes, look(passes, sample, whole.task), parts)
    tasks = [
        prepare_fit(chunks, limits=limits, **_fit_arguments(request.settings, settings, request)).task
        for request in requests
    ]
    alike = [replace(task, selecting=whole.task.selecting) for task in tasks]
    return _Parts(passes, tuple(zip(alike, seen, strict=True)), parts, sample)


def _fit_arguments(asked: Mapping[str, Any], settings: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Arguments of `prepare_fit` for all rows: noise and projection of all of them."""
    return {
        **asked,
        "noise": as_noise(settings.get("covar")),
        "projection": settings.get("R"),
        "initial": request.start,
    }


def _chunks(prepared: Prepared) -> ArrayChunks:
    assert isinstance(prepared.chunks, ArrayChunks)
    return prepared.chunks


def _starts(prepared: Prepared) -> list[int]:
    return [prepared.chunks.row_range(chunk)[0] for chunk in range(prepared.chunks.n_chunks)]


def rows_of(settings: Mapping[str, Any], which: Array) -> dict[str, Any]:
    """Arguments of `fit` for some of the rows."""
    own = dict(settings)
    for name in ("covar", "R"):
        if own.get(name) is not None and np.ndim(own[name]) == 3:
            own[name] = np.asarray(own[name])[which]
    return own
