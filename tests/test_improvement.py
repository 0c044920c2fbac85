"""Rounds of split and merge: they leave bad optima, never end lower than they began, and survive any stop."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis import Mixture, improvement
from dgmmis.background import Background
from dgmmis.chunk import ArrayChunks
from dgmmis.errors import CollapsedComponent, InvalidSetting, RunConflict
from dgmmis.html_report.run_facts import gather
from dgmmis.improvement import Search, improve
from dgmmis.iterate import Limits, Pass
from dgmmis.local_pass import LocalPasses
from dgmmis.population import Population
from dgmmis.runs.checkpoint import decode, encode
from dgmmis.selection import Box
from dgmmis.task import information_sample, look, set_up
from dgmmis.task_settings import build_task
from simulated import bits_of
from strategies import random_scene
from test_selected_runs import DiesAfter

CORNERS = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [7.0, 7.0]])
TRUTH = Mixture(np.full(4, 0.25), CORNERS, np.stack([np.eye(2)] * 4))
STUCK = Mixture(
    np.array([0.125, 0.125, 0.25, 0.5]),
    np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 6.0], [6.5, 3.5]]),
    np.stack([np.eye(2), np.eye(2), np.eye(2), np.diag([1.0, 12.0])]),
)
"""Two components in the first cluster, and one over the second and the last."""


LIMITS = Limits(0.1, 500)


def rows_of(n_rows: int, seed: int = 0) -> np.ndarray:
    return TRUTH.draw(n_rows, np.random.default_rng(seed))


def events_of(result: dgmmis.FitResult) -> str:
    return "; ".join(event for scan in result.history for event in scan.events)


VARIANTS = {
    "plain": {},
    "tied": {"covariance_type": "tied"},
    "spherical": {"covariance_type": "spherical"},
    "floor": {"floor": 0.5},
    "noise": {"noise": np.full((1200, 2), 0.2)},
    "frozen": {"frozen": {"means": [2], "covariances": [2]}},
    "background": {"background": Background((np.full(2, -6.0), np.full(2, 13.0)), amplitude=0.05)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_two_components_in_one_cluster_and_one_over_two_find_the_better_optimum(name):
    values, settings = rows_of(1200), {"n_components": 4, **VARIANTS[name]}
    alone = dgmmis.fit(values, initial=STUCK, **settings)
    helped = dgmmis.fit(values, initial=STUCK, split_merge=2, **settings)
    best = dgmmis.fit(values, initial=TRUTH, **settings)
    assert alone.log_likelihood < best.log_likelihood - 50
    assert helped.log_likelihood == pytest.approx(best.log_likelihood, abs=1)
    assert helped.converged
    assert helped.n_passes == len(helped.history) == helped.history[-1].number + 1
    assert "round 1: component 3 split" in events_of(helped)
    assert "nats gained" in events_of(helped)


@pytest.mark.parametrize("seed", range(3))
def test_at_the_optimum_nothing_is_accepted(seed):
    values = rows_of(1500, seed)
    best = dgmmis.fit(values, n_components=4, initial=TRUTH)
    again = dgmmis.fit(values, n_components=4, initial=TRUTH, split_merge=3)
    assert bits_of(again) == bits_of(best)
    assert again.converged
    assert "gained" not in events_of(again)


@pytest.mark.parametrize("seed", range(15))
def test_a_fit_never_ends_lower_than_it_began(seed):
    kind = ("none", "shared", "diagonal", "full")[seed % 4]
    scene = random_scene(
        seed,
        n=250,
        d=1 + seed % 3,
        k=4 + seed % 2,
        kind=kind,
        missing=0.2 * (seed % 3 > 0),
        weighted=seed % 5 == 0,
    )
    rng = np.random.default_rng(seed)
    worse = Mixture(
        scene.mixture.amplitudes,
        scene.mixture.means[rng.integers(0, 2, len(scene.mixture.means))]
        + rng.normal(size=scene.mixture.means.shape),
        scene.mixture.covariances,
    )
    d = scene.values.shape[1]
    settings = {
        "n_components": worse.n_components,
        "noise": scene.noise,
        "weights": scene.weights,
        "initial": worse,
        "floor": 0.05,
        "covariance_type": ("full", "diagonal", "tied", "spherical", "full")[seed % 5],
        "frozen": {"amplitudes": [0], "means": [1]} if seed % 5 == 4 else None,
        "background": Background((np.full(d, -15.0), np.full(d, 15.0)), amplitude=0.1)
        if seed % 3 == 0
        else None,
        "max_passes": 40,
        "tolerance": 0.5,
    }
    before, after = dgmmis.fit(scene.values, **settings), dgmmis.fit(scene.values, split_merge=2, **settings)
    assert after.objective >= before.objective
    if settings["frozen"]:
        assert np.array_equal(after.mixture.means[1], worse.means[1])
        assert after.population.amplitudes[0] == pytest.approx(before.population.amplitudes[0], rel=1e-12)


def chain(split_merge: int = 2, start: Mixture = STUCK):
    """Set up a fit; returns what makes its passes, after any one of them."""
    chunks = ArrayChunks.from_arrays(rows_of(1200), chunk_rows=500)
    task = build_task(
        4, 2, frozen=None, covariance_type="full", floor=None, prior=None, background=None, selecting=None,
        seed=0, pruning=0.0, split_merge=split_merge,
    )  # fmt: skip
    passes = LocalPasses(chunks, threads=1)
    sample, begun = information_sample(chunks, task), Population(start)
    problem = set_up(passes, sample, task, begun, look(passes, sample, task))
    search = Search(passes, chunks.read_pilot, task, lambda _: None)

    def run(limits: Limits = LIMITS, after: Pass | None = None):
        return improve(begun, problem, limits, search, after=after)

    return run


def same(left: Pass, right: Pass) -> bool:
    return encode(left, "") == encode(right, "") and left.reason == right.reason


def test_a_fit_that_goes_on_after_any_checkpoint_gives_the_same_passes():
    run = chain()
    whole = list(run())
    assert whole[-1].reason == "converged"
    numbers = [scan.number for scan in whole]
    assert numbers == sorted(numbers)
    of_trial = [scan.number for scan in whole if scan.standing is not scan]
    assert of_trial
    for stop in {0, of_trial[0] - 1, of_trial[0], of_trial[-1], numbers[-1]}:
        stored = next(scan for scan in whole if scan.number == stop)
        after = decode(encode(stored, ""), "stored").scan
        ahead = [scan for scan in run(after=after) if scan.number > stop or scan.reason]
        expected = [scan for scan in whole if scan.number > stop or scan.reason]
        assert all(same(*pair) for pair in zip(ahead, expected, strict=True))


def test_passes_that_run_out_in_a_trial_leave_what_was_before_it():
    run = chain()
    whole = list(run())
    first = next(scan for scan in whole if scan.standing is not scan)
    stopped = list(run(Limits(0.1, first.number)))
    assert stopped[-2].number == first.number
    assert stopped[-1].reason == "max_passes"
    assert stopped[-1].objectives[-1] == whole[first.number - 1].objectives[-1]
    assert np.array_equal(stopped[-1].mixture.means, first.standing.mixture.means)


def test_a_trial_that_loses_or_fails_leaves_what_was_before_it(monkeypatch):
    monkeypatch.setattr(improvement, "_best_on_pilot", lambda *_: ("nonsense", Population(STUCK)))
    lost = list(chain(start=TRUTH)())
    alone = list(chain(split_merge=0, start=TRUTH)())
    assert len({scan.number for scan in lost}) > len(alone) + 1
    assert lost[-1].reason == "converged"
    assert lost[-1].objectives == alone[-1].objectives
    assert "the fit before it stands" in lost[-2].events[-1]
    stored = decode(encode(lost[-2], ""), "lost").scan
    tighter = list(chain(start=TRUTH)(Limits(1e-9, 3000), after=stored))
    assert "goes on" in "".join(event for scan in tighter for event in scan.events)
    assert tighter[-1].objectives[-1] >= alone[-1].objectives[-1]
    assert tighter[-1].reason == "converged"
    assert tighter[-1].predicted_gain <= 1e-9

    narrow = np.stack([1e-150 * np.eye(2)] * 4)
    hopeless = Population(Mixture(np.full(4, 0.25), np.full((4, 2), 1e99), narrow))
    monkeypatch.setattr(improvement, "_best_on_pilot", lambda *_: ("nonsense", hopeless))
    failed = list(chain(start=TRUTH)())
    assert failed[-1].objectives == alone[-1].objectives
    assert "its fit failed" in failed[-1].events[-1]


def test_a_fit_of_its_own_that_collapses_is_no_trial_that_failed():
    values = np.concatenate((rows_of(100), np.full((50, 2), 30.0)))
    start = Mixture(
        np.array([0.7, 0.3]), np.array([[3.0, 3.0], [30.0, 30.0]]), np.stack([9 * np.eye(2), np.eye(2)])
    )
    with pytest.raises(CollapsedComponent):
        dgmmis.fit(values, n_components=2, initial=start, split_merge=1)


def selected_fit(start: Mixture, split_merge: int) -> dgmmis.FitResult:
    everything = rows_of(900, 3)
    return dgmmis.fit(
        everything[everything[:, 0] < 7],
        n_components=4,
        selection=Box([-np.inf], [7.0], features=("x0",)),
        initial=start,
        split_merge=split_merge,
        tolerance=0.5,
        prior=None,
    )


@pytest.mark.thorough
def test_a_selected_fit_leaves_a_bad_optimum_and_knows_the_error_of_what_it_gained():
    helped, best = selected_fit(STUCK, 1), selected_fit(TRUTH, 0)
    assert helped.history[0].log_likelihood < best.log_likelihood - 50
    assert helped.log_likelihood == pytest.approx(best.log_likelihood, abs=2)
    assert re.search(r"round 1: [0-9.e+]+ \+- [0-9.e-]+ nats gained", events_of(helped))


@pytest.mark.statistical
def test_a_selected_fit_at_the_optimum_accepts_nothing():
    best, again = selected_fit(TRUTH, 0), selected_fit(TRUTH, 2)
    assert bits_of(again) == bits_of(best)
    assert "gained" not in events_of(again)


def test_a_run_killed_in_any_series_of_passes_resumes_to_the_same_bits(tmp_path: Path):
    catalog = dgmmis.ingest(rows_of(1200), tmp_path / "rows.zarr", features=("a", "b"), chunk_rows=500)
    settings = {"n_components": 4, "initial": STUCK, "split_merge": 2, "method": "em"}
    whole = dgmmis.fit(catalog, run=tmp_path / "whole", **settings)
    assert bits_of(dgmmis.fit(catalog, **settings)) == bits_of(whole)
    begun = next(scan.number for scan in whole.history if "round 1: component" in "".join(scan.events))
    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        dgmmis.fit(catalog, run=killed, observer=DiesAfter(begun - 1), **settings)
    with pytest.raises(KeyboardInterrupt):
        dgmmis.resume(killed, observer=DiesAfter(begun))
    run = dgmmis.open_run(killed)
    latest = run.latest().scan
    assert latest.number == begun
    assert np.array_equal(run.model().mixture.means, latest.round.incumbent.mixture.means)
    told = gather(run)
    assert told.standing.objectives == latest.round.incumbent.objectives
    assert np.array_equal(told.model.mixture.means, latest.round.incumbent.mixture.means)
    resumed = dgmmis.resume(killed)
    assert bits_of(resumed) == bits_of(whole)
    assert resumed.history == whole.history
    with pytest.raises(RunConflict, match="split_merge"):
        dgmmis.fit(catalog, run=killed, n_components=4, initial=STUCK, method="em")
    stopped = dgmmis.fit(catalog, run=tmp_path / "short", max_passes=begun, **settings)
    assert not stopped.converged
    assert "split and merge" in stopped.reason
    assert bits_of(dgmmis.resume(tmp_path / "short", max_passes=500)) == bits_of(whole)


@pytest.mark.parametrize("rounds", [-1, 1.5, True, "two"])
def test_rounds_that_are_no_number_of_rounds_are_refused(rounds):
    with pytest.raises(InvalidSetting, match="split_merge is"):
        dgmmis.fit(rows_of(50), n_components=2, split_merge=rounds)
