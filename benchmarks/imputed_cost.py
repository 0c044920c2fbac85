"""What imputed points cost beside rows: `python imputed_cost.py SCENE.npz CORE` prints the figures as JSON.

The same kernel visits a point with each component as it visits a row; so a pass over the points should cost no
more than one over as many rows.  Drawing them and asking the selection about them happens once per refresh.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import pin_to_core
from scenes import Array, Scene, keep, load_scene

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.fit_result import Scan
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.observer import SilentObserver
from dgmmis.population import Population
from dgmmis.preparation import prepare_fit
from dgmmis.task import information_sample, look, set_up

__all__ = ["calls_per_pass", "main", "pass_costs"]

REPETITIONS = 15
MANY_POINTS = 1_000_000
MOST_PASSES = 100


class CountedSelection:
    """The scenes' selection, and how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, values: Array) -> Array:
        self.calls += 1
        return keep(values).astype(np.float64)


class CallsByPass(SilentObserver):
    """Notes how often the selection had been called by the end of each pass."""

    def __init__(self, selection: CountedSelection) -> None:
        self.selection = selection
        self.calls: list[int] = []

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Note it."""
        self.calls.append(self.selection.calls)


def calls_per_pass(scene: Scene, most_passes: int = MOST_PASSES) -> dict[str, object]:
    """Fit and count the calls of the selection.

    Returns
    -------
    dict
        `passes`, `refreshes` (times that points were drawn), `first_calls` (until the end of the first pass:
        a look at all rows, and the first points), `refresh_calls` (most in a later pass), `passes_without`
        (passes that did not call it at all).
    """
    selection = CountedSelection()
    watcher = CallsByPass(selection)
    result = dgmmis.fit(
        scene.values,
        n_components=len(scene.amplitudes),
        noise=scene.noise,
        selection=selection,
        prior=None,
        initial=_start(scene).mixture,
        max_passes=most_passes,
        method="em",
        observer=watcher,
    )
    assert result.completion is not None
    later = np.diff(watcher.calls)
    return {
        "passes": result.n_passes,
        "refreshes": result.completion.reference.refresh + 1,
        "points": result.completion.n_points,
        "first_calls": watcher.calls[0],
        "refresh_calls": int(later.max(initial=0)),
        "passes_without": int((later == 0).sum()),
    }


def pass_costs(scene: Scene) -> list[dict[str, float]]:
    """CPU seconds of a pass over imputed points, of one over as many rows, and of drawing the points.

    For as many points as a fit begins with, and for many.
    """
    prepared = prepare_fit(
        scene.values,
        n_components=len(scene.amplitudes),
        noise=scene.noise,
        selection=keep,
        prior=None,
        limits=Limits(0, 0),
    )
    chunks, task, population = prepared.chunks, prepared.task, _start(scene)
    passes, sample = LocalPasses(chunks, threads=1, cut=task.cut), information_sample(chunks, task)
    imputation = set_up(passes, sample, task, population, look(passes, sample, task)).imputation
    assert imputation is not None
    first = imputation.first_reference(population)
    many = first
    while many.n_points(imputation.observation) < MANY_POINTS:
        many = many.refined(population, 2)
    costs = []
    for reference in (first, many):
        drawing = _cpu_seconds(lambda reference=reference: imputation.impute(population, reference))
        n_points = imputation.impute(population, reference).n_points
        rows = ArrayChunks.from_arrays(_repeated(scene.values, n_points), scene.noise)
        summarize = LocalPasses(rows, threads=1, cut=task.cut).summarize
        points = _shortest(lambda reference=reference: imputation.impute(population, reference))
        as_rows = _shortest(lambda summarize=summarize: summarize(population))
        costs.append(
            {"n_points": n_points, "points": points, "rows": as_rows, "drawing": max(drawing - points, 0.0)}
        )
    return costs


def _repeated(values: Array, n_rows: int) -> Array:
    return np.resize(values, (n_rows, values.shape[1]))


def _start(scene: Scene) -> Population:
    return Population(dgmmis.Mixture(scene.amplitudes, scene.means, scene.covariances))


def _shortest(work: Callable[[], object]) -> float:
    """Other processes only ever lengthen one."""
    return min(_cpu_seconds(work) for _ in range(REPETITIONS))


def _cpu_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def main(path: str, core: str) -> None:
    """Measure one scene on one core and print."""
    pin_to_core(int(core))
    scene = load_scene(Path(path))
    n, d = scene.values.shape
    counted = calls_per_pass(scene)  # first, since it compiles what is timed
    record = {
        "scene": scene.name,
        "shape": [n, d, len(scene.amplitudes)],
        "costs": pass_costs(scene),
    } | counted
    print(json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
